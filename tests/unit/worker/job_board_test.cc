// Goal: a paused job's work is held back and lost by nobody; a cancelled job's objects end as
// failures, and only those that were enqueued before. Method: real workers on a real embedded log,
// with the job's record written as the commands write it; a log that tells when a consumer pauses.
#include "worker/job_board.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ops/telemetry/log.h"
#include "storage/topics.h"
#include "tests/support/faulty_log.h"
#include "tests/unit/worker/gated_store.h"
#include "tests/unit/worker/worker_world.h"

namespace trawl::worker {
namespace {

class StoppedJobs : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { ops::ConfigureLog("error", "text"); }

  void Want(const std::string& job_id, JobControl control, uint64_t batches = 100) {
    JobRecord job;
    job.job_id = job_id;
    job.spec = world_.spec;
    job.batches = batches;
    job.control = control;
    if (!jobs_) jobs_ = world_.log->OpenProducer("jobs").value();
    storage::Transaction transaction;
    transaction.records.push_back({storage::kJobsTopic, std::nullopt, job_id, Encode(job)});
    ASSERT_TRUE(jobs_->Commit(transaction).ok());
  }

  WorkBatch Batch(const std::string& job_id, uint64_t seq, const std::string& key) const {
    WorkBatch batch;
    batch.job_id = job_id;
    batch.seq = seq;
    batch.spec = world_.spec;
    batch.objects.push_back({key, "", std::nullopt, ""});
    return batch;
  }

  void EnqueueOnFirstPartition(const WorkBatch& batch) { world_.EnqueueRaw(0, Encode(batch)); }

  std::multiset<std::string> ResultKeys() {
    std::multiset<std::string> keys;
    for (const ResultRecord& record : world_.Results()) keys.insert(record.key);
    return keys;
  }

  ObjectErrorCode CodeOfKey(const std::string& key) {
    for (const ResultRecord& record : world_.Results())
      if (record.key == key) return std::get<ObjectError>(record.outcome).code;
    ADD_FAILURE() << "no record of " << key;
    return ObjectErrorCode::kInternal;
  }

