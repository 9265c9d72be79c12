// Goal and method: see mutants.h. Small pictures of every kind, from a printed seed; meant to be
// run under the address and undefined-behaviour sanitizers too. TRAWL_MUTATIONS sets how many of
// each format (default 1,000), TRAWL_SEED the seed.

#include <gtest/gtest.h>

#include "tests/unit/worker/image/mutants.h"

namespace trawl::worker {
namespace {

using PicturesOfAFormat = std::vector<File> (*)();

class Mutation : public ::testing::TestWithParam<PicturesOfAFormat> {};

TEST_P(Mutation, NeverCrashesAndAlwaysSaysTheSame) {
  const uint64_t count = MutantCount(10'000);
  const uint64_t decoded = ExpectOneVerdictOnMutants(GetParam()(), count);
  // Some survive (flips in tables or metadata), most must not.
  EXPECT_GT(decoded, 0u);
  EXPECT_LT(decoded, count / 2);
}

INSTANTIATE_TEST_SUITE_P(Jpeg, Mutation, ::testing::Values(JpegsOfEveryKind));
INSTANTIATE_TEST_SUITE_P(Png, Mutation, ::testing::Values(PngsOfEveryKind));
INSTANTIATE_TEST_SUITE_P(Webp, Mutation, ::testing::Values(WebpsOfEveryKind));

}  // namespace
}  // namespace trawl::worker
