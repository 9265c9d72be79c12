// Goal: every task of a call runs exactly once and its effects are seen by the caller. Method:
// teams of several sizes, many short calls one after the other, so that threads are late for most.
#include "engine/thread_team.h"

#include <atomic>
#include <chrono>
#include <vector>

#include "gtest/gtest.h"

namespace trawl::engine {
namespace {

TEST(ThreadTeam, RunsEveryTaskOnce) {
  for (const int size : {1, 2, 3, 8}) {
    ThreadTeam team(size);
    for (int call = 0; call < 2000; ++call) {
      std::vector<int> ran(static_cast<size_t>(call % 17), 0);
      team.ForEach(static_cast<int64_t>(ran.size()), [&](int64_t task, int member) {
        ASSERT_GE(member, 0);
        ASSERT_LT(member, size);
        ++ran[static_cast<size_t>(task)];  // unsynchronised: each task is one thread's
      });
      for (const int count : ran) ASSERT_EQ(count, 1);
    }
  }
}

TEST(ThreadTeam, MembersHaveTheirNumbersToThemselves) {
  ThreadTeam team(3);
  for (int call = 0; call < 500; ++call) {
    std::atomic<int> inside[3] = {};
    team.ForEach(12, [&](int64_t, int member) {
      ASSERT_EQ(inside[member].fetch_add(1), 0);
      inside[member].fetch_sub(1);
    });
  }
}

TEST(ThreadTeam, OutlivesCallsThatSleepInBetween) {
  ThreadTeam team(2);
  std::atomic<int> ran = 0;
  for (int call = 0; call < 3; ++call) {
    team.ForEach(2, [&](int64_t, int) {
      // Longer than a thread spins: the other side goes to sleep and must be woken.
      const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(2);
      while (std::chrono::steady_clock::now() < end) {
      }
      ++ran;
    });
  }
  EXPECT_EQ(ran, 6);
}

}  // namespace
}  // namespace trawl::engine
