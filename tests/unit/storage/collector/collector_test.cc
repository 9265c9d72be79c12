// Goal: what is in the log ends in the database, once, whatever the log holds and however the
// database behaves. Method: a real embedded log and a real database; the collector runs on the
// test's thread and is stopped, or its writes are refused, through hooks at its ports.
#include "storage/collector/collector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "storage/sqlite/sqlite.h"
#include "tests/support/manual_clock.h"
#include "tests/unit/storage/collector/workbench.h"

namespace trawl::storage {
namespace {

using ::testing::HasSubstr;
using trawl::testing::Failure;
using trawl::testing::Job;
using trawl::testing::Success;

class CollectorTest : public ::testing::Test {
 protected:
  CollectorTest() { Open(); }

  void Open() {
    bench_.reset();
    Settings settings;
    settings.results_partitions = 3;
    settings.work_partitions = 1;
    settings.collect_interval_ms = 20;
    bench_ = std::make_unique<Workbench>(folder_, settings);
  }

  JobStatus JobOf(const std::string& job) {
    const auto reader = OpenResultReader(DatabasePath(folder_)).value();
    return reader->Job(job).value_or(JobStatus{});
  }

  void ExpectCollected(const Status& status, uint64_t rows) {
    EXPECT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(JobOf("j").done + JobOf("j").failed, rows);
    EXPECT_EQ(bench_->stats.duplicates_suppressed, 0);
  }

