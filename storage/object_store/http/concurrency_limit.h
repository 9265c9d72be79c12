#pragma once
// How many requests one endpoint bears at a time, found out by asking: additive increase,
// multiplicative decrease, as TCP does it (Chiu and Jain 1989), with its slow start.

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace trawl::storage {

/// Not thread-safe.
class ConcurrencyLimit {
 public:
  using Time = std::chrono::steady_clock::time_point;

  /// `max` >= 1: never more than this.
  explicit ConcurrencyLimit(size_t max);

  size_t Get() const { return static_cast<size_t>(limit_); }

  /// A request was served: one more at a time for each (which doubles it every round) up to where
  /// the last cut left it, then one more each round.
  void OnServed();
  /// The endpoint asked to slow down: half as many. At most once a second, and not for replies to
  /// requests that were sent before the last cut, which could not know of it. True when it was cut.
  bool OnThrottled(Time started, Time now);
  /// How often it was cut.
  uint64_t cuts() const { return cuts_; }
  Time last_cut() const { return last_cut_; }
  /// After an outage: one request at a time, doubling up to the maximum.
  void Restart();

 private:
  const double max_;
  double limit_;
  double threshold_;  // where doubling ends
  Time last_cut_{};
  uint64_t cuts_ = 0;
};

}  // namespace trawl::storage
