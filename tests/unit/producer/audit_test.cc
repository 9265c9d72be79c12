// Goal: an audit names exactly the objects that something is wrong with, never takes work that is
// under way for lost, and what is enqueued again is enqueued once. Method: the real producer on the
// real embedded log and database; a worker and a collector of a few lines, which lose, double and
// delay what the tests ask them to.
#include "producer/audit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "producer/commands.h"
#include "producer/job_ledger.h"
#include "producer/producer.h"
#include "storage/message_log/embedded_log.h"
#include "storage/sqlite/sqlite.h"
#include "storage/topics.h"
#include "tests/support/temp_dir.h"

namespace trawl::producer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr int kKeys = 40;

class Deaf final : public storage::RebalanceListener {
  void OnAssigned(std::span<const storage::TopicPartition>) override {}
  void OnRevoked(std::span<const storage::TopicPartition>) override {}
  void OnLost(std::span<const storage::TopicPartition>) override {}
};

class AuditTest : public ::testing::Test {
 protected:
  AuditTest() {
    settings_.batch_keys = 6;
    settings_.list_page_keys = 13;
    settings_.work_partitions = 3;
    settings_.results_partitions = 2;
    std::ofstream manifest(Path("keys.txt"));
    for (int i = 0; i < kKeys; ++i) manifest << "key " << i << "\n";
    manifest.close();
    log_ = storage::OpenEmbeddedLog(Path("log")).value();
    objects_ = storage::OpenObjectStore(settings_).value();
    results_ = storage::OpenResultStore(Path("db")).value();
    reader_ = storage::OpenResultReader(Path("db")).value();
    Produce();
  }

  std::string Path(const std::string& name) const { return (dir_ / name).string(); }

  void Produce() {
    JobSpec spec;
    spec.source = "s3://bucket/";
    spec.model = {"file:///model", "model", "abc", "def"};
    ASSERT_TRUE(RunProducer({.settings = settings_,
                             .log = *log_,
                             .objects = *objects_,
                             .job_id = "job",
                             .spec = spec,
                             .prefix = "",
                             .manifest_path = Path("keys.txt"),
                             .on_progress = {}},
                            {}));
  }

  /// Ends every object of up to `batches` messages: `lost` keys get no record, `doubled` two,
  /// `failed` a failure with this code.
  void Work(size_t batches = SIZE_MAX) {
    Deaf deaf;
    auto consumer =
        log_->Subscribe(settings_.group, {storage::WorkTopic(settings_.queue)}, deaf).value();
    auto producer = log_->OpenProducer("worker").value();
    std::set<storage::TopicPartition> ended;
    while (batches > 0 && ended.size() < 3) {
      const auto polled = consumer->Poll(std::chrono::milliseconds(100)).value();
      if (polled.end_of) ended.insert(*polled.end_of);
      if (!polled.record) continue;
      storage::Transaction transaction;
      transaction.consumer = consumer.get();
      transaction.offsets = {{polled.record->at, polled.record->offset + 1}};
      Publish(DecodeWorkBatch(polled.record->value).value(), transaction);
      ASSERT_TRUE(producer->Commit(transaction).ok());
      --batches;
    }
  }

  void Publish(const WorkBatch& batch, storage::Transaction& transaction) {
    for (size_t i = 0; i < batch.objects.size(); ++i) {
      const std::string& key = batch.objects[i].key;
      seen_attempts_[key] = batch.attempt;
      if (lost_.contains(key)) continue;
      ResultRecord record;
      record.job_id = batch.job_id;
      record.batch_seq = batch.seq;
      record.index = batch.IndexOf(i);
      record.attempt = batch.attempt;
      record.key = key;
      if (failed_.contains(key)) record.outcome = ObjectError{failed_.at(key), "fault", 1};
      const storage::OutgoingRecord message{storage::kResultsTopic, std::nullopt,
                                            ResultMessageKey(record), Encode(record)};
      transaction.records.push_back(message);
      if (doubled_.contains(key)) transaction.records.push_back(message);
    }
  }

