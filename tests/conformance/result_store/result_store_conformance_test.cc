// Goal: what every result store promises, whatever it is built on: each outcome once, rows and
// offsets together, counters that agree with the rows, and reading that never gets in the way of
// writing. Method: the port alone, store and reader open side by side on one database; an adapter
// is a row in kAdapters.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "storage/result_store/result_store.h"
#include "tests/support/records.h"
#include "tests/support/temp_dir.h"

namespace trawl::storage {
namespace {

using ::testing::HasSubstr;
using trawl::testing::Failure;
using trawl::testing::Job;
using trawl::testing::Success;

struct Adapter {
  const char* name;
  Result<std::unique_ptr<ResultStore>> (*open_store)(const std::string& path);
  Result<std::unique_ptr<ResultReader>> (*open_reader)(const std::string& path);
};

const Adapter kAdapters[] = {
    {"Sqlite", [](const std::string& path) { return OpenResultStore(path); }, &OpenResultReader}};

const TopicPartition kPartition{"trawl.results", 0};

class ResultStoreConformance : public ::testing::TestWithParam<Adapter> {
 protected:
  ResultStoreConformance() {
    store_ = OpenStore();
    reader_ = GetParam().open_reader(Path()).value();
  }

  std::string Path() const { return (folder_ / "results.db").string(); }

  std::unique_ptr<ResultStore> OpenStore() {
    auto store = GetParam().open_store(Path()).value();
    EXPECT_TRUE(store->Offsets("log-1"));
    return store;
  }

  WriteReport Write(const CollectedBatch& batch) {
    const auto report = store_->Write(batch);
    EXPECT_TRUE(report) << (report ? "" : report.error().message());
    return report.value_or(WriteReport{});
  }

  std::vector<ResultRow> Rows(const std::string& job, bool failures_only = false,
                              int64_t limit = 0) {
    std::vector<ResultRow> rows;
    const Status status = reader_->Rows(job, failures_only, limit, [&](const ResultRow& row) {
      rows.push_back(row);
      return true;
    });
    EXPECT_TRUE(status.ok()) << status.message();
    return rows;
  }

  JobStatus JobOf(const std::string& job) { return reader_->Job(job).value(); }

  trawl::testing::TempDir folder_{"result-store"};
  std::unique_ptr<ResultStore> store_;
  std::unique_ptr<ResultReader> reader_;
};

INSTANTIATE_TEST_SUITE_P(Adapters, ResultStoreConformance, ::testing::ValuesIn(kAdapters),
                         [](const auto& adapter) { return std::string(adapter.param.name); });

TEST_P(ResultStoreConformance, AWrittenOutcomeIsReadBackWhole) {
  EXPECT_EQ(Write({{Success("j", 0, 0, "a.jpg"), Failure("j", 0, 1, "b.jpg")}, {}, {}}).rows_added,
            2);
  const auto rows = Rows("j");
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].key, "a.jpg");
  EXPECT_FALSE(rows[0].error);
  ASSERT_EQ(rows[0].predictions.size(), 2u);
  EXPECT_EQ(rows[0].predictions[0].class_index, 207);
  EXPECT_EQ(rows[0].predictions[0].label, "golden retriever");
  EXPECT_EQ(rows[0].predictions[0].probability, 0.9312345F);
  EXPECT_EQ(rows[0].predictions[1].class_index, 1);
  EXPECT_TRUE(rows[1].predictions.empty());
  ASSERT_TRUE(rows[1].error);
  EXPECT_EQ(rows[1].error->code, ObjectErrorCode::kNotFound);
  EXPECT_EQ(rows[1].error->message, "getting it: HTTP 404");
  EXPECT_EQ(rows[1].error->attempts, 2);
}

TEST_P(ResultStoreConformance, TheSameAttemptAgainIsSuppressedAndCounted) {
  Write({{Success("j", 0, 0, "a")}, {}, {}});
  const WriteReport again = Write({{Success("j", 0, 0, "a"), Failure("j", 0, 0, "a")}, {}, {}});
  EXPECT_EQ(again.rows_added, 0);
  EXPECT_EQ(again.duplicates_suppressed, 2);
  EXPECT_EQ(Rows("j").size(), 1u);
  EXPECT_EQ(JobOf("j").done, 1u);
  EXPECT_EQ(JobOf("j").failed, 0u);
}

