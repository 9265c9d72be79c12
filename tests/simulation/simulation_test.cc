// Goal: whatever breaks, and whenever, each key ends exactly once; and histories that tell of bugs
// can be told again. Method: producer, worker and collector as they are, on one thread, in a world
// whose every call may fail, take long or be the last; 200 seeds, an oracle at the end of each, and
// bugs that it has to see. trawl_simulate runs more seeds, or prints one.

#include <gtest/gtest.h>

#include "tests/simulation/scenario.h"

namespace trawl::simulation {
namespace {

constexpr uint64_t kSeeds = 200;

TEST(Simulation, EachKeyEndsExactlyOnceInTwoHundredHistories) {
  int deaths = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const ScenarioOutcome outcome = Simulate({.seed = seed, .bug = ""});
    EXPECT_EQ(outcome.problem, "") << "seed " << seed << ": trawl_simulate --tell " << seed;
    deaths += outcome.deaths;
  }
  EXPECT_GT(deaths, 200) << "it was too quiet to show anything";
}

TEST(Simulation, ASeedIsTheSameHistoryEachTime) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    const uint64_t history = Simulate({.seed = seed, .bug = ""}).history;
    EXPECT_EQ(Simulate({.seed = seed, .bug = ""}).history, history) << seed;
    EXPECT_NE(Simulate({.seed = seed + kSeeds, .bug = ""}).history, history) << seed;
  }
}

class SimulationOfABug : public ::testing::TestWithParam<const char*> {};

TEST_P(SimulationOfABug, IsCaughtWithinTwoHundredHistories) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const ScenarioOutcome outcome = Simulate({.seed = seed, .bug = GetParam()});
    if (outcome.problem.empty()) continue;
    std::printf("seed %d: %s\n", static_cast<int>(seed), outcome.problem.c_str());
    return;
  }
  ADD_FAILURE() << GetParam() << " goes unnoticed";
}

INSTANTIATE_TEST_SUITE_P(Bugs, SimulationOfABug,
                         ::testing::Values("dropped", "doubled", "auto-commit", "early-offset",
                                           "offsets-apart", "believed", "reset-latest",
                                           "rows-apart"));

}  // namespace
}  // namespace trawl::simulation
