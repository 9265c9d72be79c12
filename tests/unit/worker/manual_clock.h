#pragma once
// A clock that stands still until it is told otherwise.

#include "config/clock.h"

namespace trawl::worker {

/// Not thread-safe.
class ManualClock final : public Clock {
 public:
  std::chrono::steady_clock::time_point Now() const override { return now_; }
  int64_t WallMillis() const override { return 0; }
  bool SleepFor(std::chrono::milliseconds duration, std::stop_token stop) override {
    now_ += duration;
    return !stop.stop_requested();
  }

  void Advance(std::chrono::milliseconds by) { now_ += by; }

 private:
  std::chrono::steady_clock::time_point now_{std::chrono::hours(1)};
};

}  // namespace trawl::worker