TEST_P(ResultStoreConformance, ALaterAttemptReplacesAFailureAndNeverASuccess) {
  ResultRecord second = Success("j", 0, 0, "a");
  second.attempt = 2;
  Write({{Failure("j", 0, 0, "a")}, {}, {}});
  const WriteReport replaced = Write({{second}, {}, {}});
  EXPECT_EQ(replaced.rows_added, 0);
  EXPECT_EQ(replaced.rows_replaced, 1);
  EXPECT_EQ(replaced.duplicates_suppressed, 0);
  EXPECT_FALSE(Rows("j")[0].error);
  EXPECT_EQ(Rows("j")[0].predictions.size(), 2u);

  ResultRecord third = Failure("j", 0, 0, "a");
  third.attempt = 3;
  const WriteReport kept = Write({{third, Failure("j", 0, 0, "a")}, {}, {}});
  EXPECT_EQ(kept.rows_added + kept.rows_replaced + kept.duplicates_suppressed, 0);
  EXPECT_FALSE(Rows("j")[0].error);
  EXPECT_EQ(JobOf("j").done, 1u);
  EXPECT_EQ(JobOf("j").failed, 0u);
}

TEST_P(ResultStoreConformance, ALaterFailureReplacesAnEarlierOne) {
  ResultRecord second = Failure("j", 0, 0, "a");
  second.attempt = 2;
  std::get<ObjectError>(second.outcome).message = "still not there";
  Write({{Failure("j", 0, 0, "a"), second}, {}, {}});
  EXPECT_EQ(Rows("j").size(), 1u);
  EXPECT_EQ(Rows("j")[0].error->message, "still not there");
  EXPECT_EQ(JobOf("j").failed, 1u);
}

TEST_P(ResultStoreConformance, AJobIsCompleteWhenItIsSealedAndEveryObjectHasItsRow) {
  const std::vector<ResultRecord> objects = {Success("j", 0, 0, "a"), Failure("j", 0, 1, "b"),
                                             Success("j", 1, 0, "c")};
  Write({{objects[0]}, {Job("j", objects, JobState::kListing)}, {}});
  EXPECT_EQ(JobOf("j").state, "listing");
  Write({{objects[1]}, {Job("j", objects, JobState::kSealed)}, {}});
  EXPECT_EQ(JobOf("j").state, "running");
  Write({{objects[2]}, {}, {}});
  const JobStatus job = JobOf("j");
  EXPECT_EQ(job.state, "complete");
  EXPECT_EQ(job.enqueued, 3u);
  EXPECT_EQ(job.done, 2u);
  EXPECT_EQ(job.failed, 1u);
  EXPECT_EQ(job.source, "s3://photos/");
  EXPECT_EQ(job.model_name, "resnet18");
  EXPECT_EQ(job.model_digest, "ab12");
}

TEST_P(ResultStoreConformance, TheRightCountOfWrongObjectsIsNotComplete) {
  const std::vector<ResultRecord> enqueued = {Success("j", 0, 0, "a"), Success("j", 0, 1, "b")};
  Write({{Success("j", 0, 0, "a"), Success("j", 0, 2, "c")},
         {Job("j", enqueued, JobState::kSealed)},
         {}});
  EXPECT_EQ(JobOf("j").done, 2u);
  EXPECT_EQ(JobOf("j").state, "running");
}

TEST_P(ResultStoreConformance, MalformedMessagesAreNoJobThatRuns) {
  Write({{Failure("malformed/trawl.work.default", 7, 3, "trawl.work.default/3/7")}, {}, {}});
  const JobStatus messages = JobOf("malformed/trawl.work.default");
  EXPECT_EQ(messages.state, "malformed");
  EXPECT_EQ(messages.failed, 1u);
  EXPECT_TRUE(messages.ended());
}

TEST_P(ResultStoreConformance, AnEmptySealedJobIsComplete) {
  Write({{}, {Job("j", {}, JobState::kSealed)}, {}});
  EXPECT_EQ(JobOf("j").state, "complete");
}

