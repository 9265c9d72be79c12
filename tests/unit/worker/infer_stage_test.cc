// Goal: scores become named predictions, or an error when they are no numbers; an image that fails
// its batch fails alone. Method: chosen scores; an image of the wrong size.

#include "worker/infer_stage.h"

#include <gtest/gtest.h>

#include <limits>
#include <memory>

#include "engine/model_package.h"

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

TEST(InferStage, ABatchThatFailsAsAWholeIsHalvedToTheImage) {
  const auto package = engine::OpenModelPackage(TRAWL_SOURCE_DIR "/ops/sample/model-onnx");
  ASSERT_TRUE(package);
  const auto model = engine::Model::Load(*package);
  ASSERT_TRUE(model);
  FinishedBatches finished;
  WorkBatch work;
  work.objects.resize(7);
  const auto batch = std::make_shared<BatchInFlight>(work, Origin(), "worker", finished);
  std::vector<PreparedImage> images;
  for (WorkItem& item : ItemsOf(batch)) {
    const bool wrong = images.size() == 4;
    images.push_back(
        {std::move(item), *model, Samples((*model)->input_size() - (wrong ? 1 : 0), 100)});
  }
  InferStage(8).Run(std::move(images));
  ASSERT_EQ(finished.TakeAll().size(), 1U);
  const auto records = batch->TakeRecords();
  for (const ResultRecord& record : records)
    EXPECT_EQ(std::holds_alternative<ObjectError>(record.outcome), record.index == 4)
        << record.index;
}

}  // namespace
}  // namespace trawl::worker
