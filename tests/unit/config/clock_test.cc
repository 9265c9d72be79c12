// Goal: the system clock sleeps as long as asked, wakes early when stopped, and tells real time.
// Method: the real clock, with bounds that no load can break (never too short, woken long before
// the end).
#include "config/clock.h"

#include <gtest/gtest.h>

#include <thread>

namespace trawl {
namespace {

using namespace std::chrono_literals;

TEST(SystemClock, SleepsAtLeastAsLongAsAsked) {
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(SystemClock().SleepFor(20ms));
  EXPECT_GE(std::chrono::steady_clock::now() - start, 20ms);
}

TEST(SystemClock, AStopRequestEndsTheSleepEarly) {
  std::stop_source stop;
  const auto start = SystemClock().Now();
  std::jthread stopper([&] { stop.request_stop(); });
  EXPECT_FALSE(SystemClock().SleepFor(1h, stop.get_token()));
  EXPECT_LT(SystemClock().Now() - start, 30min);
}

TEST(SystemClock, DoesNotSleepWhenStoppedBefore) {
  std::stop_source stop;
  stop.request_stop();
  EXPECT_FALSE(SystemClock().SleepFor(1h, stop.get_token()));
}

TEST(SystemClock, TellsWallTimeInMillisecondsSinceTheEpoch) {
  EXPECT_GT(SystemClock().WallMillis(), 1'577'836'800'000);  // 2020
  EXPECT_LT(SystemClock().WallMillis(), 7'258'118'400'000);  // 2200
}

}  // namespace
}  // namespace trawl
