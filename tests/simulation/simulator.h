#pragma once
// Time, chance and processes of a simulation. A process is a real main function on a stack of its
// own (ucontext); all run on one thread, one at a time, and change over only where they call the
// world: a port or the clock. Who runs next, how long a call takes and what breaks comes from one
// seed, so a seed is a history, and the same one each time.

#include <ucontext.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "config/clock.h"
#include "config/stop.h"

namespace trawl::simulation {

using Duration = std::chrono::milliseconds;
using TimePoint = std::chrono::steady_clock::time_point;

class Simulator;

/// One life of one process, and the clock that it sees. kill -9 cannot be done to a stack, so the
/// dead cannot act instead: from then on every call of the world fails and changes nothing, until
/// the main function has returned.
class Process final : public Clock {
 public:
  using Main = std::function<void(Process&)>;

  const std::string& name() const { return name_; }
  bool dead() const { return dead_; }
  StopSignals signals() const { return {drain_.get_token(), abort_.get_token()}; }

  /// At each call of the world: others run, time goes by, and this process may not live to see it
  /// end. False: it is dead, the call must fail and do nothing.
  bool Step(std::string_view what);
  /// Nothing to do until then, or until something is written to the log.
  bool WaitForNews(TimePoint until);
  void Die();
  /// As SIGTERM does.
  void Drain();
  /// Work of this process's other threads: does one thing of what there is to do.
  void SetBackground(std::function<void()> background) { background_ = std::move(background); }

  TimePoint Now() const override;
  int64_t WallMillis() const override;
  bool SleepFor(Duration duration, std::stop_token stop) override;

 private:
  friend class Simulator;
  Process(Simulator& simulator, std::string name, Main main);
  static void Enter(uint32_t high, uint32_t low);
  bool YieldUntil(TimePoint wake_at);

  Simulator& simulator_;
  const std::string name_;
  const Main main_;
  std::function<void()> background_;
  std::stop_source drain_, abort_;
  TimePoint wake_at_;
  bool waits_for_news_ = false, dead_ = false, ended_ = false;
  std::unique_ptr<std::byte[]> stack_;
  ucontext_t context_{};
};

/// How often things break, from 0 to 1.
struct FaultRates {
  double crash = 0;  // at a step
  double stall = 0;  // at a step: nothing of the process runs for up to kLongestStall
  double commit = 0, poll = 0, rebalance = 0, database = 0, store = 0;
};

/// Not thread-safe. Outlives its processes.
class Simulator {
 public:
  static constexpr Duration kLongestStall{30'000};

  /// `print`: each step goes to standard output.
  Simulator(uint64_t seed, bool print) : random_(seed), print_(print) {}

  bool Chance(double probability);
  /// From `first` to `last`, both possible.
  int64_t Pick(int64_t first, int64_t last);
  TimePoint now() const { return now_; }

  /// What happened, for replays to be compared and for people to read.
  void Tell(std::string_view who, std::string_view what);
  uint64_t history() const { return history_; }

  /// Runs for the first time `delay` from now.
  Process& Start(const std::string& name, Process::Main main, Duration delay);
  /// One process runs up to its next step. Processes that have ended are gone afterwards: `ended`
  /// hears of each. False: there are none.
  bool RunOne(const std::function<void(const Process&)>& ended);
  const std::vector<std::unique_ptr<Process>>& processes() const { return processes_; }
  /// Wakes those that wait for it.
  void News();

  FaultRates faults;

 private:
  friend class Process;

  std::mt19937_64 random_;
  const bool print_;
  TimePoint now_{std::chrono::hours(1)};
  uint64_t history_ = 0;
  std::vector<std::unique_ptr<Process>> processes_;
  ucontext_t scheduler_{};
};

}  // namespace trawl::simulation
