#include "tests/simulation/simulator.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <utility>

#include "config/check.h"

namespace trawl::simulation {
namespace {

constexpr size_t kStackBytes = 512U << 10;
/// 14 November 2023, and the simulated time behind it.
constexpr int64_t kEpochMs = 1'700'000'000'000;

}  // namespace

Process::Process(Simulator& simulator, std::string name, Main main)
    : simulator_(simulator),
      name_(std::move(name)),
      main_(std::move(main)),
      stack_(std::make_unique_for_overwrite<std::byte[]>(kStackBytes)) {
  getcontext(&context_);
  context_.uc_stack.ss_sp = stack_.get();
  context_.uc_stack.ss_size = kStackBytes;
  context_.uc_link = &simulator.scheduler_;
  // makecontext passes on nothing but ints.
  const auto self = reinterpret_cast<uintptr_t>(this);
  makecontext(&context_, reinterpret_cast<void (*)()>(&Process::Enter), 2,
              static_cast<uint32_t>(self >> 32U), static_cast<uint32_t>(self));
}

void Process::Enter(uint32_t high, uint32_t low) {
  auto* const self = reinterpret_cast<Process*>(uintptr_t{high} << 32U | uintptr_t{low});
  self->main_(*self);
  self->ended_ = true;
}

bool Process::YieldUntil(TimePoint wake_at) {
  if (dead_) return false;
  wake_at_ = wake_at;
  CHECK(swapcontext(&context_, &simulator_.scheduler_) == 0);
  waits_for_news_ = false;
  if (dead_) return false;
  for (int64_t i = simulator_.Pick(0, 4); i > 0 && background_ && !dead_; --i) background_();
  return !dead_;
}

bool Process::Step(std::string_view what) {
  if (dead_) return false;
  simulator_.Tell(name_, what);
  Duration takes(simulator_.Pick(0, 3));
  if (simulator_.Chance(simulator_.faults.stall)) {
    takes = Duration(simulator_.Pick(0, Simulator::kLongestStall.count()));
    simulator_.Tell(name_, "stalls");
  }
  if (!YieldUntil(simulator_.now() + takes)) return false;
  if (simulator_.Chance(simulator_.faults.crash)) Die();
  return !dead_;
}

bool Process::WaitForNews(TimePoint until) {
  waits_for_news_ = true;
  return YieldUntil(until);
}

void Process::Die() {
  if (dead_) return;
  simulator_.Tell(name_, "dies");
  dead_ = true;
  wake_at_ = simulator_.now();
  // Not the end itself, but loops that only watch these end by them.
  abort_.request_stop();
  drain_.request_stop();
}

void Process::Drain() {
  if (dead_) return;
  simulator_.Tell(name_, "drains");
  drain_.request_stop();
  wake_at_ = std::min(wake_at_, simulator_.now() + Duration(1));
}

TimePoint Process::Now() const { return simulator_.now(); }

int64_t Process::WallMillis() const {
  return kEpochMs +
         std::chrono::duration_cast<Duration>(simulator_.now().time_since_epoch()).count();
}

bool Process::SleepFor(Duration duration, std::stop_token stop) {
  const TimePoint until = Now() + duration;
  while (!stop.stop_requested() && Now() < until && YieldUntil(until)) continue;
  return !dead_ && !stop.stop_requested();
}

bool Simulator::Chance(double probability) {
  if (probability <= 0) return false;
  return static_cast<double>(random_() >> 11U) * 0x1p-53 < probability;
}

int64_t Simulator::Pick(int64_t first, int64_t last) {
  // Not std::uniform_int_distribution: that may differ between libraries.
  const auto width = static_cast<uint64_t>(last - first) + 1;
  return first + static_cast<int64_t>(random_() % width);
}

void Simulator::Tell(std::string_view who, std::string_view what) {
  const auto at = std::chrono::duration_cast<Duration>(now_.time_since_epoch()).count();
  const std::string line = fmt::format("{:>10} {:<12} {}", at, who, what);
  for (const char letter : line)
    history_ = (history_ ^ static_cast<unsigned char>(letter)) * 0x100000001B3U;  // FNV-1a
  if (print_) std::puts(line.c_str());
}

Process& Simulator::Start(const std::string& name, Process::Main main, Duration delay) {
  processes_.push_back(std::unique_ptr<Process>(new Process(*this, name, std::move(main))));
  processes_.back()->wake_at_ = now_ + delay;
  return *processes_.back();
}

bool Simulator::RunOne(const std::function<void(const Process&)>& ended) {
  if (processes_.empty()) return false;
  TimePoint next = TimePoint::max();
  for (const auto& each : processes_) next = std::min(next, each->wake_at_);
  now_ = std::max(now_, next);
  std::vector<size_t> ready;
  for (size_t i = 0; i < processes_.size(); ++i)
    if (processes_[i]->wake_at_ <= now_) ready.push_back(i);
  const size_t chosen = ready[static_cast<size_t>(Pick(0, static_cast<int64_t>(ready.size()) - 1))];
  Process& process = *processes_[chosen];
  CHECK(swapcontext(&scheduler_, &process.context_) == 0);
  if (!process.ended_) return true;
  const std::unique_ptr<Process> gone = std::move(processes_[chosen]);
  processes_.erase(processes_.begin() + static_cast<ptrdiff_t>(chosen));
  ended(*gone);
  return true;
}

void Simulator::News() {
  for (const auto& each : processes_)
    if (each->waits_for_news_) each->wake_at_ = std::min(each->wake_at_, now_);
}

}  // namespace trawl::simulation
