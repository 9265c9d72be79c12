#pragma once
// How a process gives up what it does not need. Each layer holds by itself; none can be taken back.

#include <cstdint>
#include <string>

#include "worker/sandbox/slot.h"

namespace trawl::worker {

/// The layers, as bits.
enum Layer : uint32_t {
  kNoNewPrivileges = 1,  // no program that it could run gives it more rights
  kResourceLimits = 2,   // processor time, files, processes; address space: see kMemoryLimit
  kMemoryLimit = 4,      // address space
  kNoFiles = 8,          // Landlock: no file can be opened, even by a call that the filter missed
  kSystemCalls = 16,     // seccomp: an allow-list; anything else ends the process
};
inline constexpr uint32_t kAllLayers = 31;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
/// A sanitizer's runtime reserves terabytes of address space, and makes calls of its own to report
/// what it found. So in its builds there is no limit on memory and descriptors, the filter lets a
/// few more calls pass, and what it refuses fails instead of ending the process, which would
/// swallow the report.
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

/// Takes away everything from the calling process but reading and writing `channel`, memory, and
/// ending. Returns the layers that hold now. Call with one thread.
uint32_t LockDown(const Setup& setup, int channel);

/// The layers one by one, for LockDown and its tests: false where the kernel does not allow it.
bool DenyNewPrivileges();
bool LimitResources(const Setup& setup);
bool LimitMemory(const Setup& setup);
bool DenyFiles();
bool FilterSystemCalls(int channel);

/// "no-new-privileges, limits, memory, landlock, seccomp"; with those missing: "… (without
/// landlock)".
std::string PostureText(uint32_t layers);

}  // namespace trawl::worker
