#pragma once
// What a piece of code adds to this process's memory at its worst moment.

#include <cstdio>
#include <fstream>
#include <string>

#include "config/check.h"

namespace trawl::testing {

/// A line of /proc/self/status in bytes, such as "VmHWM:".
inline int64_t StatusBytes(const std::string& name) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    int64_t kib = 0;
    if (word == name && status >> kib) return kib * 1024;
  }
  CHECK(!"a line of /proc/self/status");
  return 0;
}

/// Bytes of resident memory, at their peak during `work`, over those before it. Other threads'
/// counts, too.
template <class Work>
int64_t PeakGrowth(const Work& work) {
  const int64_t before = StatusBytes("VmRSS:");
  std::ofstream("/proc/self/clear_refs") << "5";  // the peak begins anew
  work();
  return StatusBytes("VmHWM:") - before;
}

}  // namespace trawl::testing
