// Goal: every key is enqueued exactly once, in whatever way the producer was interrupted. Method:
// the real embedded log and a real folder; a wrapper log makes the n-th commit fail, before or
// after it took effect, for every n.
#include "producer/producer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <latch>
#include <map>
#include <set>
#include <thread>

#include "config/set_digest.h"
#include "producer/commands.h"
#include "producer/job_ledger.h"
#include "storage/message_log/embedded_log.h"
#include "storage/topics.h"
#include "tests/support/faulty_log.h"
#include "tests/support/manual_clock.h"
#include "tests/support/temp_dir.h"

namespace trawl::producer {
namespace {

using storage::MessageLog;
using ::testing::HasSubstr;

class ProducerTest : public ::testing::Test {
 protected:
  ProducerTest() {
    settings_.batch_keys = 3;
    settings_.list_page_keys = 7;
    settings_.work_partitions = 4;
    settings_.allow_root = {"/"};
    std::filesystem::create_directories(folder_);
    for (int i = 0; i < 40; ++i) AddFile("picture " + std::to_string(i) + ".jpg");
    log_ = storage::OpenEmbeddedLog((dir_.path() / "log").string()).value();
    objects_ = storage::OpenObjectStore(settings_).value();
    spec_.source = "file://" + folder_.string() + "/";
    spec_.model = {"file:///model", "model", "abc", "def"};
  }

  void AddFile(const std::string& name) { std::ofstream(folder_ / name) << name; }

  ProducerOptions Options(MessageLog& log) {
    return {.settings = settings_,
            .log = log,
            .objects = *objects_,
            .job_id = "job",
            .spec = spec_,
            .prefix = "",
            .manifest_path = manifest_,
            .filter = filter_,
            .on_progress = {},
            .clock = clock_};
  }

  Result<JobRecord> Produce(MessageLog& log) {
    TRAWL_ASSIGN(ProducerReport report, RunProducer(Options(log), {}));
    return std::move(report.job);
  }

  /// How often each key of the job is on the work topic; checks the job's counts and digest against
  /// them.
  std::map<std::string, int> Enqueued(const JobRecord& job) {
    std::map<std::string, int> keys;
    SetDigest digest;
    uint64_t batches = 0;
    const std::string topic = storage::WorkTopic(settings_.queue);
    EXPECT_TRUE(storage::ReadToEnd(*log_, topic, [&](const storage::LogRecord& record) {
                  const WorkBatch batch = DecodeWorkBatch(record.value).value();
                  ++batches;
                  for (uint32_t i = 0; i < batch.objects.size(); ++i) {
                    ++keys[batch.objects[i].key];
                    digest.Add(batch.job_id, batch.seq, i, batch.objects[i].key);
                  }
                }).ok());
    EXPECT_EQ(job.batches, batches);
    EXPECT_EQ(job.objects, keys.size());
    EXPECT_EQ(job.digest_hex, digest.Hex());
    EXPECT_EQ(job.state, JobState::kSealed);
    return keys;
  }

  void ExpectEachFileOnce(const JobRecord& job) {
    const auto keys = Enqueued(job);
    EXPECT_EQ(keys.size(), 40u);
    for (const auto& [key, count] : keys) EXPECT_EQ(count, 1) << key;
  }

