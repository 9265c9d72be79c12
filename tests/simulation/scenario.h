#pragma once
// One seed's history: a job of a few dozen keys, its producer, workers and collector as supervised
// processes, everything that may break, then quiet, and the oracle.

#include <cstdint>
#include <string>

namespace trawl::simulation {

struct ScenarioOptions {
  uint64_t seed = 0;
  std::string bug;     // support/mutant_log.h, or "rows-apart"; empty: none
  bool print = false;  // the history, to standard output
};

struct ScenarioOutcome {
  std::string problem;   // empty: each key ended exactly once, and all accounts agree
  uint64_t history = 0;  // equal for equal histories
  int deaths = 0, drains = 0, aborted = 0;
  uint64_t keys = 0;
};

ScenarioOutcome Simulate(const ScenarioOptions& options);

}  // namespace trawl::simulation