TEST_P(ResultStoreConformance, ResultsMayArriveBeforeTheirJob) {
  const std::vector<ResultRecord> objects = {Success("j", 0, 0, "a")};
  Write({objects, {}, {}});
  EXPECT_EQ(JobOf("j").state, "listing");
  EXPECT_EQ(JobOf("j").enqueued, 0u);
  EXPECT_EQ(JobOf("j").model_name, "resnet18");
  Write({{}, {Job("j", objects, JobState::kSealed)}, {}});
  EXPECT_EQ(JobOf("j").state, "complete");
}

TEST_P(ResultStoreConformance, AJobIsNotCompleteWhileALaterAttemptIsUnderWay) {
  const std::vector<ResultRecord> objects = {Failure("j", 0, 0, "a"), Success("j", 0, 1, "b")};
  JobRecord job = Job("j", objects, JobState::kSealed);
  Write({objects, {job}, {}});
  EXPECT_EQ(JobOf("j").state, "complete");
  job.revision = 2;
  job.requeued = 1;
  Write({{}, {job}, {}});
  EXPECT_EQ(JobOf("j").state, "running");
  ResultRecord again = Failure("j", 0, 0, "a");
  again.attempt = 2;
  Write({{again}, {}, {}});
  EXPECT_EQ(JobOf("j").state, "complete");
  Write({{again}, {}, {}});
  job.revision = 3;
  job.requeued = 2;
  Write({{}, {job}, {}});
  EXPECT_EQ(JobOf("j").state, "running") << "the same outcome twice is one";
}

TEST_P(ResultStoreConformance, AJobIsPausedOrCancelledUntilAllOfItHasEnded) {
  const std::vector<ResultRecord> objects = {Success("j", 0, 0, "a"), Success("j", 0, 1, "b")};
  JobRecord job = Job("j", objects, JobState::kSealed);
  job.control = JobControl::kPaused;
  Write({{objects[0]}, {job}, {}});
  EXPECT_EQ(JobOf("j").state, "paused");
  job.control = JobControl::kCancelled;
  Write({{}, {job}, {}});
  EXPECT_EQ(JobOf("j").state, "cancelling");
  Write({{objects[1]}, {}, {}});
  EXPECT_EQ(JobOf("j").state, "cancelled");
  job.control = JobControl::kPaused;
  ++job.revision;
  Write({{}, {job}, {}});
  EXPECT_EQ(JobOf("j").state, "complete");
}

TEST_P(ResultStoreConformance, AnOlderJobRecordChangesNothing) {
  JobRecord job = Job("j", {}, JobState::kSealed);
  job.revision = 7;
  job.control = JobControl::kCancelled;
  Write({{}, {job}, {}});
  JobRecord older = Job("j", {}, JobState::kListing);
  older.revision = 6;
  Write({{}, {older}, {}});
  EXPECT_EQ(JobOf("j").state, "cancelled");
}

TEST_P(ResultStoreConformance, TheLedgerHasEachRowByItsIdentity) {
  Write({{Success("j", 3, 1, "b"), Failure("j", 4, 0, "a"), Success("other", 0, 0, "c")},
         {},
         {{kPartition, kBeginning, 9}}});
  std::vector<std::string> rows;
  const auto account = reader_->Ledger("j", [&](const LedgerRow& row) {
    rows.push_back(fmt::format("{}/{} {} {}", row.batch_seq, row.index, row.key,
                               row.error ? ToString(*row.error) : "ok"));
  });
  ASSERT_TRUE(account);
  EXPECT_THAT(rows, ::testing::UnorderedElementsAre("3/1 b ok", "4/0 a not_found"));
  EXPECT_EQ(account->done, 1u);
  EXPECT_EQ(account->failed, 1u);
  SetDigest digest;
  digest.Add("j", 3, 1, "b");
  digest.Add("j", 4, 0, "a");
  EXPECT_EQ(account->digest_hex, digest.Hex());
  ASSERT_EQ(account->offsets.size(), 1u);
  EXPECT_EQ(account->offsets[0].offset, 9);
  EXPECT_TRUE(reader_->Ledger("unknown", [](const LedgerRow&) { FAIL(); }));
}

TEST_P(ResultStoreConformance, OffsetsMoveWithTheRows) {
  Write({{Success("j", 0, 0, "a")},
         {},
         {{kPartition, kBeginning, 5}, {{"trawl.jobs", 0}, kBeginning, 0}}});
  Write({{}, {}, {{kPartition, 5, 9}}});
  store_.reset();
  store_ = GetParam().open_store(Path()).value();
  const auto offsets = store_->Offsets("log-1").value();
  ASSERT_EQ(offsets.size(), 2u);
  for (const StoredOffset& offset : offsets)
    EXPECT_EQ(offset.offset, offset.at == kPartition ? 9 : 0);
}

