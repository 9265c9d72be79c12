#pragma once
// SIGTERM and SIGINT become the two stop signals of config/stop.h.

#include <atomic>
#include <memory>
#include <stop_token>
#include <thread>

#include "config/stop.h"

namespace trawl::ops {

/// Make one in main, and only one. The first signal drains; the second aborts; so does a drain that
/// takes longer than its deadline. An abort that takes longer than a second ends the process.
class SignalStops {
 public:
  explicit SignalStops(int64_t drain_timeout_ms);
  ~SignalStops();

  /// Begins a drain as the first signal would; the signal that comes then is still the first.
  /// Thread-safe.
  void Drain() { asked_ = true; }

  StopSignals stops() const { return {drain_.get_token(), abort_.get_token()}; }
  /// True once a person or an orchestrator asked the process to stop.
  bool interrupted() const { return drain_.stop_requested(); }

 private:
  void Receive(std::stop_token stop, int64_t drain_timeout_ms);

  std::atomic<bool> asked_ = false;
  std::stop_source drain_;
  std::stop_source abort_;
  std::jthread receiver_;
};

}  // namespace trawl::ops
