// Goal: the progress line is honest: no time left while the listing goes on, no more than the
// terminal's width. Method: the exact strings.
#include "ops/cli/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace trawl::ops {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(FormatProgress, ShowsCountsRateAndTimeLeft) {
  EXPECT_EQ(
      FormatProgress(
          {.enqueued = 300, .listing = false, .done = 148, .failed = 2, .rate_per_second = 10},
          120),
      "[===============               ] 150/300  2 failed  10/s  15 s left");
}

TEST(FormatProgress, PromisesNoEndWhileListing) {
  const std::string line =
      FormatProgress({.enqueued = 300, .listing = true, .done = 10, .rate_per_second = 10}, 120);
  EXPECT_THAT(line, HasSubstr("10/300+ (listing)"));
  EXPECT_THAT(line, Not(HasSubstr("left")));
}

TEST(FormatProgress, SurvivesZeroAndMoreEndedThanEnqueued) {
  EXPECT_THAT(FormatProgress({}, 120), HasSubstr("0/0"));
  EXPECT_THAT(
      FormatProgress({.enqueued = 1, .listing = false, .done = 5, .rate_per_second = 1}, 120),
      Not(HasSubstr("left")));
  EXPECT_LE(FormatProgress({.enqueued = 300}, 20).size(), 20u);
}

TEST(FormatListing, SaysWhatWasListedAndWhatOfItIsTaken) {
  EXPECT_EQ(FormatListing(1'203'000, 401'000, 8430.6),
            "1203000 keys listed, 401000 enqueued  8431/s");
}

}  // namespace
}  // namespace trawl::ops
