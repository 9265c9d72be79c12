#pragma once
// A clock that stands still until it is told otherwise.

#include <atomic>

#include "config/clock.h"

namespace trawl::testing {

/// Thread-safe.
class ManualClock final : public Clock {
 public:
  std::chrono::steady_clock::time_point Now() const override {
    return std::chrono::steady_clock::time_point(std::chrono::milliseconds(now_ms_));
  }
  int64_t WallMillis() const override { return 0; }
  bool SleepFor(std::chrono::milliseconds duration, std::stop_token stop) override {
    Advance(duration);
    return !stop.stop_requested();
  }

  void Advance(std::chrono::milliseconds by) { now_ms_ += by.count(); }

 private:
  std::atomic<int64_t> now_ms_ = 3'600'000;
};

}  // namespace trawl::testing