  trawl::testing::TempDir dir_;
  const std::filesystem::path folder_ = dir_.path() / "pictures";
  std::string manifest_;
  trawl::testing::ManualClock clock_;
  std::stop_source stop_;
  KeyFilter filter_;
  Settings settings_;
  JobSpec spec_;
  std::unique_ptr<MessageLog> log_;
  std::unique_ptr<storage::ObjectStore> objects_;
};

TEST_F(ProducerTest, EnqueuesEveryFileOnceAndSealsTheJob) {
  ExpectEachFileOnce(Produce(*log_).value());
}

TEST_F(ProducerTest, ASealedJobEnqueuesNothingAgain) {
  const JobRecord first = Produce(*log_).value();
  AddFile("late.jpg");
  EXPECT_EQ(Produce(*log_)->objects, first.objects);
  ExpectEachFileOnce(first);
}

TEST_F(ProducerTest, AnyCommitMayFailBeforeOrAfterItTookEffect) {
  for (int commit = 1; commit <= 6; ++commit) {
    for (const bool committed : {false, true}) {
      SCOPED_TRACE(::testing::Message()
                   << "commit " << commit << (committed ? " took effect" : " did not"));
      log_ = storage::OpenEmbeddedLog(
                 (dir_.path() / ("log" + std::to_string(2 * commit + committed))).string())
                 .value();
      int commits = 0;
      trawl::testing::FaultyLog faulty(*log_, [&](const storage::Transaction&) {
        trawl::testing::CommitFate fate;
        if (++commits == commit) fate = {Status(Code::kAborted, "fault"), committed};
        return fate;
      });
      const auto job = Produce(faulty);
      ASSERT_TRUE(job) << job.error().message();
      EXPECT_GE(commits, commit);
      ExpectEachFileOnce(*job);
    }
  }
}

TEST_F(ProducerTest, APartOfTheLogThatIsOutOfReachIsWaitedForAMinute) {
  trawl::testing::FaultyLog log(
      *log_, [](const storage::Transaction&) { return trawl::testing::CommitFate(); });
  log.RefuseProducers(59);
  const auto job = Produce(log);
  ASSERT_TRUE(job) << job.error().message();
  ExpectEachFileOnce(*job);
  EXPECT_EQ(log.refusals(), 0);
  log.RefuseProducers(100);
  const auto before = clock_.Now();
  EXPECT_EQ(Produce(log).error().code(), Code::kUnavailable);
  EXPECT_EQ(clock_.Now() - before, std::chrono::minutes(1));
  log.RefuseProducers(100);
  stop_.request_stop();
  EXPECT_EQ(RunProducer(Options(log), {stop_.get_token(), {}}).error().code(), Code::kCancelled);
  EXPECT_EQ(log.refusals(), 99);
}

TEST_F(ProducerTest, AnInterruptedProducerGoesOnBehindTheLastPage) {
  for (int round = 0; round < 3; ++round) {
    std::stop_source stop;
    ProducerOptions options = Options(*log_);
    options.on_progress = [&](const JobRecord&) { stop.request_stop(); };
    EXPECT_EQ(RunProducer(options, {stop.get_token(), {}}).error().code(), Code::kCancelled);
  }
  ExpectEachFileOnce(Produce(*log_).value());
}

TEST_F(ProducerTest, AManifestIsResumedAndItsDoubledKeysAreOneObject) {
  manifest_ = (dir_.path() / "keys.txt").string();
  std::ofstream file(manifest_);
  for (int round = 0; round < 2; ++round)
    for (int i = 0; i < 40; ++i) file << "picture " << i << ".jpg\n";
  file.close();
  std::stop_source stop;
  ProducerOptions options = Options(*log_);
  options.on_progress = [&](const JobRecord&) { stop.request_stop(); };
  EXPECT_EQ(RunProducer(options, {stop.get_token(), {}}).error().code(), Code::kCancelled);
  ExpectEachFileOnce(Produce(*log_).value());
}

TEST_F(ProducerTest, AManifestThatChangedIsRefused) {
  manifest_ = (dir_.path() / "keys.txt").string();
  const auto write = [&](const std::string& first) {
    std::ofstream file(manifest_);
    file << first << "\n";
    for (int i = 1; i < 40; ++i) file << "picture " << i << ".jpg\n";
  };
  write("picture 0.jpg");
  std::stop_source stop;
  ProducerOptions options = Options(*log_);
  options.on_progress = [&](const JobRecord&) { stop.request_stop(); };
  EXPECT_FALSE(RunProducer(options, {stop.get_token(), {}}));
  write("another.jpg");
  const auto job = Produce(*log_);
  EXPECT_EQ(job.error().code(), Code::kFailedPrecondition);
  EXPECT_THAT(job.error().message(), HasSubstr("manifest"));
}

TEST_F(ProducerTest, AnotherSpecUnderTheSameNameIsRefusedByName) {
  ASSERT_TRUE(Produce(*log_));
  spec_.model.digest = "other";
  EXPECT_THAT(Produce(*log_).error().message(), HasSubstr("exists with another model"));
  spec_.model.digest = "abc";
  spec_.top_k = 3;
  EXPECT_THAT(Produce(*log_).error().message(), HasSubstr("exists with another top-k (5, not 3)"));
}

TEST_F(ProducerTest, ASecondProducerOfTheJobFencesTheFirst) {
  ProducerOptions options = Options(*log_);
  bool second_ran = false;
  options.on_progress = [&](const JobRecord&) {
    if (std::exchange(second_ran, true)) return;
    EXPECT_TRUE(Produce(*log_));
  };
  const auto first = RunProducer(options, {});
  ASSERT_FALSE(first);
  EXPECT_EQ(first.error().code(), Code::kFailedPrecondition);
  EXPECT_THAT(first.error().message(), HasSubstr("another producer of this job took over"));
  ExpectEachFileOnce(Produce(*log_).value());
}

TEST_F(ProducerTest, APausedJobIsListedOnWhenItIsResumedAndACommandIsNoSecondProducer) {
  ProducerOptions options = Options(*log_);
  int pages = 0;
  std::latch paused(1);
  options.on_progress = [&](const JobRecord& job) {
    if (++pages != 2) return;
    EXPECT_TRUE(ControlJob(*log_, "job", JobControl::kPaused, {}));
    EXPECT_EQ(job.objects, 14u);
    paused.count_down();
  };
  std::stop_source stop;
  // The page under way may still be enqueued; then the producer waits, and can be stopped.
  std::jthread stopper([&] {
    paused.wait();  // before the first page there is no topic to read
    while (true) {
      const auto job = ReadJob(*log_, "job").value();
      if (job && job->control == JobControl::kPaused && job->objects == 21) break;
      std::this_thread::yield();
    }
    stop.request_stop();
  });
  const auto interrupted = RunProducer(options, {stop.get_token(), {}});
  stopper.join();
  EXPECT_EQ(interrupted.error().code(), Code::kCancelled);
  ASSERT_TRUE(ControlJob(*log_, "job", JobControl::kRun, {}));
  ExpectEachFileOnce(Produce(*log_).value());
}

TEST_F(ProducerTest, ACommandInTheMidstOfAListingDoesNotEndIt) {
  ProducerOptions options = Options(*log_);
  options.on_progress = [&](const JobRecord& job) {
    if (job.state == JobState::kSealed) return;
    ASSERT_TRUE(ControlJob(*log_, "job", JobControl::kPaused, {}));
    ASSERT_TRUE(ControlJob(*log_, "job", JobControl::kRun, {}));
  };
  const auto report = RunProducer(options, {});
  ASSERT_TRUE(report) << report.error().message();
  ExpectEachFileOnce(report->job);
}

TEST_F(ProducerTest, ACancelledJobIsListedNoFurther) {
  ProducerOptions options = Options(*log_);
  options.on_progress = [&](const JobRecord&) {
    ASSERT_TRUE(ControlJob(*log_, "job", JobControl::kCancelled, {}));
  };
  EXPECT_THAT(RunProducer(options, {}).error().message(), HasSubstr("job job is cancelled"));
  EXPECT_THAT(Produce(*log_).error().message(), HasSubstr("job job is cancelled"));
  EXPECT_EQ(ReadJob(*log_, "job").value()->objects, 7u);
}

TEST_F(ProducerTest, ATopicThatIsGoneIsNoSecondProducer) {
  trawl::testing::FaultyLog faulty(*log_, [&](const storage::Transaction&) {
    return trawl::testing::CommitFate{Status(Code::kNotFound, "there is no topic t"), false};
  });
  const auto job = Produce(faulty);
  EXPECT_EQ(job.error().code(), Code::kNotFound);
  EXPECT_EQ(job.error().message(), "enqueueing job job: there is no topic t");
}

/// A store that answers with the pages that it is given, in turn.
class ScriptedStore final : public storage::ObjectStore {
 public:
  explicit ScriptedStore(std::vector<std::vector<std::string>> pages) : pages_(std::move(pages)) {}

