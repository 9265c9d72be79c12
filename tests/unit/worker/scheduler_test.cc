// Goal: a free thread gets what helps most: full batches first, then pictures to decode, then
// batches that are not full, and no image waits for ever. Method: one thread and a clock that the
// test moves, for the order; many threads for the rest.

#include "worker/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "config/check.h"
#include "tests/support/manual_clock.h"
#include "worker/sandbox/decoder_pool.h"

namespace trawl::worker {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;

constexpr milliseconds kDelay{20};

WorkerLimits Limits(size_t threads) {
  WorkerLimits limits;
  limits.threads = limits.sessions = limits.decode_threads = threads;
  limits.batch_size = 2;
  limits.prepared_images = 4;
  return limits;
}

class SchedulerTest : public ::testing::Test {
 protected:
  SchedulerTest() {
    WorkBatch work;
    work.objects.resize(2'000);
    items_ = ItemsOf(std::make_shared<BatchInFlight>(std::move(work), Origin{}, "me", finished_));
  }

  /// Not a model, but the address of one: the scheduler only compares it.
  static std::shared_ptr<const engine::Model> FakeModel(char& place) {
    return {std::shared_ptr<char>(), reinterpret_cast<const engine::Model*>(&place)};
  }

  /// So large that it is decoded alone, unless told otherwise.
  FetchedObject Fetched(std::shared_ptr<const engine::Model> model,
                        size_t bytes = DecoderPool::kBytesAtOnce) {
    CHECK(!items_.empty());
    FetchedObject object{std::move(items_.back()), std::move(model), std::vector<std::byte>(bytes),
                         Reservation(slots_, 0), Reservation(slots_, 0)};
    items_.pop_back();
    return object;
  }

  static std::vector<PreparedImage> Decoded(std::vector<FetchedObject> objects) {
    std::vector<PreparedImage> images;
    for (FetchedObject& object : objects)
      images.push_back({std::move(object.item), std::move(object.model), {}});
    return images;
  }

  static void EndDecoding(Scheduler& scheduler, Task task) {
    auto& objects = std::get<std::vector<FetchedObject>>(task);
    const size_t pictures = objects.size();
    scheduler.EndDecoding(pictures, Decoded(std::move(objects)));
  }

  /// What a free thread does now, done at once: "decode" (and how many, if not one), or "infer" and
  /// how many, or "wait".
  std::string Step() {
    std::optional<Task> task = scheduler_.TryNext();
    if (!task) return "wait";
    if (auto* const objects = std::get_if<std::vector<FetchedObject>>(&*task)) {
      const size_t pictures = objects->size();
      EndDecoding(scheduler_, std::move(*task));
      return pictures == 1 ? "decode" : "decode " + std::to_string(pictures);
    }
    const size_t images = std::get<std::vector<PreparedImage>>(*task).size();
    scheduler_.EndInference();
    return "infer " + std::to_string(images);
  }

  FinishedBatches finished_;
  Budget slots_{1};
  std::vector<WorkItem> items_;
  char places_[2] = {};
  const std::shared_ptr<const engine::Model> cats_ = FakeModel(places_[0]);
  const std::shared_ptr<const engine::Model> dogs_ = FakeModel(places_[1]);
  trawl::testing::ManualClock clock_;
  StageMeter meter_{1, clock_};
  Scheduler scheduler_{Limits(1), kDelay, meter_, clock_};
};

TEST_F(SchedulerTest, AFullBatchGoesBeforeDecoding) {
  for (int i = 0; i < 5; ++i) scheduler_.Offer(Fetched(cats_));
  std::vector<std::string> steps;
  for (int i = 0; i < 8; ++i) steps.push_back(Step());
  EXPECT_THAT(steps, ElementsAre("decode", "decode", "infer 2", "decode", "decode", "infer 2",
                                 "decode", "wait"));
}

TEST_F(SchedulerTest, APartialBatchWaitsForTheDelayAndForDecoding) {
  scheduler_.Offer(Fetched(cats_));
  EXPECT_EQ(Step(), "decode");
  clock_.Advance(kDelay - milliseconds(1));
  EXPECT_EQ(Step(), "wait");
  clock_.Advance(milliseconds(1));
  scheduler_.Offer(Fetched(dogs_));
  EXPECT_EQ(Step(), "decode");  // which might have filled it
  EXPECT_EQ(Step(), "infer 1");
  EXPECT_EQ(Step(), "wait");
}

TEST_F(SchedulerTest, ARareModelsImageIsNotPassedForEver) {
  scheduler_.Offer(Fetched(dogs_));
  EXPECT_EQ(Step(), "decode");
  clock_.Advance(kDelay * Scheduler::kPatience - milliseconds(1));
  for (int i = 0; i < 4; ++i) scheduler_.Offer(Fetched(cats_));
  EXPECT_EQ(Step(), "decode");
  clock_.Advance(milliseconds(1));
  EXPECT_EQ(Step(), "infer 1");
  EXPECT_EQ(Step(), "decode");
  EXPECT_EQ(Step(), "infer 2");
}

TEST_F(SchedulerTest, RoomThatManyModelsFillIsMadeWithoutWaiting) {
  char places[4];
  for (char& place : places) scheduler_.Offer(Fetched(FakeModel(place)));
  scheduler_.Offer(Fetched(cats_));
  for (int i = 0; i < 4; ++i) EXPECT_EQ(Step(), "decode");
  EXPECT_EQ(Step(), "infer 1");
}

TEST_F(SchedulerTest, WhatIsLeftAtTheEndWaitsForNothing) {
  for (int i = 0; i < 3; ++i) scheduler_.Offer(Fetched(cats_));
  scheduler_.Close();
  std::vector<std::string> steps;
  while (std::optional<Task> task = scheduler_.Next({})) {
    if (std::holds_alternative<std::vector<FetchedObject>>(*task)) {
      steps.push_back("decode");
      EndDecoding(scheduler_, std::move(*task));
    } else {
      steps.push_back("infer");
      scheduler_.EndInference();
    }
  }
  EXPECT_THAT(steps, ElementsAre("decode", "decode", "infer", "decode", "infer"));
}

TEST_F(SchedulerTest, RunsNoMoreOfAKindThanAllowed) {
  WorkerLimits limits = Limits(1);
  limits.threads = 3;
  Scheduler scheduler(limits, kDelay, meter_, clock_);
  for (int i = 0; i < 4; ++i) scheduler.Offer(Fetched(cats_));
  for (int i = 0; i < 2; ++i) {
    std::optional<Task> decode = scheduler.TryNext();
    ASSERT_TRUE(decode);
    EXPECT_FALSE(scheduler.TryNext()) << "a second decoder";
    EndDecoding(scheduler, std::move(*decode));
  }
  std::optional<Task> batch = scheduler.TryNext();
  ASSERT_TRUE(batch && std::holds_alternative<std::vector<PreparedImage>>(*batch));
  for (int i = 0; i < 2; ++i) {
    std::optional<Task> decode = scheduler.TryNext();
    ASSERT_TRUE(decode);
    EndDecoding(scheduler, std::move(*decode));
  }
  EXPECT_FALSE(scheduler.TryNext()) << "a second session";
  scheduler.EndInference();
  EXPECT_TRUE(scheduler.TryNext());
  scheduler.EndInference();
}

TEST_F(SchedulerTest, SmallPicturesOfOneModelAreDecodedTogether) {
  WorkerLimits limits = Limits(1);
  limits.batch_size = limits.prepared_images = 40;
  Scheduler scheduler(limits, kDelay, meter_, clock_);
  const auto decoded = [&scheduler] {
    std::optional<Task> task = scheduler.TryNext();
    const size_t pictures = task ? std::get<std::vector<FetchedObject>>(*task).size() : 0;
    if (task) EndDecoding(scheduler, std::move(*task));
    return pictures;
  };
  for (int i = 0; i < 20; ++i) scheduler.Offer(Fetched(cats_, 10));
  EXPECT_EQ(decoded(), kMostAtOnce);
  EXPECT_EQ(decoded(), 4u);
  for (const auto& model : {dogs_, cats_, cats_}) scheduler.Offer(Fetched(model, 10));
  EXPECT_EQ(decoded(), 1u);
  EXPECT_EQ(decoded(), 2u);
  for (const size_t part : {2, 2, 1})
    scheduler.Offer(Fetched(cats_, DecoderPool::kBytesAtOnce / part));
  EXPECT_EQ(decoded(), 2u) << "two halves";
  EXPECT_EQ(decoded(), 1u);
  for (int i = 0; i < 20; ++i) scheduler.Offer(Fetched(cats_, 10));
  EXPECT_EQ(decoded(), 40u - 26u) << "what there is room for";
  EXPECT_TRUE(scheduler.TryNext()) << "room is made";
}

TEST_F(SchedulerTest, LetsThreadsGoWhenStopped) {
  scheduler_.Offer(Fetched(cats_));
  EXPECT_EQ(Step(), "decode");  // so that one thread waits for the image's age
  std::stop_source stop;
  std::vector<std::jthread> threads;
  for (int i = 0; i < 2; ++i)
    threads.emplace_back([&] { EXPECT_FALSE(scheduler_.Next(stop.get_token())); });
  stop.request_stop();
}

TEST_F(SchedulerTest, LosesNothingBetweenManyThreads) {
  constexpr int kObjects = 1'000;
  StageMeter meter(3);
  Scheduler scheduler(Limits(3), milliseconds(1), meter);
  std::atomic<int> decoded = 0, inferred = 0;
  std::vector<std::jthread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      while (std::optional<Task> task = scheduler.Next({})) {
        if (auto* const objects = std::get_if<std::vector<FetchedObject>>(&*task)) {
          const size_t pictures = objects->size();
          // Every tenth picture is broken.
          std::erase_if(*objects, [&](const FetchedObject&) { return ++decoded % 10 == 0; });
          scheduler.EndDecoding(pictures, Decoded(std::move(*objects)));
        } else {
          inferred += static_cast<int>(std::get<std::vector<PreparedImage>>(*task).size());
          scheduler.EndInference();
        }
      }
    });
  }
  for (int i = 0; i < kObjects; ++i)
    scheduler.Offer(Fetched(i % 3 == 0 ? dogs_ : cats_, /*bytes=*/1'000));
  scheduler.Close();
  threads.clear();
  EXPECT_EQ(decoded, kObjects);
  EXPECT_EQ(inferred, kObjects * 9 / 10);
}

TEST_F(SchedulerTest, EveryThreadLearnsThatTheLastPictureWasBroken) {
  for (int round = 0; round < 300; ++round) {
    StageMeter meter(4);
    Scheduler scheduler(Limits(4), milliseconds(1), meter);
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        while (scheduler.Next({})) scheduler.EndDecoding(1, {});
      });
    }
    for (int i = 0; i < 4; ++i) scheduler.Offer(Fetched(cats_));
    scheduler.Close();
  }
}

}  // namespace
}  // namespace trawl::worker
