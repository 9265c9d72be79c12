// Goal: each layer of the sandbox holds by itself, so that a hole in one is covered by the others.
// Method: in a forked process, one layer is put on and then tried; its exit code tells.

#include "worker/sandbox/lockdown.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <new>

namespace trawl::worker {
namespace {

/// What `attempt` returns, run in a process of its own.
int InAProcess(int (*attempt)()) {
  const pid_t pid = fork();
  if (pid == 0) _exit(attempt());
  int status = 0;
  EXPECT_EQ(waitpid(pid, &status, 0), pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

constexpr Setup kSetup{.memory_bytes = 64U << 20, .cpu_seconds = 10};

TEST(Lockdown, LandlockAloneOpensNoFile) {
  if (InAProcess([] { return DenyNewPrivileges() && DenyFiles() ? 0 : 1; }) != 0)
    GTEST_SKIP() << "this kernel has no Landlock";
  EXPECT_EQ(InAProcess([] {
              DenyNewPrivileges();
              DenyFiles();
              return open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0 ? errno : 0;
            }),
            EACCES);
}

TEST(Lockdown, NoNewPrivilegesStay) {
  EXPECT_EQ(InAProcess([] {
              DenyNewPrivileges();
              return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
            }),
            1);
}

TEST(Lockdown, LimitsAloneOpenNoFile) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer's runtime needs descriptors";
  EXPECT_EQ(InAProcess([] {
              LimitResources(kSetup);
              return open("/dev/null", O_RDONLY | O_CLOEXEC) < 0 ? errno : 0;
            }),
            EMFILE);
}

TEST(Lockdown, MemoryIsCountedFromWhatIsThere) {
  if (kSanitized) GTEST_SKIP() << "sanitizers reserve more address space than any limit allows";
  EXPECT_EQ(InAProcess([] {
              if (!LimitMemory(kSetup)) return 3;
              void* const little = ::operator new(32U << 20, std::nothrow);
              void* const much = ::operator new(96U << 20, std::nothrow);
              return little != nullptr && much == nullptr ? 0 : 1;
            }),
            0);
}

TEST(Lockdown, SaysWhichLayersHold) {
  EXPECT_EQ(PostureText(kAllLayers), "no-new-privileges, limits, memory, landlock, seccomp");
  EXPECT_EQ(PostureText(kAllLayers & ~static_cast<uint32_t>(kNoFiles)),
            "no-new-privileges, limits, memory, seccomp (without landlock)");
}

}  // namespace
}  // namespace trawl::worker