  Result<storage::ListPage> List(const std::string&, const std::string&, const std::string&,
                                 int) override {
    storage::ListPage page;
    for (const std::string& key : pages_.at(next_++)) page.objects.push_back({key, "", {}, ""});
    page.last = next_ == pages_.size();
    return page;
  }
  void Get(storage::GetRequest, std::stop_token, storage::GetCallback) override {}

 private:
  const std::vector<std::vector<std::string>> pages_;
  size_t next_ = 0;
};

TEST_F(ProducerTest, KeysThatAStoreRepeatsAtTheSeamOfPagesAreEnqueuedOnce) {
  objects_ = std::make_unique<ScriptedStore>(
      std::vector<std::vector<std::string>>{{"a", "b"}, {"a", "b", "c"}, {"c", "d"}});
  EXPECT_THAT(Enqueued(Produce(*log_).value()),
              ::testing::ElementsAre(std::pair("a", 1), std::pair("b", 1), std::pair("c", 1),
                                     std::pair("d", 1)));
}

TEST_F(ProducerTest, AStoreThatListsOutOfOrderOrInCirclesIsRefused) {
  objects_ = std::make_unique<ScriptedStore>(
      std::vector<std::vector<std::string>>{{"a", "c", "b"}, {"d"}});
  EXPECT_THAT(Produce(*log_).error().message(), HasSubstr("lists 'b' after 'c'"));
  objects_ = std::make_unique<ScriptedStore>(
      std::vector<std::vector<std::string>>{{"a", "b"}, {"a", "b"}, {"a", "b"}});
  EXPECT_EQ(Produce(*log_).error().code(), Code::kDataLoss);
}

/// A bucket in memory that lists from anywhere; `on_list` hears of each request, on its thread.
class BucketStore final : public storage::ObjectStore {
 public:
  explicit BucketStore(std::function<void(int request)> on_list = {})
      : on_list_(std::move(on_list)) {
    for (int i = 0; i < 40; ++i) keys_.insert("picture " + std::to_string(i) + ".jpg");
  }

