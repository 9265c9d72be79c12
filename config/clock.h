#pragma once
// Time behind a seam, so that retries, deadlines and progress can be tested without waiting.

#include <chrono>
#include <cstdint>
#include <stop_token>

namespace trawl {

/// Thread-safe. Timeouts use Now() (monotonic); wall time is only ever data.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual std::chrono::steady_clock::time_point Now() const = 0;
  /// Milliseconds since the Unix epoch.
  virtual int64_t WallMillis() const = 0;
  /// Returns false if `stop` was requested before the time was up. The only sleep in Trawl.
  virtual bool SleepFor(std::chrono::milliseconds duration, std::stop_token stop = {}) = 0;
};

/// The machine's clock; lives for the whole process.
Clock& SystemClock();

}  // namespace trawl
