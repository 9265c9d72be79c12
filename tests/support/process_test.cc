// Goal: a test that starts a program sees how it ends, and leaves nothing running behind.
// Method: shells that exit, die and have children of their own.
#include "tests/support/process.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <charconv>

#include "tests/support/temp_dir.h"

namespace trawl::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

ProcessOptions Shell(const std::string& script) {
  ProcessOptions options;
  options.argv = {"sh", "-c", script};
  return options;
}

TEST(Process, ReportsExitCodesAndSignals) {
  EXPECT_EQ(*RunProcess(Shell("exit 7"), seconds(10)), 7);
  EXPECT_EQ(*RunProcess(Shell("kill -TERM $$"), seconds(10)), 128 + SIGTERM);
}

TEST(Process, WhatCannotBeExecutedIsAnError) {
  ProcessOptions options;
  EXPECT_EQ(Process::Start(options).error().code(), Code::kInvalidArgument);
  options.argv = {"no-such-program-here"};
  EXPECT_EQ(Process::Start(options).error().code(), Code::kNotFound);
}

TEST(Process, TakesEnvironmentFolderAndFilesFromItsOptions) {
  const TempDir dir;
  ProcessOptions options = Shell("echo \"$NAME in $PWD\"; echo error >&2");
  options.environment = {{"NAME", "value"}};
  options.directory = dir.path();
  options.output = dir / "log";
  options.stdout_file = dir / "out";
  EXPECT_EQ(*RunProcess(options, seconds(10)), 0);
  EXPECT_EQ(ReadFile(dir / "out"), "value in " + dir.path().string() + "\n");
  EXPECT_EQ(ReadFile(dir / "log"), "error\n");
}

TEST(Process, IsKilledWithItsChildrenWhenItsOwnerGoes) {
  const TempDir dir;
  pid_t grandchild = 0;
  {
    ProcessOptions options = Shell("sleep 600 & echo $!; wait");
    options.stdout_file = dir / "pid";
    auto process = Process::Start(options);
    ASSERT_TRUE(process);
    const auto read_pid = [&] {
      const std::string text = ReadFile(dir / "pid");
      return text.ends_with('\n') &&
             std::from_chars(text.data(), text.data() + text.size(), grandchild).ec == std::errc();
    };
    ASSERT_TRUE(WaitUntil(read_pid));
    EXPECT_TRUE((*process)->Running());
    EXPECT_EQ((*process)->Wait(milliseconds(20)), std::nullopt);
  }
  // Its new parent reaps it in its own time: gone, or a zombie.
  const auto gone = [grandchild] {
    const std::string status = ReadFile("/proc/" + std::to_string(grandchild) + "/status");
    return status.empty() || status.find("State:\tZ") != std::string::npos;
  };
  EXPECT_TRUE(WaitUntil(gone));
}

TEST(RunProcess, EndsWhatTakesTooLong) {
  EXPECT_EQ(RunProcess(Shell("sleep 600"), milliseconds(50)).error().code(),
            Code::kDeadlineExceeded);
}

TEST(WaitForPort, IsFalseWhileNobodyListens) {
  EXPECT_FALSE(WaitForPort(FreePort(), milliseconds(50)));
}

}  // namespace
}  // namespace trawl::testing
