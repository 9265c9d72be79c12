#include "ops/cli/signals.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <utility>

#include "config/check.h"
#include "config/clock.h"
#include "ops/cli/exit_code.h"

namespace trawl::ops {
namespace {

// After the second signal the process is gone in about this time, whatever its threads do.
constexpr std::chrono::milliseconds kAbortTimeout{1'000};

// A handler and a pipe, not a blocked mask and sigwait: OpenBLAS starts threads before main, and
// whatever thread has the signal unblocked would take the default action, which is to die.
int signal_pipe[2] = {-1, -1};

void HandleStopSignal(int) {
  const char byte = 0;
  // Nothing can be done about a full pipe, and nothing needs to be: a signal is pending already.
  [[maybe_unused]] const ssize_t written = write(signal_pipe[1], &byte, 1);
}

/// True when a signal arrived within `timeout_ms`.
bool WaitForSignal(int timeout_ms) {
  pollfd readable{signal_pipe[0], POLLIN, 0};
  char byte = 0;
  return poll(&readable, 1, timeout_ms) > 0 && read(signal_pipe[0], &byte, 1) == 1;
}

}  // namespace

SignalStops::SignalStops(int64_t drain_timeout_ms) {
  CHECK(signal_pipe[0] == -1);  // one a process
  CHECK(pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) == 0);
  struct sigaction action {};
  action.sa_handler = HandleStopSignal;
  action.sa_flags = SA_RESTART;
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);  // a closed connection is an error code, not a death
  receiver_ = std::jthread(
      [this, drain_timeout_ms](std::stop_token stop) { Receive(stop, drain_timeout_ms); });
}

SignalStops::~SignalStops() = default;

void SignalStops::Receive(std::stop_token stop, int64_t drain_timeout_ms) {
  constexpr int kTickMs = 50;  // how long the destructor, or a drain, may have to wait
  bool signalled_before = false;
  std::chrono::steady_clock::time_point deadline;
  while (!stop.stop_requested()) {
    const bool signalled = WaitForSignal(kTickMs);
    const bool again = signalled && std::exchange(signalled_before, true);
    const bool late = drain_.stop_requested() && SystemClock().Now() > deadline;
    if (abort_.stop_requested()) {
      // Somebody is stuck in a library's call. Whatever is not committed will be done again.
      if (late) std::_Exit(kExitInterrupted);
    } else if (late || again) {
      deadline = SystemClock().Now() + kAbortTimeout;
      abort_.request_stop();
    } else if ((signalled || asked_) && !drain_.stop_requested()) {
      deadline = SystemClock().Now() + std::chrono::milliseconds(drain_timeout_ms);
      drain_.request_stop();
    }
  }
}

}  // namespace trawl::ops
