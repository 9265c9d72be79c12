#pragma once
// Which local files a worker may read on behalf of a message.

#include <string>
#include <vector>

namespace trawl::worker {

/// Immutable, thread-safe.
class AllowedRoots {
 public:
  explicit AllowedRoots(const std::vector<std::string>& roots);

  /// True when `path`, with symbolic links resolved, is one of the roots or lies below one. What
  /// does not exist is judged by the part of its path that does.
  bool Contain(const std::string& path) const;

 private:
  std::vector<std::string> roots_;  // absolute, resolved, ending in `/`
};

}  // namespace trawl::worker
