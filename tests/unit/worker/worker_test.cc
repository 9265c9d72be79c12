// Goal: every enqueued key ends in exactly one committed record, whatever happens to the worker.
// Method: real pictures (some broken), the sample model, a real embedded log; workers that are
// stopped, doubled, and refused their commits.

#include "worker/worker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <random>
#include <set>
#include <span>

#include "engine/model_package.h"
#include "ops/telemetry/log.h"
#include "storage/topics.h"
#include "tests/support/faulty_log.h"
#include "tests/support/manual_clock.h"
#include "tests/unit/worker/gated_store.h"
#include "tests/unit/worker/worker_world.h"
#include "worker/limits.h"
#include "worker/model_cache.h"

namespace trawl::worker {
namespace {

using ::testing::HasSubstr;

class WorkerTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { ops::ConfigureLog("error", "text"); }

  /// Runs until each key has its record, and no more come.
  void FinishWith(storage::MessageLog& log, size_t count) {
    RunningWorker worker(world_, "finisher", log, *world_.objects);
    EXPECT_TRUE(world_.WaitForResults(count));
    const Status drained = worker.Drain();
    EXPECT_TRUE(drained.ok()) << drained.message();
  }
  void Finish(size_t count) { FinishWith(*world_.log, count); }

  const ObjectError& ErrorOf(const ResultRecord& record) {
    return std::get<ObjectError>(record.outcome);
  }

  WorkerWorld world_;
};

TEST_F(WorkerTest, EveryKeyGetsOneRecordAndABrokenOneFailsAlone) {
  const auto keys = world_.WritePictures(100);
  world_.Enqueue(keys);
  Finish(keys.size());
  world_.ExpectEachOnce(keys);
}

TEST_F(WorkerTest, StoppedAtRandomPointsAndStartedAgainItDoublesAndLosesNothing) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const auto keys = world_.WritePictures(500);
  world_.Enqueue(keys);
  for (int round = 0; round < 9; ++round) {
    RunningWorker worker(world_, "worker");
    const size_t before = world_.Results().size();
    ASSERT_TRUE(world_.WaitForResults(std::min(keys.size(), before + random() % 60)));
    // Of three owners in a row that vanish in its middle, an object is given up by design.
    if (round % 3 == 2) {
      EXPECT_TRUE(worker.Drain().ok());
    } else {
      EXPECT_EQ(worker.Abort().code(), Code::kCancelled);
    }
  }
  Finish(keys.size());
  world_.ExpectEachOnce(keys);
}

TEST_F(WorkerTest, WorkersThatComeAndGoShareTheWork) {
  const auto keys = world_.WritePictures(400);
  world_.Enqueue(keys);
  {
    RunningWorker first(world_, "first");
    ASSERT_TRUE(world_.WaitForResults(40));
    RunningWorker second(world_, "second");
    RunningWorker third(world_, "third");
    ASSERT_TRUE(world_.WaitForResults(120));
    EXPECT_EQ(first.Abort().code(), Code::kCancelled);
    ASSERT_TRUE(world_.WaitForResults(200));
    EXPECT_TRUE(second.Drain().ok());
    EXPECT_TRUE(world_.WaitForResults(keys.size()));
    EXPECT_TRUE(third.Drain().ok());
  }
  world_.ExpectEachOnce(keys);
}

TEST_F(WorkerTest, CommitsThatFailOrThatNobodyCanTellOfAreDoneAgainOnce) {
  const auto keys = world_.WritePictures(200);
  world_.Enqueue(keys);
  world_.settings.commit_results = 16;
  std::atomic<int> commits = 0;
  trawl::testing::FaultyLog log(
      *world_.log, [&](const storage::Transaction&) -> trawl::testing::CommitFate {
        switch (commits++ % 5) {
          case 1:
            return {Status(Code::kAborted, "fault: not committed"), false};
          case 2:
            return {Status(Code::kAborted, "fault: nobody can tell"), true};
          case 4:
            return {Status(Code::kUnavailable, "fault: out of reach"), false};
          default:
            return {};
        }
      });
  FinishWith(log, keys.size());
  EXPECT_GT(commits, 5);
  world_.ExpectEachOnce(keys);
}