TEST_P(ResultStoreConformance, AnUnexpectedOffsetWritesNothingAtAll) {
  Write({{}, {}, {{kPartition, kBeginning, 5}}});
  for (const int64_t expected : {kBeginning, int64_t{4}, int64_t{6}}) {
    const auto report = store_->Write({{Success("j", 0, 0, "a")},
                                       {Job("k", {}, JobState::kSealed)},
                                       {{kPartition, expected, 7}}});
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error().code(), Code::kFailedPrecondition);
    EXPECT_THAT(report.error().message(), HasSubstr("trawl.results/0"));
    EXPECT_THAT(report.error().message(), HasSubstr("another collector"));
  }
  EXPECT_TRUE(reader_->Jobs().value().empty());
  EXPECT_EQ(store_->Offsets("log-1").value()[0].offset, 5);
  EXPECT_EQ(Write({{Success("j", 0, 0, "a")}, {}, {{kPartition, 5, 6}}}).rows_added, 1);
}

TEST_P(ResultStoreConformance, OfTwoCollectorsOneNoticesTheOther) {
  const auto second = OpenStore();
  Write({{Success("j", 0, 0, "a")}, {}, {{kPartition, kBeginning, 1}}});
  const auto refused =
      second->Write({{Success("j", 0, 0, "a")}, {}, {{kPartition, kBeginning, 1}}});
  EXPECT_EQ(refused.error().code(), Code::kFailedPrecondition);
  EXPECT_EQ(JobOf("j").done, 1u);
}

TEST_P(ResultStoreConformance, AnotherLogIsRefused) {
  Write({{}, {}, {{kPartition, kBeginning, 5}}});
  const auto other = store_->Offsets("log-2");
  EXPECT_EQ(other.error().code(), Code::kFailedPrecondition);
  EXPECT_THAT(other.error().message(), HasSubstr("another log (log-1); this one is log-2"));
  EXPECT_TRUE(store_->Offsets("log-1"));
}

TEST_P(ResultStoreConformance, RowsComeInTheOrderOfTheirKeys) {
  Write({{Success("j", 0, 0, "b"), Failure("j", 0, 1, "a/2"), Success("j", 0, 2, "B"),
          Success("j", 0, 3, "a/10"), Success("other", 0, 0, "a/1")},
         {},
         {}});
  std::vector<std::string> keys;
  for (const ResultRow& row : Rows("j")) keys.push_back(row.key);
  EXPECT_EQ(keys, (std::vector<std::string>{"B", "a/10", "a/2", "b"}));
  EXPECT_EQ(Rows("j", false, 3).size(), 3u);
  ASSERT_EQ(Rows("j", true).size(), 1u);
  EXPECT_EQ(Rows("j", true)[0].key, "a/2");
}

TEST_P(ResultStoreConformance, VisitingStopsWhenTheVisitorHasEnough) {
  for (uint32_t i = 0; i < 10; ++i) Write({{Success("j", 0, i, std::to_string(i))}, {}, {}});
  int visited = 0;
  EXPECT_TRUE(reader_->Rows("j", false, 0, [&](const ResultRow&) { return ++visited < 4; }).ok());
  EXPECT_EQ(visited, 4);
}

TEST_P(ResultStoreConformance, OneKeyMayBeEnqueuedTwice) {
  Write({{Success("j", 0, 0, "same"), Success("j", 4, 1, "same")}, {}, {}});
  EXPECT_EQ(Rows("j").size(), 2u);
}

TEST_P(ResultStoreConformance, AnyBytesOfAKeySurvive) {
  std::string all_bytes;
  for (int byte = 0; byte < 256; ++byte) all_bytes += static_cast<char>(byte);
  const std::vector<std::string> keys = {
      std::string("nul\0inside", 10), "ü漢😀",    "'; DROP TABLE objects; --",
      std::string(1024, '%'),         all_bytes, "\xFF"};
  uint32_t index = 0;
  for (const std::string& key : keys) Write({{Success("j", 0, index++, key)}, {}, {}});
  std::vector<std::string> read;
  for (const ResultRow& row : Rows("j")) read.push_back(row.key);
  EXPECT_THAT(read, ::testing::UnorderedElementsAreArray(keys));
}

