// Goal: what repeats cannot flood the log, and nothing is hidden without being counted. Method:
// chosen times.

#include "ops/telemetry/rate_limit.h"

#include <gtest/gtest.h>

namespace trawl::ops {
namespace {

TEST(RateLimit, LetsABurstThroughAndThenCounts) {
  RateLimit limit(2, 1'000);
  EXPECT_EQ(limit.Admit("a", 0), 0U);
  EXPECT_EQ(limit.Admit("a", 10), 0U);
  EXPECT_EQ(limit.Admit("a", 20), std::nullopt);
  EXPECT_EQ(limit.Admit("a", 999), std::nullopt);
  EXPECT_EQ(limit.Admit("a", 1'000), 2U);
  EXPECT_EQ(limit.Admit("a", 1'001), 0U);
}

TEST(RateLimit, TellsOnceWhatNoLaterMessageTold) {
  RateLimit limit(1, 1'000);
  for (const auto* message : {"a", "a", "a", "b", "c", "c"}) limit.Admit(message, 0);
  using Suppressed = std::vector<std::pair<std::string, uint64_t>>;
  EXPECT_EQ(limit.TakeSuppressed(), (Suppressed{{"a", 2}, {"c", 1}}));
  EXPECT_EQ(limit.TakeSuppressed(), Suppressed{});
  EXPECT_EQ(limit.Admit("a", 1'000), 0U);
}

TEST(RateLimit, KeepsMessagesApart) {
  RateLimit limit(1, 1'000);
  EXPECT_EQ(limit.Admit("a", 0), 0U);
  EXPECT_EQ(limit.Admit("b", 0), 0U);
  EXPECT_EQ(limit.Admit("a", 1), std::nullopt);
}

TEST(RateLimit, DoesNotGrowWithTheNumberOfMessages) {
  RateLimit limit(1, 1'000);
  for (int i = 0; i < 100'000; ++i) ASSERT_EQ(limit.Admit(std::to_string(i), 0), 0U);
}

}  // namespace
}  // namespace trawl::ops
