#pragma once
// A limit on something that is held for a while: download slots, bytes.

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <stop_token>

namespace trawl::worker {

/// Thread-safe. Who asks for more than the whole budget gets it when nobody else holds any, so that
/// nothing is refused for ever.
class Budget {
 public:
  explicit Budget(size_t capacity) : capacity_(capacity) {}

  /// Waits until `amount` fits; false when `stop` was requested first.
  bool Acquire(size_t amount, std::stop_token stop);
  void Release(size_t amount);
  /// Corrects an estimate once the truth is known. Never waits: may overshoot until the next
  /// Release.
  void Resize(size_t from, size_t to);
  /// What is held stays held, however little the capacity becomes.
  void SetCapacity(size_t capacity);
  /// Returns when nothing is held any more.
  void WaitUntilIdle();

  size_t in_use() const;
  size_t capacity() const;

 private:
  mutable std::mutex mutex_;  // guards what follows
  size_t capacity_;
  std::condition_variable_any released_;
  size_t in_use_ = 0;
};

/// A share of a budget that goes back by itself. Not thread-safe; moves between threads.
class Reservation {
 public:
  Reservation() = default;
  /// `amount` of `budget` has been acquired.
  Reservation(Budget& budget, size_t amount) : budget_(&budget), amount_(amount) {}
  Reservation(Reservation&& other) noexcept;
  Reservation& operator=(Reservation&& other) noexcept;
  ~Reservation() { Release(); }

  void Resize(size_t amount);
  void Release();

 private:
  Budget* budget_ = nullptr;  // null: holds nothing
  size_t amount_ = 0;
};

}  // namespace trawl::worker
