#include "storage/object_store/http/verdict.h"

#include <algorithm>

namespace trawl::storage {

using std::chrono::milliseconds;

milliseconds BackoffDelay(const Verdict& verdict, int failed_attempts, std::mt19937_64& random) {
  constexpr milliseconds kTransientBase{50}, kThrottleBase{1'000}, kCeiling{20'000};
  constexpr milliseconds kLongestWish{60'000};
  if (verdict.route == Route::kCorrected) return milliseconds(0);
  const milliseconds base = verdict.route == Route::kThrottled ? kThrottleBase : kTransientBase;
  const int doublings = std::clamp(failed_attempts - 1, 0, 16);
  const milliseconds ceiling = std::min(kCeiling, base * (1 << doublings));
  std::uniform_int_distribution<milliseconds::rep> jitter(0, ceiling.count());
  const milliseconds floor =
      std::clamp(verdict.retry_after.value_or(milliseconds(0)), milliseconds(0), kLongestWish);
  // Jitter on top of the wish as well, or everybody who was told "2 s" comes back in the same
  // instant.
  return floor + milliseconds(jitter(random));
}

}  // namespace trawl::storage
