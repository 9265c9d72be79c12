#pragma once
// What the stages count while they work: their busy time.

#include <atomic>
#include <chrono>
#include <cstdint>

namespace trawl::worker {

/// Seconds that the threads of one stage were busy, all together. Thread-safe.
class BusyTime {
 public:
  void Add(std::chrono::steady_clock::duration busy) {
    nanoseconds_.fetch_add(std::chrono::duration_cast<std::chrono::nanoseconds>(busy).count(),
                           std::memory_order_relaxed);
  }
  void AddMillis(double ms) {
    nanoseconds_.fetch_add(static_cast<int64_t>(ms * 1e6), std::memory_order_relaxed);
  }
  double seconds() const {
    return static_cast<double>(nanoseconds_.load(std::memory_order_relaxed)) * 1e-9;
  }

 private:
  std::atomic<int64_t> nanoseconds_ = 0;
};

/// Adds the time of a scope to a stage's. Not thread-safe.
class BusyScope {
 public:
  explicit BusyScope(BusyTime& total) : total_(total) {}
  ~BusyScope() { total_.Add(elapsed()); }
  BusyScope(const BusyScope&) = delete;
  BusyScope& operator=(const BusyScope&) = delete;

  double elapsed_ms() const { return std::chrono::duration<double, std::milli>(elapsed()).count(); }

 private:
  std::chrono::steady_clock::duration elapsed() const {
    return std::chrono::steady_clock::now() - began_;
  }

  BusyTime& total_;
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

struct StageTimes {
  BusyTime download;  // sums over downloads that run side by side
  BusyTime decode, infer, publish;
};

}  // namespace trawl::worker
