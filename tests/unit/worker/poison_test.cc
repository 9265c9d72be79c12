// Goal: an object that kills its worker is found, gets a failure after its third try, and costs no
// other object anything. Method: real workers in child processes on a real embedded log, and a
// store that exits the process when it is asked for certain keys; as a supervisor would, the test
// starts the next worker until one drains.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <set>
#include <string>

#include "ops/telemetry/log.h"
#include "tests/unit/worker/worker_world.h"
#include "worker/attempts.h"

#if defined(__SANITIZE_THREAD__)
/// The children of these tests start threads while the parent has some, which ThreadSanitizer
/// refuses unless it is told otherwise.
extern "C" const char* __tsan_default_options() { return "die_after_fork=0"; }
#endif

namespace trawl::worker {
namespace {

using ::testing::Test;

constexpr int kDied = 9;

/// Downloading one of `deadly` ends the process without a word.
class DeadlyStore final : public storage::ObjectStore {
 public:
  DeadlyStore(storage::ObjectStore& inner, const std::set<std::string>& deadly)
      : inner_(inner), deadly_(deadly) {}
  Result<storage::ListPage> List(const std::string& source, const std::string& prefix,
                                 const std::string& start_after, int max_keys) override {
    return inner_.List(source, prefix, start_after, max_keys);
  }
  void Get(storage::GetRequest request, std::stop_token stop, storage::GetCallback done) override {
    for (const std::string& key : deadly_)
      if (request.uri.ends_with("/" + key)) _exit(kDied);
    inner_.Get(std::move(request), std::move(stop), std::move(done));
  }

 private:
  storage::ObjectStore& inner_;
  const std::set<std::string>& deadly_;
};

class PoisonTest : public Test {
 protected:
  static void SetUpTestSuite() { ops::ConfigureLog("error", "text"); }

  /// Eight keys a message, all in one partition.
  void EnqueueInOnePartition(const std::vector<std::string>& keys) {
    for (size_t begin = 0; begin < keys.size(); begin += 8) {
      WorkBatch batch;
      batch.job_id = "job";
      batch.seq = begin / 8;
      batch.spec = world_.spec;
      for (size_t i = begin; i < begin + 8; ++i)
        batch.objects.push_back({keys[i], "", std::nullopt, ""});
      world_.EnqueueRaw(0, Encode(batch));
    }
  }

  /// Runs a worker in a child until there are `count` results. Its exit code.
  int WorkInChild(size_t count, const std::set<std::string>& deadly) {
    // No threads but this one: another might hold the allocator's lock while the child is made.
    world_.objects.reset();
    world_.CloseLog();
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child == 0) {
      world_.objects = storage::OpenObjectStore(world_.settings).value();
      world_.OpenLog();
      DeadlyStore store(*world_.objects, deadly);
      RunningWorker worker(world_, "child", *world_.log, store);
      const bool done = world_.WaitForResults(count);
      const Status drained = worker.Drain();
      if (!drained.ok()) std::fprintf(stderr, "%s\n", drained.message().c_str());
      _exit(done && drained.ok() ? 0 : 1);
    }
    int wait_status = 0;
    waitpid(child, &wait_status, 0);
    world_.OpenLog();
    return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -1;
  }

  /// How many workers died before one drained; 100 at most.
  int WorkUntilDone(const std::vector<std::string>& keys, const std::set<std::string>& deadly) {
    int deaths = 0;
    int code = kDied;
    while (deaths < 100 && (code = WorkInChild(keys.size(), deadly)) == kDied) ++deaths;
    EXPECT_EQ(code, 0);
    return deaths;
  }