TEST_P(ResultStoreConformance, PredictionsWithoutLabelsStayWithoutLabels) {
  Write({{Success("j", 0, 0, "a", {{3, "", 0.5F}})}, {}, {}});
  EXPECT_EQ(Rows("j")[0].predictions[0].label, "");
}

TEST_P(ResultStoreConformance, AnUnknownJobIsNotFoundAndTheNearestIsNamed) {
  Write({{Success("nightly", 0, 0, "a")}, {}, {}});
  const auto job = reader_->Job("nigthly");
  EXPECT_EQ(job.error().code(), Code::kNotFound);
  EXPECT_THAT(job.error().message(), HasSubstr("did you mean 'nightly'?"));
  EXPECT_EQ(reader_->Rows("x", false, 0, [](const ResultRow&) { return true; }).code(),
            Code::kNotFound);
}

TEST_P(ResultStoreConformance, RateCountsTheLastThirtySecondsOfResults) {
  std::vector<ResultRecord> objects;
  const auto add = [&](int64_t finished_at_ms) {
    objects.push_back(
        Success("j", 0, static_cast<uint32_t>(objects.size()), std::to_string(objects.size())));
    objects.back().finished_at_ms = finished_at_ms;
  };
  for (int i = 0; i <= 10; ++i) add(1'000'000 + i * 100);  // 11 results in one second
  std::vector<ResultRecord> enqueued = objects;
  enqueued.push_back(Success("j", 9, 0, "missing"));
  Write({objects, {Job("j", enqueued, JobState::kSealed)}, {}});
  EXPECT_NEAR(JobOf("j").rate_per_second, 11, 1);
  ASSERT_TRUE(JobOf("j").eta_seconds);
  EXPECT_NEAR(*JobOf("j").eta_seconds, 1.0 / 11, 0.01);

  objects.clear();
  for (int i = 0; i < 300; ++i) add(1'100'000 + i * 200);  // then a minute of 5 a second
  for (ResultRecord& object : objects) object.batch_seq = 1;
  Write({objects, {}, {}});
  EXPECT_NEAR(JobOf("j").rate_per_second, 5, 0.2);
  EXPECT_EQ(JobOf("j").first_result_ms, 1'000'000);
  EXPECT_EQ(JobOf("j").last_result_ms, 1'159'800);
}

TEST_P(ResultStoreConformance, BusyTimeIsSummedOverAllObjects) {
  Write({{Success("j", 0, 0, "a"), Failure("j", 0, 1, "b")}, {}, {}});
  Write({{Success("j", 0, 2, "c")}, {}, {}});
  EXPECT_DOUBLE_EQ(JobOf("j").busy.download_ms, 30);
  EXPECT_DOUBLE_EQ(JobOf("j").busy.decode_ms, 6);
  EXPECT_DOUBLE_EQ(JobOf("j").busy.infer_ms, 15);
}

TEST_P(ResultStoreConformance, WorkersTimesAreSummedAndThoseOfADuplicateAreNot) {
  Write({{Success("j", 0, 0, "a")}, {}, {}});
  EXPECT_FALSE(JobOf("j").times);
  ResultRecord telling = Success("j", 0, 1, "b");
  telling.worker_times = WorkerTimes{1, 2, 3, 4, 5, 6, 7, 8, 9};
  Write({{telling}, {}, {}});
  Write({{telling}, {}, {}});
  telling.index = 2;
  Write({{telling}, {}, {}});
  const auto times = JobOf("j").times;
  ASSERT_TRUE(times);
  EXPECT_DOUBLE_EQ(times->wall_s, 2);
  EXPECT_DOUBLE_EQ(times->cpu_s, 4);
  EXPECT_DOUBLE_EQ(times->decode_s, 6);
  EXPECT_DOUBLE_EQ(times->infer_s, 8);
  EXPECT_DOUBLE_EQ(times->await_download_s, 10);
  EXPECT_DOUBLE_EQ(times->await_work_s, 12);
  EXPECT_DOUBLE_EQ(times->decode_waits_s, 14);
  EXPECT_DOUBLE_EQ(times->infer_waits_s, 16);
  EXPECT_DOUBLE_EQ(times->publish_s, 18);
}

