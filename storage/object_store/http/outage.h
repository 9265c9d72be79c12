#pragma once
// While an endpoint serves nobody, nobody asks it, but for one probe now and then.

#include <chrono>
#include <cstdint>
#include <random>
#include <string>

namespace trawl::storage {

/// Not thread-safe.
class Outage {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::milliseconds;

  bool on() const { return on_; }
  Time since() const { return since_; }
  /// What was the matter when it began, or at the last probe; for people.
  const std::string& reason() const { return reason_; }
  /// When the next probe may be sent; only while on().
  Time next_probe() const { return next_probe_; }

  /// Begins, or a probe was in vain. The time to the next probe doubles from half a second up to 5
  /// s, with jitter, so that recovery is noticed soon; `wish` is the server's Retry-After, honoured
  /// up to a minute.
  void Prolong(Time now, std::string reason, Duration wish, std::mt19937_64& random);
  void End() { on_ = false; }

 private:
  bool on_ = false;
  Time since_{}, next_probe_{};
  Duration interval_{0};
  std::string reason_;
};

}  // namespace trawl::storage