  /// Each key has one record, and only the deadly ones say that they killed.
  void ExpectOnlyTheDeadlyGivenUp(const std::vector<std::string>& keys,
                                  const std::set<std::string>& deadly) {
    std::multiset<std::string> seen;
    std::set<std::string> given_up;
    for (const ResultRecord& record : world_.Results()) {
      seen.insert(record.key);
      const auto* error = std::get_if<ObjectError>(&record.outcome);
      ASSERT_NE(error, nullptr) << record.key;
      if (error->code == ObjectErrorCode::kNotFound) continue;
      EXPECT_EQ(error->code, ObjectErrorCode::kInternal);
      EXPECT_EQ(error->attempts, Attempts::kTries);
      EXPECT_EQ(error->message, "its worker died 3 times while it worked on this");
      given_up.insert(record.key);
    }
    EXPECT_EQ(seen, std::multiset<std::string>(keys.begin(), keys.end()));
    EXPECT_EQ(given_up, deadly);
  }

  WorkerWorld world_;
};

TEST_F(PoisonTest, AnObjectThatKillsItsWorkerFailsAfterTheThirdTry) {
  const auto keys = world_.MissingPictures(64);
  world_.Enqueue(keys);
  const std::set<std::string> deadly = {keys[20]};
  EXPECT_EQ(WorkUntilDone(keys, deadly), 3);
  ExpectOnlyTheDeadlyGivenUp(keys, deadly);
}

TEST_F(PoisonTest, OneDeepInAPartitionIsFoundToo) {
  const auto keys = world_.MissingPictures(400);
  EnqueueInOnePartition(keys);
  const std::set<std::string> deadly = {keys[203]};
  const int deaths = WorkUntilDone(keys, deadly);
  EXPECT_GE(deaths, 3);
  EXPECT_LE(deaths, 8);
  ExpectOnlyTheDeadlyGivenUp(keys, deadly);
}

TEST_F(PoisonTest, SeveralInOneMessageFailOneByOne) {
  const auto keys = world_.MissingPictures(32);
  EnqueueInOnePartition(keys);
  const std::set<std::string> deadly = {keys[0], keys[3], keys[7], keys[31]};
  EXPECT_LE(WorkUntilDone(keys, deadly), 10);
  ExpectOnlyTheDeadlyGivenUp(keys, deadly);
}

TEST_F(PoisonTest, AWorkerThatDiedOfNothingCostsNoObject) {
  const auto keys = world_.MissingPictures(400);
  world_.Enqueue(keys);
  for (int round = 0; round < 5; ++round) {
    // Dies of a key that nobody will ask for again.
    EXPECT_EQ(WorkInChild(keys.size(), {keys[static_cast<size_t>(70 * round + 69)]}), kDied);
  }
  EXPECT_EQ(WorkUntilDone(keys, {}), 0);
  ExpectOnlyTheDeadlyGivenUp(keys, {});
}

TEST(Attempt, SurvivesItsEncoding) {
  Attempt attempt;
  attempt.life = "01ab";
  attempt.deaths = 2;
  attempt.claimed_at_ms = 1'700'000'000'000;
  attempt.offset = 77;
  attempt.tries = 3;
  attempt.index = 5;
  attempt.condemned = {1, 4};
  const Attempt copy = DecodeAttempt(Encode(attempt)).value();
  EXPECT_EQ(copy.life, attempt.life);
  EXPECT_FALSE(copy.released);
  EXPECT_EQ(copy.deaths, attempt.deaths);
  EXPECT_EQ(copy.claimed_at_ms, attempt.claimed_at_ms);
  EXPECT_EQ(copy.offset, attempt.offset);
  EXPECT_EQ(copy.tries, attempt.tries);
  EXPECT_EQ(copy.index, attempt.index);
  EXPECT_EQ(copy.condemned, attempt.condemned);
  EXPECT_EQ(DecodeAttempt(R"({"version":2})").error().code(), Code::kUnimplemented);
  for (const char* bad : {"", "{}", "[]", R"({"version":1,"life":3})", "\xFF"})
    EXPECT_EQ(DecodeAttempt(bad).error().code(), Code::kInvalidArgument) << bad;
}

}  // namespace
}  // namespace trawl::worker
