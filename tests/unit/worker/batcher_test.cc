// Goal: inference batches are full when there is enough, wait no longer than told when there is
// not, and never mix models. Method: chosen arrivals; an hour's delay where a test must not depend
// on time, none where it must.

#include "worker/batcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "config/check.h"

namespace trawl::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::chrono::hours kForever{1};

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

  PreparedImage Image(int number, std::shared_ptr<const engine::Model> model) {
    CHECK(!items_.empty());
    PreparedImage image{std::move(items_.back()), std::move(model), {static_cast<float>(number)}};
    items_.pop_back();
    return image;
  }

  static std::vector<int> Numbers(const std::vector<PreparedImage>& batch) {
    std::vector<int> numbers;
    for (const PreparedImage& image : batch) numbers.push_back(static_cast<int>(image.input[0]));
    return numbers;
  }

  FinishedBatches finished_;
  std::vector<WorkItem> items_;
  char places_[2] = {};
  const std::shared_ptr<const engine::Model> cats_ = FakeModel(places_[0]);
  const std::shared_ptr<const engine::Model> dogs_ = FakeModel(places_[1]);
};

TEST_F(BatcherTest, GivesAFullBatchAtOnce) {
  Batcher batcher(8, 3, kForever);
  for (int i = 0; i < 4; ++i) ASSERT_EQ(batcher.Push(Image(i, cats_), {}), PushResult::kOk);
  EXPECT_THAT(Numbers(batcher.Next({})), ElementsAre(0, 1, 2));
  EXPECT_EQ(batcher.depth(), 1U);
}

TEST_F(BatcherTest, GivesAPartialBatchOnceItIsOldEnough) {
  Batcher batcher(8, 3, std::chrono::milliseconds(1));
  ASSERT_EQ(batcher.Push(Image(7, cats_), {}), PushResult::kOk);
  EXPECT_THAT(Numbers(batcher.Next({})), ElementsAre(7));
}

TEST_F(BatcherTest, NeverMixesModels) {
  Batcher batcher(8, 3, kForever);
  for (int i = 0; i < 5; ++i)
    ASSERT_EQ(batcher.Push(Image(i, i % 2 == 0 ? cats_ : dogs_), {}), PushResult::kOk);
  EXPECT_THAT(Numbers(batcher.Next({})), ElementsAre(0, 2, 4));
  batcher.Close();
  EXPECT_THAT(Numbers(batcher.Next({})), ElementsAre(1, 3));
  EXPECT_THAT(batcher.Next({}), IsEmpty());
}

TEST_F(BatcherTest, DoesNotWaitForRoomThatOnlyItCanMake) {
  Batcher batcher(4, 4, kForever);
  for (int i = 0; i < 4; ++i)
    ASSERT_EQ(batcher.Push(Image(i, i % 2 == 0 ? cats_ : dogs_), {}), PushResult::kOk);
  EXPECT_THAT(Numbers(batcher.Next({})), ElementsAre(0, 2));
}

TEST_F(BatcherTest, AWaitingReaderGetsTheBatchThatFillsUp) {
  Batcher batcher(8, 3, kForever);
  std::vector<int> got;
  std::jthread reader([&] { got = Numbers(batcher.Next({})); });
  for (int i = 0; i < 3; ++i) ASSERT_EQ(batcher.Push(Image(i, cats_), {}), PushResult::kOk);
  reader.join();
  EXPECT_THAT(got, ElementsAre(0, 1, 2));
}

TEST_F(BatcherTest, LetsReadersAndWritersGoWhenStopped) {
  Batcher full(1, 1, kForever), empty(1, 1, kForever), partial(4, 4, kForever);
  ASSERT_EQ(full.Push(Image(0, cats_), {}), PushResult::kOk);
  ASSERT_EQ(partial.Push(Image(1, cats_), {}), PushResult::kOk);
  std::stop_source stop;
  std::vector<std::jthread> threads;
  threads.emplace_back([&, image = Image(2, cats_)]() mutable {
    EXPECT_EQ(full.Push(std::move(image), stop.get_token()), PushResult::kStopped);
  });
  threads.emplace_back([&] { EXPECT_THAT(empty.Next(stop.get_token()), IsEmpty()); });
  threads.emplace_back([&] { EXPECT_THAT(partial.Next(stop.get_token()), IsEmpty()); });
  stop.request_stop();
}

TEST_F(BatcherTest, LosesNothingBetweenManyThreads) {
  constexpr int kEach = 300;
  Batcher batcher(16, 4, std::chrono::milliseconds(1));
  std::atomic<int> sum = 0, count = 0;
  std::vector<std::jthread> readers;
  for (int r = 0; r < 2; ++r) {
    readers.emplace_back([&] {
      while (true) {
        const auto batch = batcher.Next({});
        if (batch.empty()) return;
        EXPECT_LE(batch.size(), 4U);
        for (const int number : Numbers(batch)) sum += number;
        count += static_cast<int>(batch.size());
      }
    });
  }
  std::mutex mutex;
  {
    std::vector<std::jthread> writers;
    for (int w = 0; w < 3; ++w) {
      writers.emplace_back([&, w] {
        for (int i = 0; i < kEach; ++i) {
          std::unique_lock lock(mutex);
          PreparedImage image = Image(i, w == 0 ? dogs_ : cats_);
          lock.unlock();
          EXPECT_EQ(batcher.Push(std::move(image), {}), PushResult::kOk);
        }
      });
    }
  }
  batcher.Close();
  readers.clear();
  EXPECT_EQ(count, 3 * kEach);
  EXPECT_EQ(sum, 3 * kEach * (kEach - 1) / 2);
}

}  // namespace
}  // namespace trawl::worker
