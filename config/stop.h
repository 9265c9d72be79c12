#pragma once
// The two ways to stop a process. Drain: take nothing new, finish what was accepted, commit, leave.
// Abort: drop everything at once; redelivery heals. The first SIGTERM or SIGINT drains under a
// deadline, the second aborts.

#include <stop_token>

namespace trawl {

/// Tokens to poll or wait on; copies share their source. Abort implies drain (the source requests
/// both).
struct StopSignals {
  std::stop_token drain;
  std::stop_token abort;
};

}  // namespace trawl