/// Commits in turn have so many results, where each seems to take `took`. During the second one,
/// everything else is done.
std::vector<size_t> TransactionSizes(WorkerWorld& world, std::chrono::milliseconds took) {
  world.settings.commit_results = 8;  // one message
  world.settings.commit_interval_ms = 60'000;
  const auto keys = world.MissingPictures(800);
  world.Enqueue(keys);
  GatedStore store(*world.objects);
  store.Open();
  trawl::testing::ManualClock clock;
  std::vector<size_t> sizes;
  trawl::testing::FaultyLog log(
      *world.log, [&](const storage::Transaction& given) -> trawl::testing::CommitFate {
        if (given.offsets.empty()) return {};
        sizes.push_back(given.records.size());
        if (sizes.size() == 2) store.WaitForEnds(keys.size());
        clock.Advance(took);
        return {};
      });
  {
    RunningWorker worker(world, "far", log, store, clock);
    EXPECT_TRUE(world.WaitForResults(keys.size()));
  }
  return sizes;
}

TEST_F(WorkerTest, WorksOnWhileATransactionIsUnderWayAndTakesMoreIntoTheNextOne) {
  const auto sizes = TransactionSizes(world_, std::chrono::milliseconds(700));
  ASSERT_GE(sizes.size(), 6U);
  EXPECT_EQ(sizes[0], 8U);
  EXPECT_LE(sizes[1], 16U);
  for (size_t i = 2; i < 6; ++i) EXPECT_EQ(sizes[i], 8U << i);
}

TEST_F(WorkerTest, ATransactionThatIsQuickTakesNoMoreThanItIsToldTo) {
  const auto sizes = TransactionSizes(world_, std::chrono::milliseconds(100));
  EXPECT_EQ(sizes, std::vector<size_t>(100, 8));
}

TEST_F(WorkerTest, AFencedWorkerStopsAndSaysSo) {
  const auto keys = world_.WritePictures(16);
  world_.Enqueue(keys);
  trawl::testing::FaultyLog log(
      *world_.log, [](const storage::Transaction&) -> trawl::testing::CommitFate {
        return {Status(Code::kFailedPrecondition, "another process owns this transactional id"),
                false};
      });
  const Status ended = RunningWorker(world_, "fenced", log, *world_.objects).Wait();
  EXPECT_EQ(ended.code(), Code::kFailedPrecondition);
  EXPECT_THAT(ended.message(), HasSubstr("another process owns"));
  EXPECT_TRUE(world_.Results().empty());
  Finish(keys.size());
  world_.ExpectEachOnce(keys);
}

TEST_F(WorkerTest, AResultThatTheLogRefusesForItsSizeBecomesAFailure) {
  const auto keys = world_.WritePictures(3);
  world_.Enqueue({keys[0], keys[1], keys[2]});
  trawl::testing::FaultyLog log(
      *world_.log, [&](const storage::Transaction& transaction) -> trawl::testing::CommitFate {
        for (const auto& record : transaction.records) {
          if (record.value.find("picture 1 ") != std::string::npos &&
              record.value.find("\"predictions\"") != std::string::npos)
            return {Status(Code::kInvalidArgument, "message too large"), false};
        }
        return {};
      });
  FinishWith(log, 3);
  size_t failed = 0;
  for (const ResultRecord& record : world_.Results()) {
    if (!std::holds_alternative<ObjectError>(record.outcome)) continue;
    ++failed;
    EXPECT_THAT(ErrorOf(record).message, HasSubstr("larger than the log accepts"));
  }
  // The largest gives way first; which one that is depends on its digits.
  EXPECT_GE(failed, 1U);
  EXPECT_EQ(world_.Results().size(), 3U);
}

