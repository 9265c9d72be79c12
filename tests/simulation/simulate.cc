// Many seeds, one after the other, or one of them told step by step:
//   trawl_simulate --seeds N --first S    exit code 1 when a seed breaks the promise; names each
//   trawl_simulate --tell S               prints what happened
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "tests/simulation/scenario.h"

namespace {

void Report(uint64_t seed, const trawl::simulation::ScenarioOutcome& outcome) {
  std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed),
              outcome.problem.empty() ? "each key once" : outcome.problem.c_str());
  std::fflush(stdout);
}

}  // namespace

int main(int count, char** arguments) {
  uint64_t seeds = 200, first = 1;
  bool tell = false;
  for (int i = 1; i < count; i += 2) {
    const std::string_view name = arguments[i];
    if (i + 1 == count || (name != "--seeds" && name != "--first" && name != "--tell")) {
      std::fputs("usage: trawl_simulate [--seeds N] [--first S] | --tell S\n", stderr);
      return 2;
    }
    const uint64_t value = std::strtoull(arguments[i + 1], nullptr, 10);
    if (name == "--seeds") seeds = value;
    if (name != "--seeds") first = value;
    if (name == "--tell") seeds = 1, tell = true;
  }
  uint64_t broken = 0, keys = 0, deaths = 0;
  for (uint64_t seed = first; seed < first + seeds; ++seed) {
    const auto outcome = trawl::simulation::Simulate({.seed = seed, .bug = "", .print = tell});
    keys += outcome.keys;
    deaths += static_cast<uint64_t>(outcome.deaths);
    if (outcome.problem.empty() && !tell) continue;
    broken += outcome.problem.empty() ? 0 : 1;
    Report(seed, outcome);
  }
  std::printf("%llu seeds, %llu keys, %llu deaths: %llu seeds broke the promise\n",
              static_cast<unsigned long long>(seeds), static_cast<unsigned long long>(keys),
              static_cast<unsigned long long>(deaths), static_cast<unsigned long long>(broken));
  return broken == 0 ? 0 : 1;
}