  void Collect() {
    storage::CollectedBatch batch;
    std::map<storage::TopicPartition, int64_t> expected, next;
    for (const auto& [at, offset] : Stored()) expected[at] = offset;
    for (const char* topic : {storage::kJobsTopic, storage::kResultsTopic}) {
      ASSERT_TRUE(storage::ReadToEnd(*log_, topic, [&](const storage::LogRecord& record) {
                    if (expected.contains(record.at) && record.offset < expected[record.at]) return;
                    next[record.at] = record.offset + 1;
                    if (topic == std::string_view(storage::kJobsTopic))
                      batch.jobs.push_back(DecodeJobRecord(record.value).value());
                    else
                      batch.results.push_back(DecodeResultRecord(record.value).value());
                  }).ok());
    }
    for (const auto& [at, offset] : next)
      batch.steps.push_back(
          {at, expected.contains(at) ? expected[at] : storage::kBeginning, offset});
    const auto written = results_->Write(batch);
    ASSERT_TRUE(written) << written.error().message();
  }

  std::map<storage::TopicPartition, int64_t> Stored() {
    std::map<storage::TopicPartition, int64_t> stored;
    const auto offsets = results_->Offsets(log_->Identity().value());
    for (const storage::StoredOffset& offset : *offsets) stored[offset.at] = offset.offset;
    return stored;
  }

  Audit Books() { return Books(*log_, {}, {}).value(); }

  Result<Audit> Books(storage::MessageLog& log, std::chrono::milliseconds settle,
                      std::function<void(uint64_t)> on_second_look) {
    const JobRecord job = FindJob(*log_, "job").value();
    return AuditJob({.log = log,
                     .reader = *reader_,
                     .job = job,
                     .group = settings_.group,
                     .settle = settle,
                     .on_second_look = std::move(on_second_look)},
                    {});
  }

  std::vector<std::string> Names(const ObjectSet& objects) {
    std::vector<std::string> names;
    const auto visit = [&](const WorkBatch& batch, const std::vector<size_t>& chosen) {
      for (const size_t i : chosen) names.push_back(batch.objects[i].key);
      return OkStatus();
    };
    EXPECT_TRUE(ForEachEnqueued(*log_, FindJob(*log_, "job").value(), objects, visit).ok());
    return names;
  }

  Result<RequeueReport> Again(const Audit& books, const ObjectSet& wanted) {
    return Requeue({.log = *log_, .job = books.job, .wanted = wanted, .page_objects = 5}, {});
  }

  void Execute(const char* sql) {
    auto database = storage::SqliteDatabase::Open(
        Path("db"), storage::SqliteDatabase::Mode::kReadWrite, std::chrono::seconds(5));
    ASSERT_TRUE((*database)->Execute(sql).ok());
  }

  trawl::testing::TempDir dir_;
  Settings settings_;
  std::unique_ptr<storage::MessageLog> log_;
  std::unique_ptr<storage::ObjectStore> objects_;
  std::unique_ptr<storage::ResultStore> results_;
  std::unique_ptr<storage::ResultReader> reader_;
  std::set<std::string> lost_, doubled_;
  std::map<std::string, ObjectErrorCode> failed_;
  std::map<std::string, int> seen_attempts_;
};

TEST_F(AuditTest, AccountsOfAFinishedJobAgree) {
  failed_["key 3"] = ObjectErrorCode::kTimeout;
  Work();
  Collect();
  const Audit books = Books();
  EXPECT_TRUE(books.agrees());
  EXPECT_EQ(books.enqueued.objects, 40u);
  EXPECT_EQ(books.work, books.enqueued);
  EXPECT_EQ(books.results, books.enqueued);
  EXPECT_EQ(books.database, books.enqueued);
}

TEST_F(AuditTest, WhatIsUnderWayIsNotMissing) {
  Audit books = Books();
  EXPECT_FALSE(books.ended());
  EXPECT_EQ(books.pending.size(), 40u);
  EXPECT_TRUE(books.missing.empty());
  Work(3);
  books = Books();
  EXPECT_EQ(books.pending.size() + books.uncollected.size(), 40u);
  EXPECT_FALSE(books.uncollected.empty());
  EXPECT_TRUE(books.missing.empty());
  Collect();
  books = Books();
  EXPECT_TRUE(books.uncollected.empty());
  EXPECT_FALSE(books.agrees());
  Work();
  EXPECT_FALSE(Books().agrees()) << "not collected yet";
  Collect();
  EXPECT_TRUE(Books().agrees());
}