TEST_F(WorkerTest, MalformedMessagesBecomeFailuresThatNameTheirPlace) {
  const auto keys = world_.WritePictures(16);
  world_.Enqueue({keys.begin(), keys.begin() + 8});
  WorkBatch long_key;
  long_key.job_id = "job";
  long_key.seq = 99;
  long_key.spec = world_.spec;
  long_key.objects.push_back({std::string(kMaxKeyBytes + 1, 'k'), "", std::nullopt, ""});
  const std::vector<std::string> malformed = {
      "", "not json", "{}", R"({"version":99})", std::string("\0\xFF", 2), Encode(long_key)};
  for (const std::string& value : malformed) world_.EnqueueRaw(1, value);
  world_.Enqueue({keys.begin() + 8, keys.end()});
  Finish(keys.size() + malformed.size());

  std::set<std::string> places;
  for (const ResultRecord& record : world_.Results()) {
    if (record.job_id != "malformed/trawl.work.default") continue;
    EXPECT_TRUE(places.insert(record.key).second) << record.key;
    EXPECT_THAT(record.key, ::testing::StartsWith("trawl.work.default/1/"));
    EXPECT_EQ(record.index, 1U);
    EXPECT_THAT(ErrorOf(record).message, HasSubstr(record.key));
  }
  EXPECT_EQ(places.size(), malformed.size());
}

TEST_F(WorkerTest, AModelThatIsNotTheJobsFailsEachKeyAndDownloadsNothing) {
  const auto keys = world_.WritePictures(8);
  const JobSpec right = world_.spec;
  world_.spec.model.digest = std::string(64, '0');
  world_.Enqueue(keys);
  world_.spec = right;
  world_.spec.model.preprocess_digest = std::string(64, '1');
  world_.Enqueue(keys);
  world_.spec = right;
  world_.spec.model.uri = "file:///nowhere/model";
  world_.Enqueue(keys);
  world_.spec.model.uri = "ftp://host/model";
  world_.Enqueue(keys);
  Finish(4 * keys.size());
  const char* const reasons[] = {"was created with 000000000000", "was created with 111111111111",
                                 "not below an --allow-root", "is not file://"};
  for (const ResultRecord& record : world_.Results()) {
    EXPECT_EQ(ErrorOf(record).code, ObjectErrorCode::kModelError);
    EXPECT_THAT(ErrorOf(record).message, HasSubstr(reasons[record.batch_seq]));
    EXPECT_EQ(record.size_bytes, 0U);
  }
}

/// The memory that models of together `bytes` need.
int64_t MemoryFor(size_t bytes) {
  Settings settings;
  settings.memory = 1 << 20;
  while (WorkerLimits::From(settings, 2).model_bytes < bytes) settings.memory += 4 << 10;
  return settings.memory;
}

TEST_F(WorkerTest, ModelsChangeFromOneMessageToTheNextWithinTheMemory) {
  const auto onnx = engine::OpenModelPackage(world_.spec.model.uri.substr(7));
  const auto mxnet = engine::OpenModelPackage(TRAWL_SOURCE_DIR "/ops/sample/model-mxnet");
  ASSERT_TRUE(onnx && mxnet);
  const ModelRef refs[] = {
      world_.spec.model,
      {"file://" + mxnet->location, "mxnet", mxnet->digest, mxnet->preprocess_digest}};
  size_t bytes[2] = {};
  for (const auto& [at, package] : {std::pair(0, &*onnx), {1, &*mxnet}}) {
    const auto model = engine::Model::Load(*package);
    ASSERT_TRUE(model);
    bytes[at] = ModelBytes(*model, static_cast<size_t>(world_.settings.sessions),
                           static_cast<int>(world_.settings.batch_size))
                    .value();
  }
  const auto keys = world_.WritePictures(24);
  const std::span<const std::string> all(keys);
  size_t expected = 0;
  // Room for both, for one at a time, and for none.
  for (const size_t room : {bytes[0] + bytes[1], std::max(bytes[0], bytes[1]), size_t{1}}) {
    world_.settings.memory = MemoryFor(room);
    for (size_t batch = 0; batch < 6; ++batch) {
      world_.spec.model = refs[batch % 2];
      const auto some = all.subspan(batch * 4, 4);
      world_.Enqueue({some.begin(), some.end()});
    }
    expected += keys.size();
    Finish(expected);
  }
  std::map<std::string, int> ended;
  for (const ResultRecord& record : world_.Results()) {
    const auto* const error = std::get_if<ObjectError>(&record.outcome);
    const bool no_room = error != nullptr && error->code == ObjectErrorCode::kModelError;
    if (no_room) {
      EXPECT_THAT(error->message, HasSubstr("--memory leaves models"));
    }
    ++ended[record.model_name + (no_room ? " refused" : "")];
  }
  EXPECT_EQ(ended[refs[0].name], 24);
  EXPECT_EQ(ended["mxnet"], 24);
  EXPECT_EQ(ended[refs[0].name + " refused"], 12);
  EXPECT_EQ(ended["mxnet refused"], 12);
}

