// Goal: the process's log writes whole lines to stderr and obeys its level. Method: captured
// stderr.

#include "ops/telemetry/log.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <thread>
#include <vector>

namespace trawl::ops {
namespace {

std::string Captured(const std::function<void()>& write) {
  ::testing::internal::CaptureStderr();
  write();
  return ::testing::internal::GetCapturedStderr();
}

TEST(Log, DropsWhatIsBelowItsLevel) {
  ConfigureLog("warn", "text");
  const std::string lines = Captured([] {
    Log(LogLevel::kInfo, "quiet");
    Log(LogLevel::kWarn, "loud", {{"n", 1}});
  });
  EXPECT_EQ(lines.find("quiet"), std::string::npos);
  EXPECT_NE(lines.find(" warn  loud n=1\n"), std::string::npos) << lines;
}

TEST(Log, WritesJsonWhenAsked) {
  ConfigureLog("info", "json");
  const std::string lines = Captured([] { Log(LogLevel::kInfo, "ready"); });
  EXPECT_NE(lines.find(R"("level":"info","message":"ready"})"), std::string::npos) << lines;
}

TEST(Log, KeepsLinesOfManyThreadsWhole) {
  ConfigureLog("info", "json");
  constexpr int kThreads = 4, kEach = 200;
  const std::string lines = Captured([] {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([] {
        for (int i = 0; i < kEach; ++i) Log(LogLevel::kInfo, "tick", {{"i", i}});
      });
    }
  });
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), kThreads * kEach);
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '{'), kThreads * kEach);
}

TEST(Log, SuppressesAStormOfOneError) {
  ConfigureLog("info", "text");
  const std::string lines = Captured([] {
    for (int i = 0; i < 1'000; ++i) Log(LogLevel::kError, "storm", {{"i", i}});
  });
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), kLogBurst);
}

}  // namespace
}  // namespace trawl::ops
