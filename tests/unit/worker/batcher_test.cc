// Goal: inference batches are full when there is enough, and never mix models. Method: chosen
// arrivals at chosen times.

#include "worker/batcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/check.h"

namespace trawl::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// Images are told apart by their only input value; models by identity alone, so empty ones do.
class BatcherTest : public ::testing::Test {
 protected:
  BatcherTest() {
    WorkBatch work;
    work.objects.resize(1'000);
    items_ = ItemsOf(std::make_shared<BatchInFlight>(std::move(work), Origin{}, "me", finished_));
  }

  /// Not a model, but the address of one: the batcher only compares it.
  static std::shared_ptr<const engine::Model> FakeModel(char& place) {
    return {std::shared_ptr<char>(), reinterpret_cast<const engine::Model*>(&place)};
  }

  PreparedImage Image(uint8_t number, std::shared_ptr<const engine::Model> model) {
    CHECK(!items_.empty());
    PreparedImage image{std::move(items_.back()), std::move(model), {number}};
    items_.pop_back();
    return image;
  }

  static std::vector<int> Numbers(const std::vector<PreparedImage>& batch) {
    std::vector<int> numbers;
    for (const PreparedImage& image : batch) numbers.push_back(image.levels[0]);
    return numbers;
  }

  FinishedBatches finished_;
  std::vector<WorkItem> items_;
  char places_[2] = {};
  const std::shared_ptr<const engine::Model> cats_ = FakeModel(places_[0]);
  const std::shared_ptr<const engine::Model> dogs_ = FakeModel(places_[1]);
};

TEST_F(BatcherTest, AFullBatchIsTheOldestOfOneModel) {
  Batcher batcher(3);
  for (uint8_t i = 0; i < 4; ++i) batcher.Add(Image(i, cats_), {});
  EXPECT_THAT(Numbers(batcher.TakeFull()), ElementsAre(0, 1, 2));
  EXPECT_THAT(batcher.TakeFull(), IsEmpty());
  EXPECT_EQ(batcher.size(), 1U);
}

TEST_F(BatcherTest, NeverMixesModels) {
  Batcher batcher(3);
  for (uint8_t i = 0; i < 5; ++i) batcher.Add(Image(i, i % 2 == 0 ? cats_ : dogs_), {});
  EXPECT_THAT(Numbers(batcher.TakeFull()), ElementsAre(0, 2, 4));
  EXPECT_THAT(batcher.TakeFull(), IsEmpty());
  EXPECT_THAT(Numbers(batcher.TakeAny()), ElementsAre(1, 3));
  EXPECT_THAT(batcher.TakeAny(), IsEmpty());
}

TEST_F(BatcherTest, OfSeveralModelsTheOldestImagesComesFirst) {
  Batcher batcher(2);
  for (uint8_t i = 0; i < 4; ++i) batcher.Add(Image(i, i == 0 || i == 3 ? dogs_ : cats_), {});
  EXPECT_THAT(Numbers(batcher.TakeFull()), ElementsAre(0, 3));
  EXPECT_THAT(Numbers(batcher.TakeAny()), ElementsAre(1, 2));
}

TEST_F(BatcherTest, KnowsSinceWhenItsOldestImageWaits) {
  Batcher batcher(8);
  EXPECT_FALSE(batcher.oldest());
  const Batcher::TimePoint first{std::chrono::seconds(5)};
  batcher.Add(Image(0, cats_), first);
  batcher.Add(Image(1, dogs_), first + std::chrono::seconds(1));
  EXPECT_EQ(batcher.oldest(), first);
  EXPECT_THAT(Numbers(batcher.TakeAny()), ElementsAre(0));
  EXPECT_EQ(batcher.oldest(), first + std::chrono::seconds(1));
}

}  // namespace
}  // namespace trawl::worker
