// Goal: the limits of every control group around this process are found, wherever hosts and
// containers show them. Method: trees of /proc and /sys as such hosts have them, below a folder of
// the test's own; the address space of the test's own process.

#include "worker/control_groups.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <string>

#include "tests/support/temp_dir.h"
#include "worker/limits.h"
#include "worker/memory_limit.h"

namespace trawl::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr const char* kUnified =
    "24 1 0:22 / /proc rw,nosuid - proc proc rw\n"
    "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
constexpr const char* kHybrid =
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

class ControlGroupsTest : public ::testing::Test {
 protected:
  void Host(const std::string& mounts, const std::string& groups) {
    host_.Write("proc/self/mountinfo", mounts);
    host_.Write("proc/self/cgroup", groups);
  }
  void Write(const std::string& file, const std::string& text) {
    host_.Write("sys/fs/cgroup/" + file, text + "\n");
  }
  std::vector<std::string> Folders(const std::string& controller) {
    std::vector<std::string> folders;
    for (const ControlGroup& group : ControlGroupsOf(controller, Root()))
      folders.push_back(group.folder.substr(Root().size()));
    return folders;
  }
  std::string Root() const { return host_.path().string(); }
  /// "bytes, source", or "none".
  std::string Limit() const {
    const auto limit = TightestMemoryLimit(Root());
    if (!limit) return "none";
    const size_t root = limit->source.find(Root());
    std::string source = limit->source;
    if (root != std::string::npos) source.erase(root, Root().size());
    return std::to_string(limit->bytes) + ", " + source;
  }

  const testing::TempDir host_;
};

TEST_F(ControlGroupsTest, NamesTheOwnGroupAndThoseAroundItUpToTheMount) {
  Host(kUnified, "0::/jobs.slice/7.scope\n");
  EXPECT_THAT(Folders("memory"), ElementsAre("/sys/fs/cgroup/jobs.slice/7.scope",
                                             "/sys/fs/cgroup/jobs.slice", "/sys/fs/cgroup"));
}

TEST_F(ControlGroupsTest, FindsEachHierarchyOfVersionOneWhereItIsMounted) {
  Host(kHybrid, "4:memory:/a\n2:cpu,cpuacct:/b\n1:name=systemd:/c\n0::/d\n");
  EXPECT_THAT(Folders("memory"), ElementsAre("/sys/fs/cgroup/memory/a", "/sys/fs/cgroup/memory",
                                             "/sys/fs/cgroup/unified/d", "/sys/fs/cgroup/unified"));
  EXPECT_THAT(Folders("cpu"),
              ElementsAre("/sys/fs/cgroup/cpu,cpuacct/b", "/sys/fs/cgroup/cpu,cpuacct",
                          "/sys/fs/cgroup/unified/d", "/sys/fs/cgroup/unified"));
}

TEST_F(ControlGroupsTest, AContainerSeesItsOwnGroupAtTheMount) {
  // Its paths in /proc/self/cgroup are the host's, unless it has a namespace of its own for them.
  const std::string mount =
      "35 31 0:32 /docker/f00d /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
  for (const char* group : {"4:memory:/docker/f00d\n", "4:memory:/\n", "4:memory:/docker\n",
                            "4:memory:/docker/f00d2\n", "4:memory:/docker/f00d/../other\n"}) {
    Host(mount, group);
    EXPECT_THAT(Folders("memory"), ElementsAre("/sys/fs/cgroup/memory")) << group;
  }
  Host(mount, "4:memory:/docker/f00d/inner\n");
  EXPECT_THAT(Folders("memory"),
              ElementsAre("/sys/fs/cgroup/memory/inner", "/sys/fs/cgroup/memory"));
}

TEST_F(ControlGroupsTest, ReadsNamesAsTheKernelWritesThem) {
  Host(R"(30 23 0:26 /a\134x2db.scope /mnt/control\040groups rw - cgroup2 cgroup2 rw)"
       "\n",
       "0::/a\\x2db.scope/c:d\n");
  EXPECT_THAT(Folders("memory"), ElementsAre("/mnt/control groups/c:d", "/mnt/control groups"));
}