  Result<storage::ListPage> List(const std::string&, const std::string&,
                                 const std::string& start_after, int max_keys) override {
    if (on_list_) on_list_(++requests_);
    storage::ListPage page;
    auto key = keys_.upper_bound(start_after);
    for (; key != keys_.end() && page.objects.size() < static_cast<size_t>(max_keys); ++key)
      page.objects.push_back({*key, "", {}, ""});
    page.last = key == keys_.end();
    return page;
  }
  bool ListsFromAnywhere(const std::string&) const override { return true; }
  void Get(storage::GetRequest, std::stop_token, storage::GetCallback) override {}

 private:
  const std::function<void(int)> on_list_;
  std::set<std::string> keys_;
  std::atomic<int> requests_ = 0;
};

TEST_F(ProducerTest, AnInterruptedListingInSeveralPlacesGoesOnInAllOfThem) {
  objects_ = std::make_unique<BucketStore>();
  settings_.list_page_keys = 2;
  for (const int64_t listers : {8, 3, 1, 0, 5}) {
    settings_.list_concurrency = listers;
    std::stop_source stop;
    ProducerOptions options = Options(*log_);
    int pages = 0;
    options.on_progress = [&](const JobRecord&) {
      if (++pages == 3) stop.request_stop();
    };
    EXPECT_EQ(RunProducer(options, {stop.get_token(), {}}).error().code(), Code::kCancelled);
  }
  ExpectEachFileOnce(Produce(*log_).value());
}

TEST_F(ProducerTest, APageIsListedWhileTheOneBeforeItIsEnqueued) {
  settings_.list_concurrency = 1;
  settings_.list_page_keys = 20;
  std::latch listing(1), enqueueing(1);
  objects_ = std::make_unique<BucketStore>([&](int request) {
    if (request != 2) return;
    listing.count_down();
    enqueueing.wait();
  });
  int commits = 0;
  // Each waits for the other: were they done in turn, this would not end.
  trawl::testing::FaultyLog log(*log_, [&](const storage::Transaction&) {
    if (++commits == 1) {
      enqueueing.count_down();
      listing.wait();
    }
    return trawl::testing::CommitFate{OkStatus(), true};
  });
  ExpectEachFileOnce(Produce(log).value());
}

/// A BucketStore that is out of reach after `good` requests for the next `bad` ones.
class AilingStore final : public storage::ObjectStore {
 public:
  AilingStore(int good, int bad, std::function<void()> on_bad = {})
      : good_(good), bad_(bad), on_bad_(std::move(on_bad)) {}

  Result<storage::ListPage> List(const std::string& source, const std::string& prefix,
                                 const std::string& start_after, int max_keys) override {
    const int request = ++requests_;
    if (request <= good_ || request > good_ + bad_)
      return bucket_.List(source, prefix, start_after, max_keys);
    if (on_bad_) on_bad_();
    return Error(Code::kUnavailable, "nobody answers");
  }
  bool ListsFromAnywhere(const std::string&) const override { return true; }
  void Get(storage::GetRequest, std::stop_token, storage::GetCallback) override {}

