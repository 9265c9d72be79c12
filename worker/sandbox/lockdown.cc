#include "worker/sandbox/lockdown.h"

#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <string_view>

namespace trawl::worker {
namespace {

bool Limit(__rlimit_resource resource, rlim_t most) {
  const rlimit limit{most, most};
  return setrlimit(resource, &limit) == 0;
}

/// Bytes of address space in use; 0 when unknown.
rlim_t AddressSpace() {
  std::FILE* file = std::fopen("/proc/self/statm", "re");
  if (file == nullptr) return 0;
  unsigned long pages = 0;
  const bool read = std::fscanf(file, "%lu", &pages) == 1;
  std::fclose(file);
  return read ? pages * static_cast<rlim_t>(sysconf(_SC_PAGESIZE)) : 0;
}

constexpr struct {
  Layer layer;
  std::string_view name;
} kNames[] = {{kNoNewPrivileges, "no-new-privileges"},
              {kResourceLimits, "limits"},
              {kMemoryLimit, "memory"},
              {kNoFiles, "landlock"},
              {kSystemCalls, "seccomp"}};

std::string NamesOf(uint32_t layers) {
  std::string names;
  for (const auto& [layer, name] : kNames)
    if ((layers & layer) != 0) names.append(names.empty() ? "" : ", ").append(name);
  return names;
}

}  // namespace

bool DenyNewPrivileges() {
  // Not dumpable: no other process of this user may look into it or attach to it.
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0;
}

bool LimitResources(const Setup& setup) {
  // A sanitizer asks a pipe whether memory is readable.
  return Limit(RLIMIT_CPU, setup.cpu_seconds) && (kSanitized || Limit(RLIMIT_NOFILE, 0)) &&
         Limit(RLIMIT_NPROC, 0) && Limit(RLIMIT_CORE, 0) && Limit(RLIMIT_FSIZE, 0);
}

bool LimitMemory(const Setup& setup) {
  if (kSanitized) return false;
  const rlim_t used = AddressSpace();
  return used > 0 && Limit(RLIMIT_AS, used + setup.memory_bytes);
}

bool DenyFiles() {
  const long version =
      syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (version < 1) return false;
  // Every right that the first version knows; what later ones add (rename across folders, truncate,
  // sockets) needs a file that was opened, or a call that the filter refuses.
  landlock_ruleset_attr rules{};
  rules.handled_access_fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;
  const long ruleset = syscall(SYS_landlock_create_ruleset, &rules, sizeof rules, 0);
  if (ruleset < 0) return false;
  const bool denied = syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
  close(static_cast<int>(ruleset));
  return denied;
}

uint32_t LockDown(const Setup& setup, int channel) {
  uint32_t layers = 0;
  // In this order: memory is measured through a file, Landlock and seccomp need no_new_privs, and
  // the filter refuses what the others are made with. Files are limited once none is opened more.
  if (DenyNewPrivileges()) layers |= kNoNewPrivileges;
  if (LimitMemory(setup)) layers |= kMemoryLimit;
  if (DenyFiles()) layers |= kNoFiles;
  if (LimitResources(setup)) layers |= kResourceLimits;
  if (FilterSystemCalls(channel)) layers |= kSystemCalls;
  return layers;
}

std::string PostureText(uint32_t layers) {
  const std::string missing = NamesOf(~layers & kAllLayers), active = NamesOf(layers & kAllLayers);
  if (missing.empty()) return active;
  return (active.empty() ? "nothing" : active) + " (without " + missing + ")";
}

}  // namespace trawl::worker
