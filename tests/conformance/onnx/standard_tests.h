#pragma once
// The standard's own tests: small models with inputs and the outputs that belong to them.

#include <filesystem>
#include <string>
#include <vector>

namespace trawl::engine::testing {

/// One model; its data sets lie in folders beside it.
struct StandardTest {
  std::string group;  // node, simple, pytorch-operator, pytorch-converted
  std::string name;   // test_relu
  std::filesystem::path folder;
};

enum class Verdict { kPassed, kRefused, kFailed };

struct Outcome {
  Verdict verdict = Verdict::kFailed;
  std::string reason;  // why it was refused or what is wrong; empty when it passed
};

inline const std::vector<std::string> kGroups = {"node", "simple", "pytorch-operator",
                                                 "pytorch-converted"};

/// All tests of a group, sorted; empty when they are not installed. The folder is that of Debian's
/// libonnx-testdata, or $TRAWL_ONNX_TESTDATA.
std::vector<StandardTest> StandardTests(const std::string& group);

/// Loads and runs a test's model on each of its data sets. Refused: loading or compiling answers
/// kUnimplemented and names the node and its operator, or the input. Everything else that is not
/// the expected output has failed.
Outcome RunStandardTest(const StandardTest& test, bool reference_kernels);

}  // namespace trawl::engine::testing