TEST_F(ControlGroupsTest, OfNothingOrOfNonsenseThereAreNone) {
  EXPECT_THAT(Folders("memory"), IsEmpty());
  Host("", "");
  EXPECT_THAT(Folders("memory"), IsEmpty());
  Host("- cgroup2\n\n36 31\n30 23 0:26 / /sys rw\n", "::\n0\n:\n\n");
  EXPECT_THAT(Folders("memory"), IsEmpty());
  Host(kUnified, "4:memory:/a\n");  // in no group of version 2
  EXPECT_THAT(Folders("memory"), IsEmpty());
}

TEST_F(ControlGroupsTest, TheTightestQuotaOfCoresHolds) {
  Host(kUnified, "0::/jobs/7\n");
  Write("jobs/7/cpu.max", "max 100000");
  Write("jobs/cpu.max", "150000 100000");
  EXPECT_LE(AvailableCores(Root()), 2U);
  Write("jobs/cpu.max", "50000 100000");
  EXPECT_EQ(AvailableCores(Root()), 1U);
}

TEST_F(ControlGroupsTest, QuotasOfVersionOneCountToo) {
  Host(kHybrid, "2:cpu,cpuacct:/b\n");
  const size_t all = AvailableCores(Root());
  Write("cpu,cpuacct/b/cpu.cfs_quota_us", "-1");
  Write("cpu,cpuacct/b/cpu.cfs_period_us", "100000");
  EXPECT_EQ(AvailableCores(Root()), all);
  Write("cpu,cpuacct/b/cpu.cfs_quota_us", "100000");
  EXPECT_EQ(AvailableCores(Root()), 1U);
}

TEST_F(ControlGroupsTest, TheTightestLimitOfMemoryHolds) {
  Host(kUnified, "0::/jobs/7\n");
  EXPECT_EQ(Limit(), "none");
  Write("jobs/7/memory.max", "max");
  Write("jobs/7/memory.high", "max");
  EXPECT_EQ(Limit(), "none");
  Write("jobs/memory.max", "536870912");
  EXPECT_EQ(Limit(), "536870912, memory.max of /sys/fs/cgroup/jobs");
  Write("jobs/7/memory.max", "1073741824");
  EXPECT_EQ(Limit(), "536870912, memory.max of /sys/fs/cgroup/jobs");
  Write("jobs/7/memory.high", "268435456");
  EXPECT_EQ(Limit(), "268435456, memory.high of /sys/fs/cgroup/jobs/7");
}

TEST_F(ControlGroupsTest, LimitsOfVersionOneCountToo) {
  Host(kHybrid, "4:memory:/a/b\n0::/\n");
  Write("memory/a/b/memory.limit_in_bytes", "9223372036854771712");  // what none looks like
  EXPECT_EQ(Limit(), "none");
  Write("memory/a/memory.limit_in_bytes", "536870912");
  EXPECT_EQ(Limit(), "536870912, memory.limit_in_bytes of /sys/fs/cgroup/memory/a");
}

TEST_F(ControlGroupsTest, TheLimitOnAddressSpaceIsOneOfMemory) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_AS, &before), 0);
  rlimit tight = before;
  tight.rlim_cur = rlim_t{1} << 46;  // more than a sanitizer maps
  ASSERT_EQ(setrlimit(RLIMIT_AS, &tight), 0);
  EXPECT_EQ(Limit(), "70368744177664, RLIMIT_AS");
  ASSERT_EQ(setrlimit(RLIMIT_AS, &before), 0);
}

TEST(MemoryWithin, LeavesAShareForTheRestButNeverLessThanTheSettingMayBe) {
  EXPECT_EQ(MemoryWithin({.bytes = 1'000'000'000, .source = ""}), 600'000'000);
  EXPECT_EQ(MemoryWithin({.bytes = 1 << 20, .source = ""}), 64 << 20);
  EXPECT_EQ(MemoryWithin({.bytes = 0, .source = ""}), 64 << 20);
}

}  // namespace
}  // namespace trawl::worker
