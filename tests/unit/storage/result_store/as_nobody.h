#pragma once
// File permissions mean nothing to root, and tests often run as root: here the code under test runs
// as nobody.

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <functional>

namespace trawl::testing {

inline constexpr uid_t kNobody = 65534;

/// Runs `body` in a child process without root's rights; the test fails unless `body` returns true.
inline void ExpectAsNobody(const std::function<bool()>& body) {
  std::fflush(nullptr);
  const pid_t child = fork();
  ASSERT_NE(child, -1);
  if (child == 0) {
    if (geteuid() == 0 && (setgid(kNobody) != 0 || setuid(kNobody) != 0)) _exit(2);
    _exit(body() ? 0 : 1);
  }
  int wait_status = 0;
  ASSERT_EQ(waitpid(child, &wait_status, 0), child);
  EXPECT_TRUE(WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0)
      << "wait status " << wait_status;
}

}  // namespace trawl::testing
