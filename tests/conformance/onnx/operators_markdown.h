#pragma once
// engine/OPERATORS.md: what the loaders support, as the standard's tests show it.

#include <string>
#include <vector>

#include "tests/conformance/onnx/standard_tests.h"

namespace trawl::engine::testing {

struct JudgedTest {
  StandardTest test;
  Outcome outcome;
};

/// `release`: of the standard whose tests these are.
std::string OperatorsMarkdown(const std::vector<JudgedTest>& judged, const std::string& release);

}  // namespace trawl::engine::testing