 private:
  const int good_, bad_;
  const std::function<void()> on_bad_;
  BucketStore bucket_;
  std::atomic<int> requests_ = 0;
};

TEST_F(ProducerTest, AListingWaitsForAStoreThatHasListed) {
  settings_.list_concurrency = 1;
  settings_.list_page_keys = 20;
  objects_ = std::make_unique<AilingStore>(1, 1);
  ExpectEachFileOnce(Produce(*log_).value());
}

TEST_F(ProducerTest, AListingThatWaitsCanBeInterrupted) {
  settings_.list_concurrency = 2;
  settings_.list_page_keys = 2;
  constexpr int kForever = 1'000'000;
  objects_ = std::make_unique<AilingStore>(1, kForever, [this] { stop_.request_stop(); });
  EXPECT_EQ(RunProducer(Options(*log_), {stop_.get_token(), {}}).error().code(), Code::kCancelled);
  objects_ = std::make_unique<BucketStore>();
  ExpectEachFileOnce(Produce(*log_).value());
}

TEST_F(ProducerTest, WhoeverNamesAStoreThatNeverAnswersIsToldAtOnce) {
  settings_.list_concurrency = 2;
  objects_ = std::make_unique<AilingStore>(0, 1);
  EXPECT_EQ(Produce(*log_).error().code(), Code::kUnavailable);
}

TEST_F(ProducerTest, AStoreThatRefusesKeysThatDoNotExistIsListedInOnePlace) {
  class Refusing final : public storage::ObjectStore {
   public:
    Result<storage::ListPage> List(const std::string& source, const std::string& prefix,
                                   const std::string& start_after, int max_keys) override {
      if (!start_after.empty() && !start_after.ends_with(".jpg"))
        return Error(Code::kInvalidArgument, "no such key: {}", start_after);
      return bucket_.List(source, prefix, start_after, max_keys);
    }
    bool ListsFromAnywhere(const std::string&) const override { return true; }
    void Get(storage::GetRequest, std::stop_token, storage::GetCallback) override {}

   private:
    BucketStore bucket_;
  };
  objects_ = std::make_unique<Refusing>();
  settings_.list_page_keys = 2;
  ExpectEachFileOnce(Produce(*log_).value());
}

TEST_F(ProducerTest, AnUnreadableJobRecordHidesNoOtherJobAndIsNeverStartedOver) {
  ASSERT_TRUE(Produce(*log_));
  auto vandal = log_->OpenProducer("vandal").value();
  storage::Transaction transaction;
  transaction.records.push_back({storage::kJobsTopic, std::nullopt, "broken", "{}"});
  ASSERT_TRUE(vandal->Commit(transaction).ok());
  std::vector<std::string> jobs;
  EXPECT_TRUE(ForEachJob(*log_, [&](const JobRecord& job) { jobs.push_back(job.job_id); }).ok());
  EXPECT_THAT(jobs, ::testing::ElementsAre("job"));
  ProducerOptions options = Options(*log_);
  options.job_id = "broken";
  EXPECT_EQ(RunProducer(options, {}).error().code(), Code::kInvalidArgument);
}

TEST_F(ProducerTest, AnEmptySourceIsASealedJobOfNothing) {
  spec_.source = "file://" + (dir_.path() / "empty").string() + "/";
  std::filesystem::create_directories(dir_.path() / "empty");
  const JobRecord job = Produce(*log_).value();
  EXPECT_EQ(job.state, JobState::kSealed);
  EXPECT_EQ(job.objects, 0u);
}

TEST_F(ProducerTest, EnqueuesOnlyWhatTheFilterTakes) {
  filter_ = {.include = {"*1*"}, .exclude = {"*31*"}, .start_after = "picture 12.jpg"};
  const auto job = Produce(*log_);
  ASSERT_TRUE(job) << job.error().message();
  std::vector<std::string> keys;
  for (const auto& [key, count] : Enqueued(*job)) keys.push_back(key);
  EXPECT_THAT(keys, ::testing::ElementsAre("picture 13.jpg", "picture 14.jpg", "picture 15.jpg",
                                           "picture 16.jpg", "picture 17.jpg", "picture 18.jpg",
                                           "picture 19.jpg", "picture 21.jpg"));
  EXPECT_EQ(job->state, JobState::kSealed);
  filter_.exclude.clear();
  EXPECT_THAT(Produce(*log_).error().message(), HasSubstr("another input"));
}

TEST_F(ProducerTest, AFilterThatTakesNothingOfManyPagesStillEnds) {
  filter_ = {.include = {"picture 9.jpg"}};
  const auto job = Produce(*log_);
  ASSERT_TRUE(job) << job.error().message();
  EXPECT_EQ(job->objects, 1U);
}

TEST_F(ProducerTest, AFilterAppliesToAManifestToo) {
  manifest_ = (dir_.path() / "keys.txt").string();
  std::ofstream(manifest_) << "a.jpg\nb.png\nc.jpg\n";
  filter_ = {.exclude = {"*.png"}};
  const auto job = Produce(*log_);
  ASSERT_TRUE(job) << job.error().message();
  EXPECT_EQ(Enqueued(*job).size(), 2U);
}

}  // namespace
}  // namespace trawl::producer
