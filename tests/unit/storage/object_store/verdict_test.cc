// Goal: waiting times stay within their ceilings, spread out, and honour the server.
// Method: many draws from a seeded generator.
#include "storage/object_store/http/verdict.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace trawl::storage {
namespace {

using std::chrono::milliseconds;

std::pair<milliseconds, milliseconds> Range(const Verdict& verdict, int failed) {
  std::mt19937_64 random(1);
  milliseconds least = milliseconds::max(), most{0};
  for (int i = 0; i < 2'000; ++i) {
    const milliseconds delay = BackoffDelay(verdict, failed, random);
    least = std::min(least, delay);
    most = std::max(most, delay);
  }
  return {least, most};
}

void ExpectRange(const Verdict& verdict, int failed, int floor_ms, int ceiling_ms) {
  const auto [least, most] = Range(verdict, failed);
  const int span = ceiling_ms - floor_ms;
  EXPECT_GE(least.count(), floor_ms);
  EXPECT_LE(least.count(), floor_ms + span / 10);
  EXPECT_LE(most.count(), ceiling_ms);
  EXPECT_GE(most.count(), ceiling_ms - span / 10);
}

TEST(BackoffDelay, DoublesFromTheBaseUpToTheCeilingWithFullJitter) {
  const Verdict retry{Route::kRetry, {}, {}}, throttled{Route::kThrottled, {}, {}};
  ExpectRange(retry, 1, 0, 50);
  ExpectRange(retry, 3, 0, 200);
  ExpectRange(retry, 100, 0, 20'000);
  ExpectRange(throttled, 1, 0, 1'000);
  ExpectRange(throttled, 4, 0, 8'000);
}

TEST(BackoffDelay, RetryAfterIsAFloorUpToAMinute) {
  ExpectRange({Route::kThrottled, {}, milliseconds(3'000)}, 1, 3'000, 4'000);
  ExpectRange({Route::kThrottled, {}, milliseconds(3'600'000)}, 1, 60'000, 61'000);
  ExpectRange({Route::kThrottled, {}, milliseconds(-5)}, 1, 0, 1'000);
}

TEST(BackoffDelay, ACorrectedRequestGoesAtOnce) {
  std::mt19937_64 random(1);
  EXPECT_EQ(BackoffDelay({Route::kCorrected, {}, {}}, 1, random), milliseconds(0));
}

}  // namespace
}  // namespace trawl::storage
