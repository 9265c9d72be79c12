#pragma once
// How much memory this process may have, whoever says so, and how much of it may be planned with.

#include <cstdint>
#include <optional>
#include <string>

namespace trawl::worker {

struct MemoryLimit {
  int64_t bytes = 0;
  std::string source;  // "memory.max of /sys/fs/cgroup/jobs/7", "RLIMIT_AS"
};

/// The tightest of what the process's control groups, those around them, and its limit on address
/// space allow; none when nobody sets a limit. `root`: see ControlGroupsOf.
std::optional<MemoryLimit> TightestMemoryLimit(const std::string& root = "");

/// What the setting `memory` may be below `limit`: the rest is for what it does not count. At least
/// as much as the setting has to be.
int64_t MemoryWithin(const MemoryLimit& limit);

}  // namespace trawl::worker
