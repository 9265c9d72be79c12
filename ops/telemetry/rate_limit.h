#pragma once
// Lets a burst of each message through per window, and counts the rest.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace trawl::ops {

/// Not thread-safe.
class RateLimit {
 public:
  RateLimit(int burst, int64_t window_ms) : burst_(burst), window_ms_(window_ms) {}

  /// None: suppress this one. Else: write it, and so many like it were suppressed since the last
  /// one was written.
  std::optional<uint64_t> Admit(std::string_view message, int64_t now_ms);

  /// How many of each message were suppressed and not told by Admit, and will not be.
  std::vector<std::pair<std::string, uint64_t>> TakeSuppressed();

 private:
  struct Window {
    int64_t began_ms = 0;
    int written = 0;
    uint64_t suppressed = 0;
  };

  const int burst_;
  const int64_t window_ms_;
  std::map<std::string, Window, std::less<>> windows_;  // at most kMessages
};

}  // namespace trawl::ops
