#pragma once
// What two stages of the pipeline share: a queue that holds its writers back when it is full.

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <stop_token>
#include <utility>

namespace trawl::worker {

enum class PushResult { kOk, kClosed, kStopped };

/// First in, first out. Thread-safe, any number of writers and readers.
template <class T>
class BoundedQueue {
 public:
  explicit BoundedQueue(size_t capacity) : capacity_(capacity) {}

  /// Waits for room. Unless kOk, `value` is gone.
  PushResult Push(T value, std::stop_token stop) {
    std::unique_lock lock(mutex_);
    room_.wait(lock, stop, [this] { return items_.size() < capacity_ || closed_; });
    if (stop.stop_requested()) return PushResult::kStopped;
    if (closed_) return PushResult::kClosed;
    items_.push_back(std::move(value));
    lock.unlock();
    filled_.notify_one();
    return PushResult::kOk;
  }

  /// Never waits: false, and `value` untouched, when the queue is full or closed.
  bool TryPush(T& value) {
    {
      const std::lock_guard lock(mutex_);
      if (items_.size() >= capacity_ || closed_) return false;
      items_.push_back(std::move(value));
    }
    filled_.notify_one();
    return true;
  }

  /// Waits for an item. None once the queue is closed and empty, or `stop` is requested.
  std::optional<T> Pop(std::stop_token stop = {}) {
    std::unique_lock lock(mutex_);
    filled_.wait(lock, stop, [this] { return !items_.empty() || closed_; });
    if (stop.stop_requested() || items_.empty()) return std::nullopt;
    std::optional<T> item(std::move(items_.front()));
    items_.pop_front();
    lock.unlock();
    room_.notify_one();
    return item;
  }

  /// Never waits.
  std::optional<T> TryPop() {
    std::unique_lock lock(mutex_);
    if (items_.empty()) return std::nullopt;
    std::optional<T> item(std::move(items_.front()));
    items_.pop_front();
    lock.unlock();
    room_.notify_one();
    return item;
  }

  /// All that is inside, in order. Never waits.
  std::deque<T> TakeAll() {
    std::deque<T> all;
    {
      const std::lock_guard lock(mutex_);
      all.swap(items_);
    }
    room_.notify_all();
    return all;
  }

  /// Refuses new items; those inside can still be popped.
  void Close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    room_.notify_all();
    filled_.notify_all();
  }

  size_t depth() const {
    const std::lock_guard lock(mutex_);
    return items_.size();
  }
  size_t capacity() const { return capacity_; }

 private:
  const size_t capacity_;
  mutable std::mutex mutex_;  // guards all below
  std::condition_variable_any room_, filled_;
  std::deque<T> items_;
  bool closed_ = false;
};

}  // namespace trawl::worker