  WorkerWorld world_;
  std::unique_ptr<storage::TransactionalProducer> jobs_;
};

TEST_F(StoppedJobs, APausedJobIsHeldBackUntilItIsResumed) {
  Want("paused", JobControl::kPaused);
  EnqueueOnFirstPartition(Batch("other", 0, "before"));
  EnqueueOnFirstPartition(Batch("paused", 0, "held"));
  EnqueueOnFirstPartition(Batch("paused", 1, "behind"));
  trawl::testing::FaultyLog log(
      *world_.log, [](const storage::Transaction&) { return trawl::testing::CommitFate{}; });
  {
    RunningWorker worker(world_, "first", log, *world_.objects);
    EXPECT_EQ(log.WaitForPause(), 2u);
    ASSERT_TRUE(world_.WaitForResults(1));
    ASSERT_TRUE(worker.Drain().ok()) << "what is held does not keep a worker from leaving";
  }
  EXPECT_EQ(ResultKeys(), (std::multiset<std::string>{"before"}));

  RunningWorker worker(world_, "second");
  Want("paused", JobControl::kRun);
  ASSERT_TRUE(world_.WaitForResults(3));
  ASSERT_TRUE(worker.Drain().ok());
  EXPECT_EQ(ResultKeys(), (std::multiset<std::string>{"before", "behind", "held"}));
}

TEST_F(StoppedJobs, AJobMayBePausedAndResumedWhileAWorkerRuns) {
  EnqueueOnFirstPartition(Batch("job", 0, "a"));
  trawl::testing::FaultyLog log(
      *world_.log, [](const storage::Transaction&) { return trawl::testing::CommitFate{}; });
  RunningWorker worker(world_, "worker", log, *world_.objects);
  ASSERT_TRUE(world_.WaitForResults(1));
  Want("job", JobControl::kPaused);
  // The pause is heard of sooner or later; until then objects go through.
  size_t enqueued = 1;
  std::jthread feeder([&](std::stop_token stop) {
    while (!stop.stop_requested()) {
      EnqueueOnFirstPartition(Batch("job", enqueued, "k" + std::to_string(enqueued)));
      ++enqueued;
      world_.WaitForResults(1);
    }
  });
  log.WaitForPause();
  feeder.request_stop();
  feeder.join();
  EXPECT_LT(world_.Results().size(), enqueued);
  Want("job", JobControl::kRun);
  ASSERT_TRUE(world_.WaitForResults(enqueued));
  ASSERT_TRUE(worker.Drain().ok());
  const auto keys = ResultKeys();
  EXPECT_EQ(keys.size(), enqueued);
  EXPECT_EQ(std::set<std::string>(keys.begin(), keys.end()).size(), enqueued);
}

TEST_F(StoppedJobs, WhatIsHeldComesAgainAfterARewind) {
  Want("paused", JobControl::kPaused);
  EnqueueOnFirstPartition(Batch("paused", 0, "held"));
  std::atomic<int> commits = 0;
  trawl::testing::FaultyLog log(*world_.log, [&](const storage::Transaction&) {
    return commits++ < 2 ? trawl::testing::CommitFate{Status(Code::kAborted, "fault"), false}
                         : trawl::testing::CommitFate{};
  });
  RunningWorker worker(world_, "worker", log, *world_.objects);
  log.WaitForPause();
  world_.EnqueueRaw(1, Encode(Batch("other", 0, "aborted twice")));
  ASSERT_TRUE(world_.WaitForResults(1));
  EXPECT_GT(commits, 2);
  Want("paused", JobControl::kRun);
  ASSERT_TRUE(world_.WaitForResults(2));
  ASSERT_TRUE(worker.Drain().ok());
  EXPECT_EQ(ResultKeys(), (std::multiset<std::string>{"aborted twice", "held"}));
}

TEST_F(StoppedJobs, ACancelledJobsObjectsEndAsFailuresUnlessTheyWereEnqueuedLater) {
  Want("job", JobControl::kCancelled, /*batches=*/2);
  world_.EnqueueBatch(Batch("job", 0, "first"));
  world_.EnqueueBatch(Batch("job", 1, "second"));
  world_.EnqueueBatch(Batch("job", 2, "listed later"));
  WorkBatch again = Batch("job", 1, "wanted again");
  again.attempt = 2;
  again.indices = {5};
  world_.EnqueueBatch(again);
  RunningWorker worker(world_, "worker");
  ASSERT_TRUE(world_.WaitForResults(4));
  ASSERT_TRUE(worker.Drain().ok());
  EXPECT_EQ(CodeOfKey("first"), ObjectErrorCode::kCancelled);
  EXPECT_EQ(CodeOfKey("second"), ObjectErrorCode::kCancelled);
  EXPECT_EQ(CodeOfKey("listed later"), ObjectErrorCode::kNotFound);
  EXPECT_EQ(CodeOfKey("wanted again"), ObjectErrorCode::kNotFound);
  for (const ResultRecord& record : world_.Results())
    EXPECT_EQ(record.index, record.attempt == 2 ? 5u : 0u);
}

TEST_F(StoppedJobs, APauseHoldsBackWhatIsUnderWay) {
  EnqueueOnFirstPartition(Batch("job", 0, "first"));
  EnqueueOnFirstPartition(Batch("job", 1, "second"));
  world_.EnqueueRaw(1, Encode(Batch("other", 0, "not paused")));
  trawl::testing::FaultyLog log(
      *world_.log, [](const storage::Transaction&) { return trawl::testing::CommitFate{}; });
  GatedStore store(*world_.objects);
  RunningWorker worker(world_, "worker", log, store);
  store.WaitForDownloads(3);
  Want("job", JobControl::kPaused);
  log.WaitForPause();  // only what is held pauses so little work
  store.Open();
  ASSERT_TRUE(world_.WaitForResults(1));
  EXPECT_EQ(ResultKeys(), (std::multiset<std::string>{"not paused"}));
  Want("job", JobControl::kRun);
  ASSERT_TRUE(world_.WaitForResults(3));
  ASSERT_TRUE(worker.Drain().ok());
  EXPECT_EQ(ResultKeys(), (std::multiset<std::string>{"first", "not paused", "second"}));
}

TEST_F(StoppedJobs, ACancelledJobDoesNotWaitForWhatIsUnderWay) {
  EnqueueOnFirstPartition(Batch("job", 0, "first"));
  EnqueueOnFirstPartition(Batch("job", 1, "second"));
  GatedStore store(*world_.objects);  // which answers nobody
  RunningWorker worker(world_, "worker", *world_.log, store);
  store.WaitForDownloads(2);
  Want("job", JobControl::kCancelled);
  ASSERT_TRUE(world_.WaitForResults(2));
  ASSERT_TRUE(worker.Drain().ok());
  EXPECT_EQ(CodeOfKey("first"), ObjectErrorCode::kCancelled);
  EXPECT_EQ(CodeOfKey("second"), ObjectErrorCode::kCancelled);
}

}  // namespace
}  // namespace trawl::worker
