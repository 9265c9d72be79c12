#include "worker/allowed_roots.h"

#include <algorithm>
#include <filesystem>
#include <optional>

namespace trawl::worker {
namespace {

namespace fs = std::filesystem;

/// The real path, ending in `/`; none when it cannot be resolved.
std::optional<std::string> Resolve(const std::string& path) {
  std::error_code error;
  const fs::path absolute = fs::absolute(path, error);
  if (error) return std::nullopt;
  std::string real = fs::weakly_canonical(absolute, error).string();
  if (error || real.empty()) return std::nullopt;
  if (!real.ends_with('/')) real += '/';
  return real;
}

}  // namespace

AllowedRoots::AllowedRoots(const std::vector<std::string>& roots) {
  for (const std::string& root : roots) {
    if (root.empty()) continue;
    if (std::optional<std::string> real = Resolve(root)) roots_.push_back(std::move(*real));
  }
}

bool AllowedRoots::Contain(const std::string& path) const {
  // A path with a NUL in it would be another path to the system.
  if (path.empty() || path.find('\0') != std::string::npos) return false;
  const std::optional<std::string> real = Resolve(path);
  return real && std::any_of(roots_.begin(), roots_.end(),
                             [&real](const std::string& root) { return real->starts_with(root); });
}

}  // namespace trawl::worker