TEST_P(ResultStoreConformance, DownloadsAreSummedAndThoseOfADuplicateAreNot) {
  Write({{Success("j", 0, 0, "a")}, {}, {}});
  EXPECT_EQ(JobOf("j").downloads, DownloadTraffic());
  ResultRecord telling = Success("j", 0, 1, "b");
  telling.downloads = DownloadTraffic{1, 2, 3, 4, 5, 6};
  Write({{telling}, {}, {}});
  Write({{telling}, {}, {}});
  telling.index = 2;
  Write({{telling}, {}, {}});
  EXPECT_EQ(JobOf("j").downloads, (DownloadTraffic{2, 4, 6, 8, 10, 12}));
}

TEST_P(ResultStoreConformance, JobsAreListedFromTheOldest) {
  JobRecord newer = Job("a", {}, JobState::kSealed);
  newer.created_at_ms += 1000;
  Write({{}, {newer, Job("b", {}, JobState::kListing)}, {}});
  const auto jobs = reader_->Jobs().value();
  ASSERT_EQ(jobs.size(), 2u);
  EXPECT_EQ(jobs[0].job_id, "b");
  EXPECT_EQ(jobs[1].job_id, "a");
}

TEST_P(ResultStoreConformance, AReaderInTheMidstOfRowsNeitherBlocksNorSeesTheWriter) {
  for (uint32_t i = 0; i < 50; ++i) Write({{Success("j", 0, i, fmt::format("{:03}", i))}, {}, {}});
  int visited = 0;
  const Status status = reader_->Rows("j", false, 0, [&](const ResultRow&) {
    Write({{Success("j", 1, static_cast<uint32_t>(visited), fmt::format("{:03}x", visited))},
           {},
           {}});
    ++visited;
    return true;
  });
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(visited, 50);
  EXPECT_EQ(Rows("j").size(), 100u);
}

TEST_P(ResultStoreConformance, ReadersOnOtherThreadsAlwaysSeeWholeTransactions) {
  Write({{}, {Job("j", {}, JobState::kListing)}, {}});
  std::jthread poller([this](std::stop_token stop) {
    const auto reader = GetParam().open_reader(Path()).value();
    while (!stop.stop_requested()) {
      const auto job = reader->Job("j");
      ASSERT_TRUE(job) << job.error().message();
      ASSERT_EQ((job->done + job->failed) % 10, 0u);
    }
  });
  for (uint64_t batch = 0; batch < 60; ++batch) {
    CollectedBatch collected;
    for (uint32_t i = 0; i < 10; ++i)
      collected.results.push_back(Success("j", batch, i, std::to_string(i)));
    Write(collected);
  }
  EXPECT_EQ(JobOf("j").done, 600u);
}

TEST_P(ResultStoreConformance, CountersAgreeWithTheRowsAfterAnyHistory) {
  const uint32_t seed = std::random_device{}();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 40; ++round) {
    CollectedBatch batch;
    for (int i = 0; i < 25; ++i) {
      const auto index = static_cast<uint32_t>(random() % 60);
      ResultRecord record = random() % 2 ? Success("j", 0, index, fmt::format("{:03}", index))
                                         : Failure("j", 0, index, fmt::format("{:03}", index));
      record.attempt = static_cast<int>(random() % 4) + 1;
      batch.results.push_back(std::move(record));
    }
    Write(batch);
  }
  const auto rows = Rows("j");
  const auto failed = static_cast<size_t>(std::count_if(
      rows.begin(), rows.end(), [](const ResultRow& row) { return row.error.has_value(); }));
  EXPECT_EQ(rows.size(), 60u);
  EXPECT_EQ(JobOf("j").failed, failed);
  EXPECT_EQ(JobOf("j").done, rows.size() - failed);
  EXPECT_EQ(Rows("j", true).size(), failed);
  std::vector<ResultRecord> objects;
  for (uint32_t i = 0; i < 60; ++i) objects.push_back(Success("j", 0, i, fmt::format("{:03}", i)));
  Write({{}, {Job("j", objects, JobState::kSealed)}, {}});
  EXPECT_EQ(JobOf("j").state, "complete");
}

}  // namespace
}  // namespace trawl::storage
