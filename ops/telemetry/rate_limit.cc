#include "ops/telemetry/rate_limit.h"

namespace trawl::ops {
namespace {

// Messages are constants of the source, a few dozen of them. Should somebody break that rule, the
// table starts afresh rather than grow.
constexpr size_t kMessages = 512;

}  // namespace

std::optional<uint64_t> RateLimit::Admit(std::string_view message, int64_t now_ms) {
  auto found = windows_.find(message);
  if (found == windows_.end()) {
    if (windows_.size() >= kMessages) windows_.clear();
    found = windows_.emplace(message, Window{now_ms, 0, 0}).first;
  }
  Window& window = found->second;
  uint64_t suppressed = 0;
  if (now_ms - window.began_ms >= window_ms_) {
    suppressed = window.suppressed;
    window = {now_ms, 0, 0};
  }
  if (window.written == burst_) {
    ++window.suppressed;
    return std::nullopt;
  }
  ++window.written;
  return suppressed;
}

std::vector<std::pair<std::string, uint64_t>> RateLimit::TakeSuppressed() {
  std::vector<std::pair<std::string, uint64_t>> taken;
  for (auto& [message, window] : windows_) {
    if (window.suppressed > 0) taken.emplace_back(message, std::exchange(window.suppressed, 0));
  }
  return taken;
}

}  // namespace trawl::ops
