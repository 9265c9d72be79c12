#pragma once
// The size of the cache that kernels cut their work for.

#include <unistd.h>

#include <algorithm>
#include <cstdint>

namespace trawl::engine {

/// Bytes of a core's second-level cache; 1 MiB where the system does not tell, and within bounds
/// between which the kernels' arithmetic makes sense.
inline int64_t SecondLevelCacheBytes() {
  static const int64_t bytes = [] {
    const int64_t told = sysconf(_SC_LEVEL2_CACHE_SIZE);
    return told <= 0 ? int64_t{1} << 20 : std::clamp<int64_t>(told, 256 << 10, 4 << 20);
  }();
  return bytes;
}

}  // namespace trawl::engine