TEST_F(WorkerTest, FilesOutsideOfTheAllowedRootsAreForbidden) {
  const auto keys = world_.WritePictures(1);
  world_.spec.source = "file:///etc/";
  world_.Enqueue({"hostname"});
  Finish(1);
  const auto results = world_.Results();
  ASSERT_EQ(results.size(), 1U);
  EXPECT_EQ(ErrorOf(results[0]).code, ObjectErrorCode::kForbidden);
}

TEST_F(WorkerTest, DrainingFinishesWhatWasAccepted) {
  const auto keys = world_.WritePictures(64);
  world_.Enqueue(keys);
  GatedStore store(*world_.objects);
  RunningWorker worker(world_, "drained", *world_.log, store);
  store.WaitForDownloads(8);
  worker.RequestDrain();
  EXPECT_TRUE(world_.Results().empty());
  store.Open();
  EXPECT_TRUE(worker.Wait().ok());
  const size_t accepted = world_.Results().size();
  EXPECT_GE(accepted, 8U);
  EXPECT_EQ(accepted % 8, 0U);  // whole batches only
  Finish(keys.size());
  world_.ExpectEachOnce(keys);
}

TEST_F(WorkerTest, DrainingLeavesWhatHasNotBegunToTheNext) {
  world_.settings.downloads_in_flight = 1;
  world_.settings.sessions = world_.settings.decode_threads = 1;
  const auto keys = world_.MissingPictures(800);
  world_.Enqueue(keys);
  const size_t slots = WorkerLimits::From(world_.settings, 1).download_slots;
  GatedStore store(*world_.objects);
  trawl::testing::FaultyLog log(
      *world_.log, [](const storage::Transaction&) { return trawl::testing::CommitFate(); });
  RunningWorker worker(world_, "leaving", log, store);
  store.WaitForDownloads(slots);
  worker.RequestDrain();
  log.WaitForPause();
  store.Open();
  EXPECT_TRUE(worker.Wait().ok());
  const size_t results = world_.Results().size();
  EXPECT_GE(results, slots);
  EXPECT_LE(results, slots + 8);  // and the rest of the message that the dispatcher had
  Finish(keys.size());
  world_.ExpectEachOnce(keys);
}

TEST_F(WorkerTest, DrainingGivesUpAtItsDeadlineAndLosesNothing) {
  const auto keys = world_.WritePictures(32);
  world_.Enqueue(keys);
  world_.settings.drain_timeout_ms = 20;
  GatedStore store(*world_.objects);
  RunningWorker worker(world_, "stuck", *world_.log, store);
  store.WaitForDownloads(8);
  EXPECT_TRUE(worker.Drain().ok());
  EXPECT_TRUE(world_.Results().empty());
  world_.settings.drain_timeout_ms = 60'000;
  Finish(keys.size());
  world_.ExpectEachOnce(keys);
}

