#include "worker/memory_limit.h"

#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <vector>

#include "config/check.h"
#include "config/settings.h"
#include "worker/control_groups.h"

namespace trawl::worker {
namespace {

// Version 1 says "no limit" with a number of this size, version 2 with a word.
constexpr int64_t kNoLimit = 1LL << 60;

// Of the limit, in percent. The rest is for code, stacks and threads, librdkafka's queues (some 40
// MiB), SQLite's, the decoders' own processes and what lies in their slots (max-object-bytes each
// at most), and for what a heap holds that nobody uses.
constexpr int64_t kShare = 60;

std::vector<std::string> LimitsOf(int version) {
  if (version == 1) return {"memory.limit_in_bytes"};
  return {"memory.max", "memory.high"};
}

void Tighten(std::optional<MemoryLimit>& limit, int64_t bytes, const std::string& source) {
  if (bytes < kNoLimit && (!limit || bytes < limit->bytes)) limit = {bytes, source};
}

}  // namespace

std::optional<MemoryLimit> TightestMemoryLimit(const std::string& root) {
  std::optional<MemoryLimit> limit;
  for (const ControlGroup& group : ControlGroupsOf("memory", root))
    for (const std::string& name : LimitsOf(group.version)) {
      std::ifstream file(group.folder + "/" + name);
      if (int64_t bytes = 0; file >> bytes) Tighten(limit, bytes, name + " of " + group.folder);
    }
  rlimit addresses{};
  if (getrlimit(RLIMIT_AS, &addresses) == 0 && addresses.rlim_cur < rlim_t{kNoLimit})
    Tighten(limit, static_cast<int64_t>(addresses.rlim_cur), "RLIMIT_AS");
  return limit;
}

int64_t MemoryWithin(const MemoryLimit& limit) {
  const auto& table = SettingTable();
  const auto memory = std::ranges::find(table, "memory", &SettingDef::name);
  CHECK(memory != table.end());
  return std::max(memory->min, limit.bytes / 100 * kShare);
}

}  // namespace trawl::worker