TEST_F(AuditTest, ARecordThatWasNeverPublishedIsNamedAndRepairedOnce) {
  lost_ = {"key 7", "key 8", "key 39"};
  Work();
  Collect();
  Audit books = Books();
  EXPECT_FALSE(books.agrees());
  EXPECT_TRUE(books.ended());
  EXPECT_THAT(Names(books.missing), UnorderedElementsAre("key 7", "key 8", "key 39"));
  const auto report = Again(books, books.missing);
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_EQ(report->objects, 3u);
  EXPECT_EQ(report->messages, 2u) << "one for each of their batches";
  EXPECT_TRUE(Books().missing.empty()) << "enqueued again and not done yet";
  EXPECT_EQ(Again(books, books.missing).error().code(), Code::kAborted)
      << "these books are out of date";
  lost_.clear();
  Work();
  Collect();
  books = Books();
  EXPECT_TRUE(books.agrees());
  EXPECT_EQ(seen_attempts_.at("key 7"), 2);
  EXPECT_EQ(seen_attempts_.at("key 9"), 1);
  EXPECT_EQ(reader_->Job("job")->state, "complete");
}

TEST_F(AuditTest, WhatAnOpenTransactionHidesIsNotMissingAtTheSecondLook) {
  lost_ = {"key 7"};
  Work();
  // Everything but key 7 is committed, and nothing is to be seen of it.
  std::vector<storage::OutgoingRecord> hidden;
  ASSERT_TRUE(storage::ReadToEnd(*log_, storage::kResultsTopic, [&](const auto& record) {
                hidden.push_back({record.at.topic, record.at.partition, record.key, record.value});
              }).ok());
  ASSERT_TRUE(log_->Trim(std::vector<storage::TopicOffset>{{{storage::kResultsTopic, 0}, 1'000},
                                                           {{storage::kResultsTopic, 1}, 1'000}})
                  .ok());
  EXPECT_EQ(Books().missing.size(), 40u);
  uint64_t looked_twice_at = 0;
  const auto books = Books(*log_, std::chrono::milliseconds(1), [&](uint64_t objects) {
    looked_twice_at = objects;
    storage::Transaction transaction;
    transaction.records = hidden;
    ASSERT_TRUE(log_->OpenProducer("worker").value()->Commit(transaction).ok());
  });
  ASSERT_TRUE(books);
  EXPECT_EQ(looked_twice_at, 40u);
  EXPECT_THAT(Names(books->missing), ElementsAre("key 7"));
  EXPECT_EQ(books->uncollected.size(), 39u);
}

TEST_F(AuditTest, ADatabaseOfAnotherLogIsRefused) {
  Work();
  Collect();
  auto other = storage::OpenEmbeddedLog(Path("other")).value();
  ASSERT_TRUE(other->EnsureTopics(storage::TopicSpecs(settings_)).ok());
  EXPECT_THAT(Books(*other, {}, {}).error().message(), HasSubstr("filled from another log"));
}

TEST_F(AuditTest, ARowThatWasDeletedIsNamedAndItsCountersAreMended) {
  Work();
  Collect();
  Execute(
      "DELETE FROM predictions WHERE object_id IN (SELECT id FROM objects WHERE key = 'key 21');"
      "DELETE FROM objects WHERE key = 'key 21'");
  Audit books = Books();
  EXPECT_FALSE(books.agrees());
  EXPECT_TRUE(books.counters_differ());
  EXPECT_THAT(Names(books.missing), ElementsAre("key 21"));
  ASSERT_TRUE(storage::RecountJob(Path("db"), "job", books.job.requeued).ok());
  EXPECT_FALSE(Books().counters_differ());
  ASSERT_TRUE(Again(books, books.missing));
  Work();
  Collect();
  EXPECT_TRUE(Books().agrees());
  EXPECT_EQ(reader_->Job("job")->state, "complete");
}

TEST_F(AuditTest, ARecordThatWasPublishedTwiceIsNamed) {
  doubled_ = {"key 5"};
  Work();
  Collect();
  const Audit books = Books();
  EXPECT_FALSE(books.agrees());
  ASSERT_EQ(books.doubled_results.size(), 1u);
  EXPECT_EQ(books.doubled_results[0].key, "key 5");
  EXPECT_EQ(books.database, books.enqueued) << "the database took it once";
}

TEST_F(AuditTest, ABatchThatIsOnTheTopicTwiceIsNamed) {
  std::string message;
  const std::string topic = storage::WorkTopic(settings_.queue);
  ASSERT_TRUE(storage::ReadToEnd(*log_, topic, [&](const storage::LogRecord& record) {
                if (record.value.find("\"key 0\"") != std::string::npos) message = record.value;
              }).ok());
  auto vandal = log_->OpenProducer("vandal").value();
  storage::Transaction transaction;
  transaction.records.push_back({topic, 1, "job", message});
  ASSERT_TRUE(vandal->Commit(transaction).ok());
  Work();
  Collect();
  const Audit books = Books();
  EXPECT_FALSE(books.agrees());
  ASSERT_EQ(books.doubled_work.size(), 6u);
  EXPECT_EQ(books.doubled_work[0].key, "key 0");
}

TEST_F(AuditTest, ARowThatNobodyEnqueuedIsNamed) {
  Work();
  Collect();
  Execute("UPDATE objects SET position = 99, key = 'stranger' WHERE key = 'key 1'");
  const Audit books = Books();
  EXPECT_FALSE(books.agrees());
  EXPECT_THAT(Names(books.missing), ElementsAre("key 1"));
  ASSERT_EQ(books.unexpected.size(), 1u);
  EXPECT_EQ(books.unexpected[0].key, "stranger");
}

TEST_F(AuditTest, WhatIsNoLongerOnTheTopicIsCountedAlthoughNobodyKnowsItsName) {
  lost_ = {"key 0", "key 1"};
  Work();
  Collect();
  const auto all =
      log_->CommittedOffsets(settings_.group, storage::WorkTopic(settings_.queue)).value();
  ASSERT_TRUE(log_->Trim(all).ok());
  const Audit books = Books();
  EXPECT_FALSE(books.agrees());
  EXPECT_TRUE(books.missing.empty());
  EXPECT_EQ(books.unnamed, 2u);
  EXPECT_THAT(books.unexpected, IsEmpty());
}

TEST_F(AuditTest, FailuresAreTriedAgainAsANewAttemptUntilTheySucceed) {
  failed_ = {{"key 3", ObjectErrorCode::kTimeout}, {"key 30", ObjectErrorCode::kChanged}};
  Work();
  Collect();
  EXPECT_EQ(reader_->Job("job")->failed, 2u);
  for (int attempt = 2; attempt <= 3; ++attempt) {
    const Audit books = Books();
    ObjectSet wanted;
    ASSERT_TRUE(reader_->Ledger("job", [&](const storage::LedgerRow& row) {
      if (row.error == ObjectErrorCode::kTimeout) wanted.Insert(row.batch_seq, row.index);
    }));
    ASSERT_EQ(wanted.size(), 1u);
    EXPECT_EQ(Again(books, wanted)->job.attempt, attempt);
    if (attempt == 3) failed_.erase("key 3");
    Work();
    Collect();
    EXPECT_EQ(seen_attempts_.at("key 3"), attempt);
    EXPECT_TRUE(Books().agrees());
  }
  EXPECT_EQ(reader_->Job("job")->failed, 1u);
  EXPECT_EQ(reader_->Job("job")->state, "complete");
}

TEST_F(AuditTest, ACancelledJobRunsAgainWhenSomeOfItIsWantedAgain) {
  ASSERT_TRUE(ControlJob(*log_, "job", JobControl::kCancelled, {}));
  EXPECT_THAT(ControlJob(*log_, "job", JobControl::kRun, {}).error().message(),
              HasSubstr("is cancelled"));
  EXPECT_EQ(ControlJob(*log_, "job", JobControl::kPaused, {}).error().code(),
            Code::kFailedPrecondition);
  Work();
  Collect();
  const Audit books = Books();
  EXPECT_TRUE(books.agrees());
  ObjectSet wanted;
  wanted.Insert(0, 0);
  EXPECT_EQ(Again(books, wanted)->job.control, JobControl::kRun);
}

TEST_F(AuditTest, AnUnknownJobIsNamedWithItsNearestNeighbour) {
  const auto found = FindJob(*log_, "jobs");
  EXPECT_EQ(found.error().code(), Code::kNotFound);
  EXPECT_THAT(found.error().message(), HasSubstr("did you mean 'job'"));
  auto empty = storage::OpenEmbeddedLog(Path("empty")).value();
  EXPECT_EQ(FindJob(*empty, "job").error().code(), Code::kNotFound) << "a log without topics";
}

}  // namespace
}  // namespace trawl::producer
