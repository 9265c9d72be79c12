// Goal: every second of every thread is charged to what it did or waited for. Method: a clock that
// the test moves.

#include "worker/stage_meter.h"

#include <gtest/gtest.h>

#include "tests/support/manual_clock.h"

namespace trawl::worker {
namespace {

using std::chrono::seconds;

TEST(StageMeter, ChargesEachThreadsTimeToWhatItDoes) {
  trawl::testing::ManualClock clock;
  StageMeter meter(2, clock);
  meter.Change(StageMeter::kDecoding, 1);
  clock.Advance(seconds(3));
  meter.Change(StageMeter::kInferring, 1);
  clock.Advance(seconds(2));
  meter.Change(StageMeter::kDecoding, -1);
  clock.Advance(seconds(1));
  const WorkerTimes times = meter.Read();
  EXPECT_DOUBLE_EQ(times.wall_s, 6);
  EXPECT_DOUBLE_EQ(times.cpu_s, 12);
  EXPECT_DOUBLE_EQ(times.decode_s, 5);
  EXPECT_DOUBLE_EQ(times.infer_s, 3);
  EXPECT_DOUBLE_EQ(times.await_work_s, 4);
  EXPECT_DOUBLE_EQ(times.infer_waits_s, 3);
  EXPECT_DOUBLE_EQ(times.decode_waits_s, 1);
}

TEST(StageMeter, AnIdleThreadWaitsForDownloadsWhileThereAreAny) {
  trawl::testing::ManualClock clock;
  StageMeter meter(1, clock);
  clock.Advance(seconds(1));
  meter.Change(StageMeter::kDownloading, 2);
  clock.Advance(seconds(4));
  meter.Change(StageMeter::kDownloading, -2);
  meter.Change(StageMeter::kFetched, 2);
  clock.Advance(seconds(2));  // something is there to decode: decoding does not wait
  const WorkerTimes times = meter.Read();
  EXPECT_DOUBLE_EQ(times.await_download_s, 4);
  EXPECT_DOUBLE_EQ(times.await_work_s, 3);
  EXPECT_DOUBLE_EQ(times.decode_waits_s, 5);
}

TEST(StageMeter, TransactionsAreTimedBesideEverythingElse) {
  trawl::testing::ManualClock clock;
  StageMeter meter(1, clock);
  {
    const MeterScope publishing(meter, StageMeter::kPublishing);
    clock.Advance(seconds(2));
  }
  clock.Advance(seconds(1));
  EXPECT_DOUBLE_EQ(meter.Read().publish_s, 2);
  EXPECT_DOUBLE_EQ(meter.Read().await_work_s, 3);
}

}  // namespace
}  // namespace trawl::worker
