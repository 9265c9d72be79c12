#pragma once
// When a request is so late that a second one is likely to be answered first ("The Tail at Scale",
// Dean and Barroso 2013), and how many such second requests may be sent.

#include <array>
#include <chrono>
#include <cstddef>
#include <optional>

namespace trawl::storage {

/// Not thread-safe.
class Hedge {
 public:
  using Duration = std::chrono::microseconds;

  /// A request has been sent: earns a share of a second one.
  void OnRequest();
  /// It was answered: so long it took to its first byte.
  void OnFirstByte(Duration took);
  /// How long to wait for a first byte before a second request: twice the 95th percentile of the
  /// last kWindow answers, at least 100 ms. None while too few are known.
  std::optional<Duration> After() const { return after_; }
  /// May a second request be sent now? At most kShare of all requests, in the long run.
  bool Take();

  static constexpr double kShare = 0.03;
  static constexpr size_t kWindow = 256;

 private:
  std::array<Duration, kWindow> took_{};  // a ring
  size_t answers_ = 0;
  std::optional<Duration> after_;
  double tokens_ = 0;
};

}  // namespace trawl::storage