TEST_F(WorkerTest, ADrainThatEndsOnAFailedTransactionCommitsNothingBehindIt) {
  world_.settings.commit_results = 8;  // one message
  world_.settings.commit_interval_ms = 60'000;
  world_.settings.drain_timeout_ms = 0;
  world_.settings.work_partitions = 1;
  const auto keys = world_.MissingPictures(64);
  for (size_t i = 0; i < keys.size(); i += 8) {
    WorkBatch batch;
    batch.job_id = "job";
    batch.seq = i / 8;
    batch.spec = world_.spec;
    for (size_t k = i; k < i + 8; ++k) batch.objects.push_back({keys[k], "", std::nullopt, ""});
    world_.EnqueueRaw(0, Encode(batch));
  }
  RunningWorker* draining = nullptr;
  std::atomic<bool> failed = false;
  trawl::testing::FaultyLog log(
      *world_.log, [&](const storage::Transaction& given) -> trawl::testing::CommitFate {
        if (given.offsets.empty() || failed.exchange(true)) return {};
        draining->RequestDrain();
        return {Status(Code::kAborted, "fault: not committed"), false};
      });
  GatedStore store(*world_.objects);
  RunningWorker worker(world_, "drained", log, store);
  draining = &worker;
  store.WaitForDownloads(64);
  store.Open();
  EXPECT_TRUE(worker.Wait().ok());
  EXPECT_TRUE(failed);
  world_.settings.drain_timeout_ms = 60'000;
  Finish(keys.size());
  world_.ExpectEachOnce(keys);
}

TEST_F(WorkerTest, WhatIsCommittedAtARevocationHasFiveSeconds) {
  const auto keys = world_.MissingPictures(8);
  world_.Enqueue(keys);
  std::atomic<int> hurried = 0;
  trawl::testing::FaultyLog log(
      *world_.log, [&](const storage::Transaction& given) -> trawl::testing::CommitFate {
        if (given.patience) ++hurried;
        EXPECT_LE(given.patience.value_or(std::chrono::milliseconds(0)), std::chrono::seconds(5));
        return {};
      });
  RunningWorker worker(world_, "leaving", log, *world_.objects);
  EXPECT_TRUE(world_.WaitForResults(keys.size()));
  EXPECT_EQ(hurried, 0);
  EXPECT_TRUE(worker.Drain().ok());
  EXPECT_EQ(hurried, 1);  // its farewell
}

TEST_F(WorkerTest, NoMoreThanItsSlotsIsEverAskedForAtOnce) {
  world_.settings.downloads_in_flight = 3;
  world_.settings.decode_threads = 1;
  const auto keys = world_.WritePictures(120);
  world_.Enqueue(keys);
  const size_t slots = WorkerLimits::From(world_.settings, 1).download_slots;
  GatedStore store(*world_.objects);
  RunningWorker worker(world_, "bounded", *world_.log, store);
  store.WaitForDownloads(slots);
  store.Open();
  EXPECT_TRUE(world_.WaitForResults(keys.size()));
  EXPECT_TRUE(worker.Drain().ok());
  EXPECT_EQ(store.most_waiting(), slots);
  world_.ExpectEachOnce(keys);
}

TEST_F(WorkerTest, IntakePausesAtItsLimitAndGoesOn) {
  world_.settings.downloads_in_flight = 1;
  world_.settings.batch_size = 1;
  world_.settings.sessions = world_.settings.decode_threads = 1;
  const size_t limit = WorkerLimits::From(world_.settings, 1).in_flight_objects;
  const auto keys = world_.MissingPictures(2 * limit);
  world_.Enqueue(keys);
  GatedStore store(*world_.objects);
  trawl::testing::FaultyLog log(
      *world_.log, [](const storage::Transaction&) { return trawl::testing::CommitFate(); });
  {
    RunningWorker worker(world_, "paused", log, store);
    const size_t objects = 8 * log.WaitForPause();
    EXPECT_GE(objects, limit);
    EXPECT_LE(objects, limit + 8);
    store.Open();
    EXPECT_TRUE(world_.WaitForResults(keys.size()));
  }
  Finish(keys.size());
  world_.ExpectEachOnce(keys);
}

