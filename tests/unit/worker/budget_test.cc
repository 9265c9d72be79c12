// Goal: a budget is never exceeded but by corrections, always comes back, and blocks nobody for
// ever. Method: each promise alone, then threads that check the limit among themselves.

#include "worker/budget.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace trawl::worker {
namespace {

TEST(Budget, WaitsUntilEnoughWasReleased) {
  Budget budget(10);
  ASSERT_TRUE(budget.Acquire(6, {}));
  std::atomic<bool> acquired = false;
  std::jthread second([&] {
    ASSERT_TRUE(budget.Acquire(6, {}));
    acquired = true;
    budget.Release(6);
  });
  EXPECT_FALSE(acquired);
  budget.Release(6);
  second.join();
  EXPECT_TRUE(acquired);
  EXPECT_EQ(budget.in_use(), 0U);
}

TEST(Budget, GivesMoreThanItHasToOneAlone) {
  Budget budget(10);
  EXPECT_TRUE(budget.Acquire(25, {}));
  EXPECT_EQ(budget.in_use(), 25U);
  budget.Release(25);
}

TEST(Budget, LetsAWaiterGoWhenStopped) {
  Budget budget(1);
  ASSERT_TRUE(budget.Acquire(1, {}));
  std::stop_source stop;
  std::jthread waiter([&] { EXPECT_FALSE(budget.Acquire(1, stop.get_token())); });
  stop.request_stop();
  waiter.join();
  EXPECT_EQ(budget.in_use(), 1U);
}

TEST(Budget, OvershootsOnACorrectionAndThenHoldsOthersBack) {
  Budget budget(10);
  ASSERT_TRUE(budget.Acquire(4, {}));
  Reservation guess(budget, 4);
  guess.Resize(30);
  EXPECT_EQ(budget.in_use(), 30U);
  std::stop_source stopped;
  stopped.request_stop();
  EXPECT_FALSE(budget.Acquire(1, stopped.get_token()));
  guess.Resize(3);
  EXPECT_TRUE(budget.Acquire(7, stopped.get_token()));
  budget.Release(7);
}

TEST(Budget, AFullOneThatGrowsLetsAWaiterInAndOneThatShrinksTakesNothingBack) {
  Budget budget(10);
  ASSERT_TRUE(budget.Acquire(8, {}));
  budget.SetCapacity(4);
  EXPECT_EQ(budget.in_use(), 8U);
  EXPECT_EQ(budget.capacity(), 4U);
  std::jthread waiter([&] { EXPECT_TRUE(budget.Acquire(4, {})); });
  budget.SetCapacity(12);
  waiter.join();
  EXPECT_EQ(budget.in_use(), 12U);
}

TEST(Reservation, GoesBackOnceHoweverItIsMoved) {
  Budget budget(10);
  ASSERT_TRUE(budget.Acquire(4, {}));
  ASSERT_TRUE(budget.Acquire(3, {}));
  {
    Reservation four(budget, 4), three(budget, 3);
    Reservation moved(std::move(four));
    EXPECT_EQ(budget.in_use(), 7U);
    moved = std::move(three);
    EXPECT_EQ(budget.in_use(), 3U);
  }
  EXPECT_EQ(budget.in_use(), 0U);
  budget.WaitUntilIdle();
}

TEST(Budget, HoldsItsLimitBetweenManyThreads) {
  Budget budget(5);
  std::atomic<int> held = 0;
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) {
        const int amount = 1 + i % 3;
        ASSERT_TRUE(budget.Acquire(static_cast<size_t>(amount), {}));
        EXPECT_LE(held += amount, 5);
        held -= amount;
        budget.Release(static_cast<size_t>(amount));
      }
    });
  }
  threads.clear();
  EXPECT_EQ(budget.in_use(), 0U);
}

}  // namespace
}  // namespace trawl::worker
