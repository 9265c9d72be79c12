// Goal: a collector may die between any two of its steps; each outcome still ends in exactly one
// row. Method: child processes run the collector and exit without a word at the n-th step, n at
// random (each poll, before and after each transaction, at each trim); the next child goes on. At
// the end one runs through, and the rows are counted.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <random>

#include "storage/sqlite/sqlite.h"
#include "tests/unit/storage/collector/workbench.h"

namespace trawl::storage {
namespace {

constexpr int kCrashed = 9;

Settings SmallTransactions() {
  Settings settings;
  settings.results_partitions = 3;
  settings.work_partitions = 1;
  settings.collect_rows = 7;
  settings.collect_interval_ms = 5;
  return settings;
}

/// In a child process: collects until caught up, or vanishes at the step. Returns the exit code.
int CollectInChild(const trawl::testing::TempDir& folder, int64_t steps) {
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    Workbench bench(folder, SmallTransactions());
    const auto step = [&steps] {
      if (--steps == 0) _exit(kCrashed);
    };
    bench.hooks.on_poll = bench.hooks.after_write = bench.hooks.on_trim = step;
    bench.hooks.before_write = [&](const CollectedBatch&) {
      step();
      return OkStatus();
    };
    const Status status = bench.CollectAll();
    if (!status.ok()) std::fprintf(stderr, "%s\n", status.message().c_str());
    _exit(status.ok() ? 0 : 1);
  }
  int wait_status = 0;
  waitpid(child, &wait_status, 0);
  return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -1;
}

TEST(CollectorCrashes, EveryOutcomeEndsInExactlyOneRow) {
  const uint32_t seed = std::random_device{}();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const trawl::testing::TempDir folder("crashes");
  const auto results = SomeResults(300);
  {
    Workbench bench(folder, SmallTransactions());
    bench.Publish(results, {trawl::testing::Job("j", results, JobState::kSealed)});
  }
  int crashes = 0;
  int exit_code = kCrashed;
  while (exit_code == kCrashed && crashes < 1'000) {
    exit_code = CollectInChild(folder, 1 + static_cast<int64_t>(random() % 40));
    crashes += exit_code == kCrashed;
  }
  EXPECT_EQ(exit_code, 0);
  EXPECT_GT(crashes, 10);

  const auto job = OpenResultReader(DatabasePath(folder)).value()->Job("j").value();
  EXPECT_EQ(job.state, "complete");
  EXPECT_EQ(job.done, 240u);
  EXPECT_EQ(job.failed, 60u);
  const auto database = SqliteDatabase::Open(DatabasePath(folder), SqliteDatabase::Mode::kReadOnly,
                                             std::chrono::seconds(1))
                            .value();
  EXPECT_EQ(database->ReadInt("SELECT count(*) FROM objects").value(), 300);
  EXPECT_EQ(database->ReadInt("SELECT count(*) FROM predictions").value(), 480);
  EXPECT_EQ(database->ReadInt("SELECT sum(duplicates) FROM jobs").value(), 0);
}

}  // namespace
}  // namespace trawl::storage
