#include "engine/thread_team.h"

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "config/check.h"

namespace trawl::engine {
namespace {

/// Kernels of one run follow each other within this time; beyond it a waiting thread gives its core
/// back.
constexpr std::chrono::microseconds kSpin{50};

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

/// Returns once `value` is not `old`: spins for kSpin, then sleeps in the kernel.
uint32_t AwaitChange(const std::atomic<uint32_t>& value, uint32_t old) {
  constexpr int kPausesPerLook = 64;  // the clock costs as much as some pauses
  const auto deadline = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < kPausesPerLook; ++i) {
      const uint32_t now = value.load(std::memory_order_acquire);
      if (now != old) return now;
      Pause();
    }
  } while (std::chrono::steady_clock::now() < deadline);
  value.wait(old, std::memory_order_acquire);
  return value.load(std::memory_order_acquire);
}

}  // namespace

/// A task is claimed by taking 1 from `remaining`. Who has claimed one may read `call`, which stays
/// as it is until all tasks are done; so a thread that slept through whole calls claims from the
/// present one, or nothing, and none waits for it.
struct ThreadTeam::State {
  static constexpr uint32_t kStop = UINT32_MAX;

  Call call;
  uint32_t tasks = 0;
  alignas(64) std::atomic<uint32_t> remaining{0};
  alignas(64) std::atomic<uint32_t> done{0};
  std::vector<std::jthread> threads;

  /// False when there is nothing to claim now.
  bool RunOne(int member) {
    uint32_t left = remaining.load(std::memory_order_acquire);
    do {
      if (left == 0 || left == kStop) return false;
    } while (!remaining.compare_exchange_weak(left, left - 1, std::memory_order_acq_rel,
                                              std::memory_order_acquire));
    const uint32_t all = tasks;
    call.function(call.context, all - left, member);
    // The caller sleeps only for the last one.
    if (done.fetch_add(1, std::memory_order_acq_rel) + 1 == all) done.notify_one();
    return true;
  }

  void Serve(int member) noexcept {
    for (;;) {
      if (RunOne(member)) continue;
      const uint32_t left = remaining.load(std::memory_order_acquire);
      if (left == kStop || (left == 0 && AwaitChange(remaining, 0) == kStop)) return;
    }
  }
};

ThreadTeam::ThreadTeam(int size) : size_(size) {
  CHECK(size >= 1);
  if (size == 1) return;
  state_ = std::make_unique<State>();
  for (int member = 1; member < size; ++member) {
    state_->threads.emplace_back([state = state_.get(), member] { state->Serve(member); });
  }
}

ThreadTeam::~ThreadTeam() {
  if (state_ == nullptr) return;
  state_->remaining.store(State::kStop, std::memory_order_release);
  state_->remaining.notify_all();
}

void ThreadTeam::Run(int64_t tasks, Call call) {
  CHECK(tasks < State::kStop);
  State& state = *state_;
  state.call = call;
  state.tasks = static_cast<uint32_t>(tasks);
  state.done.store(0, std::memory_order_relaxed);
  state.remaining.store(state.tasks, std::memory_order_release);
  state.remaining.notify_all();
  while (state.RunOne(0)) {
  }
  for (uint32_t done = state.done.load(std::memory_order_acquire); done != state.tasks;) {
    done = AwaitChange(state.done, done);
  }
}

}  // namespace trawl::engine
