// Goal: what the engine supports of ONNX is what ONNX means by it, and the rest is refused at load.
// Method: the standard's own tests, each with its own inputs and expected outputs, on the fast and
// on the reference kernels. engine/OPERATORS.md lists which pass and which are refused; a test that
// moves from one list to the other makes the page out of date, which fails too.

#include <gtest/gtest.h>
#include <onnx/common/version.h>

#include <cstdlib>
#include <fstream>

#include "tests/conformance/onnx/operators_markdown.h"
#include "tests/conformance/onnx/standard_tests.h"
#include "tests/support/temp_dir.h"

namespace trawl::engine::testing {
namespace {

constexpr const char* kHint = "run this test with TRAWL_UPDATE=1 to write engine/OPERATORS.md anew";

std::vector<JudgedTest> Judge(const std::string& group, bool reference_kernels) {
  std::vector<JudgedTest> judged;
  for (const StandardTest& test : StandardTests(group)) {
    judged.push_back({test, RunStandardTest(test, reference_kernels)});
  }
  return judged;
}

struct Suite {
  std::string group;
  bool reference_kernels;
};

class OnnxConformance : public ::testing::TestWithParam<Suite> {};

TEST_P(OnnxConformance, SupportedModelsAnswerAsTheStandardSays) {
  const std::vector<JudgedTest> judged = Judge(GetParam().group, GetParam().reference_kernels);
  ASSERT_FALSE(judged.empty()) << "no tests: install libonnx-testdata, or set TRAWL_ONNX_TESTDATA";
  int passed = 0;
  for (const auto& [test, outcome] : judged) {
    passed += outcome.verdict == Verdict::kPassed ? 1 : 0;
    if (outcome.verdict == Verdict::kFailed) ADD_FAILURE() << test.name << ": " << outcome.reason;
  }
  EXPECT_GT(passed, 0);
}

std::vector<Suite> Suites() {
  std::vector<Suite> suites;
  for (const std::string& group : kGroups) {
    for (const bool reference : {false, true}) suites.push_back({group, reference});
  }
  return suites;
}

INSTANTIATE_TEST_SUITE_P(Groups, OnnxConformance, ::testing::ValuesIn(Suites()),
                         [](const auto& tested) {
                           std::string name = tested.param.group;
                           std::erase(name, '-');
                           return name + (tested.param.reference_kernels ? "Reference" : "Fast");
                         });

/// The part of the page that is the same whichever release's tests are installed.
std::string OperatorsPart(const std::string& page) {
  return page.substr(0, page.find("## The standard's own tests"));
}

TEST(OperatorsPage, IsCurrent) {
  const std::filesystem::path page =
      std::filesystem::path(TRAWL_SOURCE_DIR) / "engine" / "OPERATORS.md";
  std::vector<JudgedTest> judged;
  for (const std::string& group : kGroups) {
    for (JudgedTest& entry : Judge(group, false)) judged.push_back(std::move(entry));
  }
  const std::string release = onnx::LAST_RELEASE_VERSION;
  const std::string current = OperatorsMarkdown(judged, release);
  if (std::getenv("TRAWL_UPDATE") != nullptr) std::ofstream(page) << current;
  const std::string written = trawl::testing::ReadFile(page);
  EXPECT_EQ(OperatorsPart(written), OperatorsPart(current)) << kHint;
  // The page lists the tests of one release; another's differ.
  if (written.find("The tests of ONNX " + release) != std::string::npos) {
    EXPECT_EQ(written, current) << kHint;
  }
}

}  // namespace
}  // namespace trawl::engine::testing
