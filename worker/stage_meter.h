#pragma once
// Where a worker's time goes. The stages say what they have under way; the meter adds up how long
// each was busy, and how long each had nothing to do.

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "config/clock.h"
#include "config/records.h"

namespace trawl::worker {

/// Thread-safe. Each change costs a lock and a look at the clock, once or twice an object.
class StageMeter {
 public:
  enum Gauge : uint8_t {
    kDownloading,  // objects on the wire
    kFetched,      // objects that wait to be decoded
    kDecoding,     // threads
    kInferring,    // threads
    kPublishing,   // transactions
  };

  /// `threads`: those that decode and infer.
  explicit StageMeter(size_t threads, const Clock& clock = SystemClock());

  /// `by` more of something are under way, or fewer.
  void Change(Gauge gauge, int by);
  /// The sums so far.
  WorkerTimes Read();

 private:
  /// Charges the time since the last change to what has been under way in it.
  void Advance();

  const double threads_;
  const Clock& clock_;
  std::mutex mutex_;  // guards all below
  std::chrono::steady_clock::time_point since_;
  std::array<int64_t, 5> under_way_{};
  WorkerTimes times_;
};

/// Counts one more for as long as it lives.
class MeterScope {
 public:
  MeterScope(StageMeter& meter, StageMeter::Gauge gauge) : meter_(meter), gauge_(gauge) {
    meter_.Change(gauge_, 1);
  }
  ~MeterScope() { meter_.Change(gauge_, -1); }
  MeterScope(const MeterScope&) = delete;
  MeterScope& operator=(const MeterScope&) = delete;

 private:
  StageMeter& meter_;
  const StageMeter::Gauge gauge_;
};

}  // namespace trawl::worker
