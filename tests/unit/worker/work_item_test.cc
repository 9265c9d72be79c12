// Goal: a batch is finished when its last object has ended, whatever the order and whichever way.
// Method: each way.

#include "worker/work_item.h"

#include <gtest/gtest.h>

#include <thread>

namespace trawl::worker {
namespace {

std::shared_ptr<BatchInFlight> MakeBatch(size_t objects, FinishedBatches& finished) {
  WorkBatch work;
  work.job_id = "job";
  work.seq = 7;
  work.spec.model.name = "model";
  work.spec.model.digest = "abc";
  for (size_t i = 0; i < objects; ++i)
    work.objects.push_back({"key" + std::to_string(i), "", {}, ""});
  return std::make_shared<BatchInFlight>(std::move(work), Origin{{"work", 1}, 4, 2}, "me",
                                         finished);
}

TEST(WorkItem, EveryObjectGetsItsRecordInTheOrderOfTheBatch) {
  FinishedBatches finished;
  auto batch = MakeBatch(3, finished);
  std::vector<WorkItem> items = ItemsOf(batch);
  items[2].Fail({ObjectErrorCode::kNotFound, "gone", 1});
  items[0].Succeed({{1, "cat", 0.5F}});
  EXPECT_TRUE(finished.TakeAll().empty());
  items[1].set_size_bytes(99);
  items[1].Succeed({});
  const auto all = finished.TakeAll();
  ASSERT_EQ(all.size(), 1U);
  ASSERT_TRUE(all[0]->complete());
  const std::vector<ResultRecord> records = batch->TakeRecords();
  ASSERT_EQ(records.size(), 3U);
  for (uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(records[i].index, i);
    EXPECT_EQ(records[i].key, "key" + std::to_string(i));
    EXPECT_EQ(records[i].batch_seq, 7U);
    EXPECT_EQ(records[i].worker, "me");
    EXPECT_EQ(records[i].model_digest, "abc");
    EXPECT_GT(records[i].finished_at_ms, 0);
  }
  EXPECT_EQ(records[1].size_bytes, 99U);
  EXPECT_EQ(std::get<ObjectError>(records[2].outcome).code, ObjectErrorCode::kNotFound);
}

TEST(WorkItem, ABatchWithADroppedObjectFinishesIncomplete) {
  FinishedBatches finished;
  auto batch = MakeBatch(2, finished);
  {
    std::vector<WorkItem> items = ItemsOf(batch);
    items[0].Succeed({});
  }
  const auto all = finished.TakeAll();
  ASSERT_EQ(all.size(), 1U);
  EXPECT_FALSE(all[0]->complete());
}

TEST(WorkItem, MovingIsNotDropping) {
  FinishedBatches finished;
  auto batch = MakeBatch(2, finished);
  std::vector<WorkItem> items = ItemsOf(batch);
  WorkItem first = std::move(items[0]);
  WorkItem second = std::move(items[1]);
  items.clear();
  EXPECT_TRUE(finished.TakeAll().empty());
  second.Succeed({});
  first = std::move(second);  // drops the first
  EXPECT_EQ(finished.TakeAll().size(), 1U);
  EXPECT_FALSE(batch->complete());
}

TEST(WorkItem, CancellingReachesEveryObject) {
  FinishedBatches finished;
  auto batch = MakeBatch(2, finished);
  std::vector<WorkItem> items = ItemsOf(batch);
  EXPECT_FALSE(items[1].cancelled());
  batch->Cancel();
  EXPECT_TRUE(items[1].cancelled());
  EXPECT_TRUE(items[0].cancel_token().stop_requested());
}

TEST(WorkItem, FinishesOnceWhenThreadsEndItsObjectsTogether) {
  FinishedBatches finished;
  for (int round = 0; round < 50; ++round) {
    auto batch = MakeBatch(64, finished);
    std::vector<WorkItem> items = ItemsOf(batch);
    {
      std::vector<std::jthread> threads;
      for (size_t t = 0; t < 4; ++t) {
        threads.emplace_back([&items, t] {
          for (size_t i = t; i < items.size(); i += 4)
            items[i].Succeed({{static_cast<int>(i), "", 1.0F}});
        });
      }
    }
    ASSERT_EQ(finished.TakeAll().size(), 1U);
    const auto records = batch->TakeRecords();
    for (size_t i = 0; i < records.size(); ++i)
      EXPECT_EQ(std::get<std::vector<Prediction>>(records[i].outcome)[0].class_index,
                static_cast<int>(i));
  }
}

}  // namespace
}  // namespace trawl::worker
