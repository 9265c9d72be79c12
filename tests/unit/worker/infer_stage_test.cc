// Goal: scores become named predictions, or an error when they are no numbers. Method: chosen
// scores.

#include "worker/infer_stage.h"

#include <gtest/gtest.h>

#include <limits>

namespace trawl::worker {
namespace {

TEST(Classify, NamesTheBestByFallingProbability) {
  const float scores[] = {0.1F, 0.6F, 0.3F};
  const auto best = Classify(scores, 2, {"ant", "bee"});
  ASSERT_TRUE(best);
  ASSERT_EQ(best->size(), 2U);
  EXPECT_EQ((*best)[0].class_index, 1);
  EXPECT_EQ((*best)[0].label, "bee");
  EXPECT_EQ((*best)[1].class_index, 2);
  EXPECT_EQ((*best)[1].label, "");  // fewer labels than classes
  EXPECT_EQ(Classify(scores, 99, {})->size(), 3U);
}

TEST(Classify, RefusesScoresThatAreNoNumbers) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    const float scores[] = {0.1F, bad};
    const auto best = Classify(scores, 1, {});
    ASSERT_FALSE(best);
    EXPECT_EQ(best.error().code, ObjectErrorCode::kModelError);
  }
}

}  // namespace
}  // namespace trawl::worker
