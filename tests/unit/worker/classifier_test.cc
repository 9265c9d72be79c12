// Goal: one picture in, its named classes out; what is no picture gets the error that the pipeline
// would give.
// Method: the sample's model and all of its bucket, whose truth.tsv says what was drawn and what is
// broken.

#include "worker/classifier.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "tests/support/temp_dir.h"
#include "worker/models/model_source.h"

namespace trawl::worker {
namespace {

const std::filesystem::path kSample = std::filesystem::path(TRAWL_SOURCE_DIR) / "ops/sample";

ObjectResult<std::vector<Prediction>> ClassifyFile(Classifier& classifier, const std::string& key,
                                                   int top_k) {
  const std::string bytes = testing::ReadFile(kSample / "bucket" / key);
  return classifier.Classify(std::as_bytes(std::span(bytes)), top_k);
}

TEST(Classifier, NamesWhatTheSampleShowsAndRefusesWhatIsBroken) {
  const auto named = LoadNamedModel((kSample / "model-onnx").string(), "", Settings(), {});
  ASSERT_TRUE(named) << named.error().message();
  const auto classifier = Classifier::Create(named->model, {});
  ASSERT_TRUE(classifier) << classifier.error().message();
  std::ifstream truth(kSample / "truth.tsv");
  int good = 0, right = 0, broken = 0;
  std::string line;
  std::getline(truth, line);
  while (std::getline(truth, line)) {
    std::istringstream cells(line);
    std::string key, label, error;
    std::getline(cells, key, '\t');
    std::getline(cells, label, '\t');
    std::getline(cells, error, '\t');
    const auto predictions = ClassifyFile(**classifier, key, 3);
    if (!error.empty()) {
      ++broken;
      ASSERT_FALSE(predictions) << key;
      EXPECT_EQ(ToString(predictions.error().code), error) << key;
      continue;
    }
    ASSERT_TRUE(predictions) << key << ": " << predictions.error().message;
    ASSERT_EQ(predictions->size(), 3u);
    EXPECT_GE((*predictions)[0].probability, (*predictions)[1].probability);
    ++good;
    right += (*predictions)[0].label == label;
  }
  EXPECT_GE(broken, 5);
  EXPECT_GE(good, 250);
  EXPECT_GE(right * 100, good * 95);
}

}  // namespace
}  // namespace trawl::worker