  trawl::testing::TempDir folder_{"collector"};
  std::unique_ptr<Workbench> bench_;
};

TEST_F(CollectorTest, WritesBothTopicsAndTellsWhenItHasCaughtUp) {
  const auto results = SomeResults(100);
  bench_->Publish(results, {Job("j", results, JobState::kSealed)});
  ExpectCollected(bench_->CollectAll(), 100);
  EXPECT_EQ(JobOf("j").state, "complete");
  EXPECT_EQ(JobOf("j").failed, 20u);
  EXPECT_EQ(bench_->stats.rows, 100);
  EXPECT_EQ(bench_->stats.malformed, 0);
}

TEST_F(CollectorTest, AnEmptyLogIsCaughtUpWithAtOnce) { EXPECT_TRUE(bench_->CollectAll().ok()); }

TEST_F(CollectorTest, GoesOnBehindTheLastRowAfterARestart) {
  bench_->Publish(SomeResults(30, 0));
  ExpectCollected(bench_->CollectAll(), 30);
  Open();
  bench_->Publish(SomeResults(20, 1));
  ExpectCollected(bench_->CollectAll(), 50);
  EXPECT_EQ(bench_->stats.rows, 20);
}

TEST_F(CollectorTest, CatchesUpAgainAndAgain) {
  int times = 0;
  const Status status = bench_->Collect([&](const CollectorStats&, bool caught_up) {
    if (!caught_up) return;
    if (++times == 4) return static_cast<void>(bench_->drain.request_stop());
    bench_->Publish(SomeResults(10, static_cast<uint64_t>(times)));
  });
  ExpectCollected(status, 30);
}

TEST_F(CollectorTest, TransactionsHoldNoMoreRowsThanTheSettingsAllow) {
  bench_->settings.collect_rows = 7;
  bench_->settings.collect_interval_ms = 60'000;
  size_t largest = 0;
  bench_->hooks.before_write = [&](const CollectedBatch& batch) {
    largest = std::max(largest, batch.results.size() + batch.jobs.size());
    return OkStatus();
  };
  bench_->Publish(SomeResults(70));
  ExpectCollected(bench_->Collect([&](const CollectorStats& stats, bool) {
    if (stats.rows == 70) bench_->drain.request_stop();
  }),
                  70);
  EXPECT_EQ(largest, 7u);
  EXPECT_EQ(bench_->stats.transactions, 10);
}

TEST_F(CollectorTest, MalformedRecordsAreCountedAndNeverFatal) {
  bench_->Publish(SomeResults(10));
  const std::string good = Encode(SomeResults(1)[0]);
  const std::string malformed[] = {"",
                                   "x",
                                   "null",
                                   "{}",
                                   good.substr(0, 50),
                                   std::string(5'000, '['),
                                   "\xFF\xFE",
                                   std::string("\0\0", 2),
                                   R"({"version":-1})",
                                   R"({"version":1,"job":"j"})"};
  for (const std::string& value : malformed) {
    bench_->PublishRaw(kResultsTopic, 1, value);
    bench_->PublishRaw(kJobsTopic, 0, value);
  }
  bench_->Publish(SomeResults(10, 1), {Job("j", SomeResults(20), JobState::kListing)});
  ExpectCollected(bench_->CollectAll(), 20);
  EXPECT_EQ(bench_->stats.malformed, 20);
  Open();  // and they are behind us for good
  EXPECT_TRUE(bench_->CollectAll().ok());
  EXPECT_EQ(bench_->stats.malformed, 0);
}

TEST_F(CollectorTest, ARecordFromANewerVersionStopsItInFrontOfTheRecord) {
  for (const auto& record : SomeResults(5)) bench_->PublishRaw(kResultsTopic, 2, Encode(record));
  bench_->PublishRaw(kResultsTopic, 2, R"({"version":2,"job":"j"})");
  bench_->PublishRaw(kResultsTopic, 2, Encode(SomeResults(1, 9)[0]));
  for (int run = 0; run < 2; ++run) {
    const Status status = bench_->CollectAll();
    EXPECT_EQ(status.code(), Code::kUnimplemented);
    EXPECT_THAT(status.message(), HasSubstr("trawl.results/2 at offset 5"));
    EXPECT_THAT(status.message(),
                HasSubstr("record version 2 is newer than this trawl understands (1)"));
    EXPECT_EQ(JobOf("j").done + JobOf("j").failed, 5u);
    Open();
  }
}

TEST_F(CollectorTest, AFullDiskIsWaitedOutWithNothingLostOrSkipped) {
  bench_->Publish(SomeResults(50));
  int refusals = 0;
  bench_->hooks.before_write = [&](const CollectedBatch&) -> Status {
    if (++refusals > 3) return OkStatus();
    bench_->Publish(
        SomeResults(10, static_cast<uint64_t>(refusals)));  // the world goes on meanwhile
    return Error(Code::kResourceExhausted, "the disk is full");
  };
  const Status status = bench_->Collect([&](const CollectorStats& stats, bool caught_up) {
    if (stats.rows == 80 && caught_up) bench_->drain.request_stop();
  });
  ExpectCollected(status, 80);
}

TEST_F(CollectorTest, ADrainDuringAFullDiskEndsTheWaitAndLosesNothing) {
  bench_->Publish(SomeResults(50));
  bench_->hooks.before_write = [&](const CollectedBatch&) -> Status {
    bench_->drain.request_stop();
    return Error(Code::kResourceExhausted, "the disk is full");
  };
  EXPECT_EQ(bench_->Collect({}).code(), Code::kResourceExhausted);
  Open();
  ExpectCollected(bench_->CollectAll(), 50);
}

TEST_F(CollectorTest, AReadOnlyDatabaseStopsIt) {
  bench_->Publish(SomeResults(5));
  bench_->hooks.before_write = [](const CollectedBatch&) -> Status {
    return Error(Code::kPermissionDenied, "the database is read-only");
  };
  EXPECT_EQ(bench_->CollectAll().code(), Code::kPermissionDenied);
}

TEST_F(CollectorTest, ASecondCollectorOnTheSameDatabaseStops) {
  bench_->Publish(SomeResults(20));
  const auto other = OpenResultStore(DatabasePath(folder_)).value();
  ASSERT_TRUE(other->Offsets(bench_->log.Identity().value()));
  int64_t rows = 0;  // a slow machine reads the records in more than one batch
  bench_->hooks.before_write = [&](const CollectedBatch& batch) {
    const auto report = other->Write(batch);
    EXPECT_TRUE(report);
    if (report) rows += report->rows_added;
    return OkStatus();
  };
  const Status status = bench_->CollectAll();
  EXPECT_EQ(status.code(), Code::kFailedPrecondition);
  EXPECT_THAT(status.message(), HasSubstr("another collector"));
  EXPECT_GT(rows, 0);
  const auto job = JobOf("j");
  EXPECT_EQ(job.done + job.failed, static_cast<uint64_t>(rows));
}

TEST_F(CollectorTest, ADatabaseOfAnotherLogIsRefused) {
  bench_->Publish(SomeResults(5));
  ExpectCollected(bench_->CollectAll(), 5);
  bench_.reset();
  for (const auto& file : std::filesystem::directory_iterator(folder_.path()))
    if (file.path().filename().string().starts_with("log.db")) std::filesystem::remove(file.path());
  Open();
  const Status status = bench_->CollectAll();
  EXPECT_EQ(status.code(), Code::kFailedPrecondition);
  EXPECT_THAT(status.message(), HasSubstr("filled from another log"));
}

/// A log that keeps what was collected, and whose results are then deleted and made anew.
class RemadeTopicTest : public CollectorTest {
 protected:
  void Collect(uint32_t count) {
    bench_->hooks.keep_collected = true;
    bench_->Publish(SomeResults(count));
    ExpectCollected(bench_->CollectAll(), count);
  }

  void RemakeTopic() {
    bench_.reset();
    const auto file =
        SqliteDatabase::Open((folder_ / "log.db").string(), SqliteDatabase::Mode::kReadWrite,
                             std::chrono::seconds(1))
            .value();
    const Status remade = file->Execute(
        "CREATE TEMP TABLE remade AS SELECT p.id FROM partitions p JOIN topics t ON t.id = p.topic"
        "   WHERE t.name = 'trawl.results';"
        "DELETE FROM records WHERE id >> 40 IN (SELECT id FROM remade);"
        "UPDATE partitions SET first_offset = 0, next_offset = 0"
        "   WHERE id IN (SELECT id FROM remade)");
    ASSERT_TRUE(remade.ok()) << remade.message();
  }

  void ExpectRefusal(const std::string& reason, uint64_t rows) {
    const Status status = bench_->CollectAll();
    EXPECT_EQ(status.code(), Code::kFailedPrecondition);
    EXPECT_THAT(status.message(), HasSubstr(reason));
    EXPECT_EQ(JobOf("j").done + JobOf("j").failed, rows);
  }
};

TEST_F(RemadeTopicTest, OneThatEndsBeforeWhatWasReadIsRefused) {
  Collect(60);
  RemakeTopic();
  Open();
  bench_->Publish(SomeResults(6, 1));
  ExpectRefusal("the topic was deleted and made anew, or cut short", 60);
}

TEST_F(RemadeTopicTest, OneThatHasGrownBeyondWhatWasReadIsRefusedToo) {
  Collect(60);
  RemakeTopic();
  Open();
  bench_->Publish(SomeResults(300, 1));
  ExpectRefusal("is not the one that the results database has read", 60);
}

TEST_F(RemadeTopicTest, ResultsThatExpiredBeforeTheyWereReadAreNamed) {
  Collect(60);
  bench_->Publish(SomeResults(60, 1));
  std::vector<TopicOffset> expired;
  for (int32_t partition = 0; partition < 3; ++partition) {
    const TopicPartition at{kResultsTopic, partition};
    expired.push_back({at, bench_->log.Extent(at).value().end});
  }
  bench_->hooks.keep_collected = false;
  ASSERT_TRUE(bench_->log.Trim(expired).ok());
  ExpectRefusal("are gone from the log before the results database has read them", 60);
}

TEST_F(RemadeTopicTest, TheSameTopicIsReadOnAndNothingIsTakenTwice) {
  Collect(60);
  Open();
  bench_->Publish(SomeResults(30, 1));
  ExpectCollected(bench_->CollectAll(), 90);
  EXPECT_EQ(bench_->stats.rows, 30);
}

TEST_F(CollectorTest, ADrainWritesWhatIsBuffered) {
  bench_->settings.collect_interval_ms = 60'000;
  bench_->Publish(SomeResults(30));
  int polls = 0;
  bench_->hooks.on_poll = [&] {
    if (++polls == 20) bench_->drain.request_stop();
  };
  EXPECT_TRUE(bench_->Collect({}).ok());
  const uint64_t written = JobOf("j").done + JobOf("j").failed;
  EXPECT_GT(written, 0u);
  EXPECT_LE(written, 20u);
  Open();
  ExpectCollected(bench_->CollectAll(), 30);
}

TEST_F(CollectorTest, AnAbortDropsTheBufferAndTheNextRunReadsItAgain) {
  bench_->settings.collect_interval_ms = 60'000;
  bench_->Publish(SomeResults(30));
  int polls = 0;
  bench_->hooks.on_poll = [&] {
    if (++polls == 20) bench_->abort.request_stop();
  };
  EXPECT_EQ(bench_->Collect({}).code(), Code::kCancelled);
  EXPECT_EQ(JobOf("j").done, 0u);
  Open();
  ExpectCollected(bench_->CollectAll(), 30);
}

TEST_F(CollectorTest, TrimsTheResultsThatAreWrittenAndNeverTheJobs) {
  const auto results = SomeResults(30);
  bench_->Publish(results, {Job("j", results, JobState::kSealed)});
  ExpectCollected(bench_->CollectAll(), 30);
  int64_t trimmed = 0;
  for (const TopicOffset& offset : bench_->log.trimmed) {
    EXPECT_EQ(offset.at.topic, kResultsTopic);
    trimmed += offset.offset;
  }
  EXPECT_GE(trimmed, 30);
  int jobs = 0;
  EXPECT_TRUE(ReadToEnd(bench_->log, kJobsTopic, [&](const LogRecord&) { ++jobs; }).ok());
  EXPECT_EQ(jobs, 1);
}

/// A minute passes whenever somebody looks.
class HastyClock final : public Clock {
 public:
  std::chrono::steady_clock::time_point Now() const override {
    return now_ += std::chrono::minutes(1);
  }
  int64_t WallMillis() const override { return 0; }
  bool SleepFor(std::chrono::milliseconds, std::stop_token stop) override {
    return !stop.stop_requested();
  }

 private:
  mutable std::chrono::steady_clock::time_point now_{};
};

TEST_F(CollectorTest, PartitionsThatAreAddedWhileItRunsAreReadToo) {
  HastyClock clock;
  bench_->clock = &clock;
  int visible = 1;
  bench_->hooks.partition_count = [&](const std::string& topic, int real) {
    return topic == kResultsTopic ? visible : real;
  };
  bench_->Publish(SomeResults(60));
  const Status status = bench_->Collect([&](const CollectorStats& stats, bool caught_up) {
    if (!caught_up) return;
    if (visible == 1) {
      EXPECT_LT(stats.rows, 60);
      visible = 3;
    } else if (stats.rows == 60) {
      bench_->drain.request_stop();
    }
  });
  ExpectCollected(status, 60);
}

TEST_F(CollectorTest, APartOfTheLogThatIsOutOfReachWhenItStartsIsWaitedForAMinute) {
  trawl::testing::ManualClock clock;
  bench_->clock = &clock;
  bench_->hooks.on_poll = [&] { clock.Advance(std::chrono::seconds(1)); };
  int refusals = 59;
  bench_->hooks.partition_count = [&](const std::string&, int real) -> Result<int> {
    if (refusals == 0) return real;
    --refusals;
    return Error(Code::kUnavailable, "fault: out of reach");
  };
  EXPECT_TRUE(bench_->CollectAll().ok());
  EXPECT_EQ(refusals, 0);
  refusals = 100;
  const auto before = clock.Now();
  EXPECT_EQ(bench_->CollectAll().code(), Code::kUnavailable);
  EXPECT_EQ(clock.Now() - before, std::chrono::minutes(1));
  refusals = 100;
  bench_->drain.request_stop();
  EXPECT_TRUE(bench_->Collect({}).ok());
  EXPECT_EQ(refusals, 99);
}

TEST_F(CollectorTest, ADatabaseThatKnowsMorePartitionsThanTheLogIsRefused) {
  bench_->Publish(SomeResults(60));
  ExpectCollected(bench_->CollectAll(), 60);
  bench_->hooks.partition_count = [](const std::string& topic, int real) {
    return topic == kResultsTopic ? 1 : real;
  };
  EXPECT_EQ(bench_->CollectAll().code(), Code::kFailedPrecondition);
}

}  // namespace
}  // namespace trawl::storage
