#include <algorithm>
#include <ctime>
#include <random>

#include "config/clock.h"
#include "producer/producer.h"

namespace trawl::producer {
namespace {

constexpr size_t kMaxJobIdBytes = 100;

bool IsJobIdCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

}  // namespace

Status CheckJobId(const std::string& job_id) {
  if (!job_id.empty() && job_id.size() <= kMaxJobIdBytes &&
      std::ranges::all_of(job_id, IsJobIdCharacter))
    return OkStatus();
  return Error(Code::kInvalidArgument,
               "job name '{}': 1 to {} letters, digits, '.', '_' and '-' are allowed", job_id,
               kMaxJobIdBytes);
}

std::string GenerateJobId() {
  const auto now = static_cast<time_t>(SystemClock().WallMillis() / 1000);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y%m%d-%H%M%S", &utc);
  return fmt::format("{}-{:06x}", text, std::random_device()() & 0xFFFFFFu);
}

}  // namespace trawl::producer