TEST_F(WorkerTest, APartOfTheLogThatIsOutOfReachWhenItStartsIsWaitedForAMinute) {
  const auto keys = world_.MissingPictures(16);
  world_.Enqueue(keys);
  trawl::testing::FaultyLog log(
      *world_.log, [](const storage::Transaction&) { return trawl::testing::CommitFate(); });
  trawl::testing::ManualClock clock;
  log.RefuseProducers(59);
  {
    RunningWorker worker(world_, "patient", log, *world_.objects, clock);
    EXPECT_TRUE(world_.WaitForResults(keys.size()));
    EXPECT_TRUE(worker.Drain().ok());
  }
  EXPECT_EQ(log.refusals(), 0);
  log.RefuseProducers(100);
  const auto before = clock.Now();
  EXPECT_EQ(RunningWorker(world_, "late", log, *world_.objects, clock).Wait().code(),
            Code::kUnavailable);
  EXPECT_EQ(clock.Now() - before, std::chrono::minutes(1));
}

TEST_F(WorkerTest, WhoWaitsForAPartOfTheLogCanBeStopped) {
  trawl::testing::FaultyLog log(
      *world_.log, [](const storage::Transaction&) { return trawl::testing::CommitFate(); });
  trawl::testing::ManualClock clock;
  const WorkerOptions options{.settings = world_.settings,
                              .log = log,
                              .objects = *world_.objects,
                              .name = "stopped",
                              .transactional_id = "stopped",
                              .on_progress = {},
                              .clock = clock};
  std::stop_source stop;
  stop.request_stop();
  log.RefuseProducers(100);
  EXPECT_TRUE(RunWorker(options, {stop.get_token(), {}}).ok());
  EXPECT_EQ(RunWorker(options, {stop.get_token(), stop.get_token()}).code(), Code::kCancelled);
  EXPECT_EQ(log.refusals(), 98);
}

TEST_F(WorkerTest, ReportsWhatItDid) {
  const auto keys = world_.WritePictures(32);
  world_.Enqueue(keys);
  std::stop_source drain;
  WorkerStats last;
  std::jthread stopper([&] {
    EXPECT_TRUE(world_.WaitForResults(keys.size()));
    drain.request_stop();
  });
  const Status ended = RunWorker({.settings = world_.settings,
                                  .log = *world_.log,
                                  .objects = *world_.objects,
                                  .name = "reporter",
                                  .transactional_id = "reporter",
                                  .on_progress = [&](const WorkerStats& stats) { last = stats; }},
                                 {drain.get_token(), {}});
  EXPECT_TRUE(ended.ok()) << ended.message();
  EXPECT_EQ(last.batches, 4U);
  EXPECT_EQ(last.succeeded + last.failed, keys.size());
  EXPECT_EQ(last.failed, 3U);
  EXPECT_GT(last.times.decode_s, 0);
  EXPECT_GT(last.times.infer_s, 0);
  EXPECT_GT(last.times.publish_s, 0);
}

TEST_F(WorkerTest, EachTransactionTellsOnceAJobWhereTheTimeWent) {
  world_.settings.commit_interval_ms = 0;
  const auto keys = world_.WritePictures(64);
  world_.Enqueue(keys);
  RunningWorker worker(world_, "teller");
  ASSERT_TRUE(world_.WaitForResults(keys.size()));
  EXPECT_TRUE(worker.Drain().ok());
  WorkerTimes told;
  double decode_ms = 0;
  for (const ResultRecord& record : world_.Results()) {
    told = told + record.worker_times.value_or(WorkerTimes());
    decode_ms += record.timings.decode_ms;
  }
  // What each picture took lies within the time in which threads decoded.
  EXPECT_GT(decode_ms, 0);
  EXPECT_GE(told.decode_s, decode_ms / 1e3);
  EXPECT_NEAR(told.decode_s + told.infer_s + told.await_download_s + told.await_work_s, told.cpu_s,
              1e-3);
}

}  // namespace
}  // namespace trawl::worker
