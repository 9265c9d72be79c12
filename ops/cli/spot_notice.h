#pragma once
// A machine that its owner lends while nobody pays more for it (an EC2 Spot instance) is told some
// time before when it is taken back: time to end what has begun.

#include <chrono>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>

#include "config/clock.h"
#include "config/settings.h"
#include "config/status.h"
#include "ops/cli/signals.h"

namespace trawl::ops {

struct SpotNotice {
  std::string action;  // terminate, stop or hibernate
  std::string time;    // as the service writes it
};

/// The JSON of EC2's spot/instance-action. Errors: kInvalidArgument.
Result<SpotNotice> ParseSpotNotice(std::string_view text);

/// Asks for a notice on a thread of its own until one comes; then tells and asks no more.
class SpotWatch {
 public:
  /// kNotFound: there is none. May block; the destructor waits for it.
  using Ask = std::function<Result<std::string>()>;

  static constexpr std::chrono::milliseconds kInterval{2'000};
  /// Between two that are not answered: a notice comes two minutes before the end.
  static constexpr std::chrono::milliseconds kLongestInterval{30'000};

  /// `on_notice` is called on the thread, once.
  SpotWatch(Ask ask, std::function<void()> on_notice, Clock& clock = SystemClock());

 private:
  void Run(std::stop_token stop) noexcept;

  const Ask ask_;
  const std::function<void()> on_notice_;
  Clock& clock_;
  std::jthread thread_;  // last: it uses everything above
};

/// What settings.spot_notice says, null when that is nothing; a notice drains. `signals` outlives
/// it. Errors: kInvalidArgument.
Result<std::unique_ptr<SpotWatch>> WatchForSpotNotice(const Settings& settings,
                                                      SignalStops& signals);

}  // namespace trawl::ops
