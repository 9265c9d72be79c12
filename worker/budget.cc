#include "worker/budget.h"

#include <utility>

namespace trawl::worker {

bool Budget::Acquire(size_t amount, std::stop_token stop) {
  std::unique_lock lock(mutex_);
  const bool fits = released_.wait(lock, stop, [this, amount] {
    return in_use_ == 0 || (in_use_ < capacity_ && amount <= capacity_ - in_use_);
  });
  if (fits) in_use_ += amount;
  return fits;
}

void Budget::Release(size_t amount) { Resize(amount, 0); }

void Budget::Resize(size_t from, size_t to) {
  // Notified under the lock: who waits for idleness may destroy the budget right after.
  const std::lock_guard lock(mutex_);
  in_use_ = in_use_ - from + to;
  if (to < from) released_.notify_all();
}

void Budget::SetCapacity(size_t capacity) {
  const std::lock_guard lock(mutex_);
  capacity_ = capacity;
  released_.notify_all();
}

size_t Budget::capacity() const {
  const std::lock_guard lock(mutex_);
  return capacity_;
}

void Budget::WaitUntilIdle() {
  std::unique_lock lock(mutex_);
  released_.wait(lock, [this] { return in_use_ == 0; });
}

size_t Budget::in_use() const {
  const std::lock_guard lock(mutex_);
  return in_use_;
}

Reservation::Reservation(Reservation&& other) noexcept
    : budget_(std::exchange(other.budget_, nullptr)), amount_(std::exchange(other.amount_, 0)) {}

Reservation& Reservation::operator=(Reservation&& other) noexcept {
  if (this != &other) {
    Release();
    budget_ = std::exchange(other.budget_, nullptr);
    amount_ = std::exchange(other.amount_, 0);
  }
  return *this;
}

void Reservation::Resize(size_t amount) {
  if (budget_ == nullptr) return;
  budget_->Resize(amount_, amount);
  amount_ = amount;
}

void Reservation::Release() {
  if (budget_ != nullptr) budget_->Release(amount_);
  budget_ = nullptr;
}

}  // namespace trawl::worker
