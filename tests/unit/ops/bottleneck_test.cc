// Goal: what limits a job is named from where its workers' time went. Method: chosen times of two
// threads over ten seconds.

#include "ops/cli/bottleneck.h"

#include <gtest/gtest.h>

namespace trawl::ops {
namespace {

constexpr double kWall = 10, kCpu = 20;

std::string StageOf(const WorkerTimes& times) {
  const auto bottleneck = FindBottleneck(times);
  return bottleneck ? bottleneck->stage : "none";
}

TEST(FindBottleneck, NamesTheStageThatHasMostOfABusyCpu) {
  WorkerTimes times{.wall_s = kWall, .cpu_s = kCpu, .decode_s = 12, .infer_s = 7};
  times.await_download_s = 1;
  times.infer_waits_s = 4.1;
  EXPECT_EQ(StageOf(times), "decode");
  EXPECT_EQ(FindBottleneck(times)->reason,
            "busy 60 %; inference busy 35 %, waits 41 % of the time");
  std::swap(times.decode_s, times.infer_s);
  EXPECT_EQ(StageOf(times), "inference");
}

TEST(FindBottleneck, NamesWhatAnIdleCpuWaitsFor) {
  WorkerTimes times{.wall_s = kWall, .cpu_s = kCpu, .decode_s = 2, .infer_s = 4};
  times.await_download_s = 13;
  times.await_work_s = 1;
  times.decode_waits_s = 6.3;
  EXPECT_EQ(StageOf(times), "download");
  EXPECT_EQ(FindBottleneck(times)->reason,
            "decode waits 63 % of the time; 70 % of the CPU is idle");
  std::swap(times.await_download_s, times.await_work_s);
  EXPECT_EQ(StageOf(times), "listing");
  times.publish_s = 8;
  EXPECT_EQ(StageOf(times), "publish");
}

TEST(FindBottleneck, SaysNothingOfTooShortATime) {
  EXPECT_EQ(StageOf({}), "none");
  EXPECT_EQ(StageOf({.wall_s = 0.01, .cpu_s = 0.02, .decode_s = 0.02}), "none");
}

}  // namespace
}  // namespace trawl::ops
