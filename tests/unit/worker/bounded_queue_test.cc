// Goal: the queue never holds more than its capacity, loses nothing, and lets everybody go who
// waits on it. Method: each promise alone, then many threads at once. Waits end by the queue's own
// signals; a broken promise is a test that hangs.

#include "worker/bounded_queue.h"

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <set>
#include <thread>
#include <vector>

namespace trawl::worker {
namespace {

TEST(BoundedQueue, GivesBackInOrderAndThenNothingOnceClosed) {
  BoundedQueue<int> queue(3);
  for (int i : {1, 2, 3}) EXPECT_EQ(queue.Push(i, {}), PushResult::kOk);
  queue.Close();
  EXPECT_EQ(queue.Push(4, {}), PushResult::kClosed);
  for (int i : {1, 2, 3}) EXPECT_EQ(queue.Pop(), i);
  EXPECT_EQ(queue.Pop(), std::nullopt);
}

TEST(BoundedQueue, RefusesWithoutWaitingAndLeavesTheValueWhenItIsFull) {
  BoundedQueue<std::unique_ptr<int>> queue(1);
  auto first = std::make_unique<int>(1), second = std::make_unique<int>(2);
  EXPECT_TRUE(queue.TryPush(first));
  EXPECT_FALSE(queue.TryPush(second));
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(queue.depth(), 1U);
  EXPECT_EQ(**queue.Pop(), 1);
  EXPECT_TRUE(queue.TryPush(second));
}

TEST(BoundedQueue, GivesNothingWithoutWaitingWhenItIsEmpty) {
  BoundedQueue<int> queue(1);
  EXPECT_EQ(queue.TryPop(), std::nullopt);
  ASSERT_EQ(queue.Push(1, {}), PushResult::kOk);
  EXPECT_EQ(queue.TryPop(), 1);
  EXPECT_EQ(queue.TryPop(), std::nullopt);
}

TEST(BoundedQueue, HoldsAWriterBackUntilThereIsRoom) {
  BoundedQueue<int> queue(1);
  ASSERT_EQ(queue.Push(1, {}), PushResult::kOk);
  std::promise<void> started;
  std::jthread writer([&] {
    started.set_value();
    EXPECT_EQ(queue.Push(2, {}), PushResult::kOk);
  });
  started.get_future().wait();
  EXPECT_LE(queue.depth(), 1U);
  EXPECT_EQ(queue.Pop(), 1);
  EXPECT_EQ(queue.Pop(), 2);
  writer.join();
  EXPECT_EQ(queue.depth(), 0U);
}

TEST(BoundedQueue, LetsWaitingWritersAndReadersGoWhenStopped) {
  BoundedQueue<int> full(1), empty(1);
  ASSERT_EQ(full.Push(1, {}), PushResult::kOk);
  std::stop_source stop;
  std::jthread writer([&] { EXPECT_EQ(full.Push(2, stop.get_token()), PushResult::kStopped); });
  std::jthread reader([&] { EXPECT_EQ(empty.Pop(stop.get_token()), std::nullopt); });
  stop.request_stop();
  writer.join();
  reader.join();
  EXPECT_EQ(full.depth(), 1U);
}

TEST(BoundedQueue, LetsWaitingWritersGoWhenClosed) {
  BoundedQueue<int> queue(1);
  ASSERT_EQ(queue.Push(1, {}), PushResult::kOk);
  std::jthread writer([&] { EXPECT_EQ(queue.Push(2, {}), PushResult::kClosed); });
  queue.Close();
}

TEST(BoundedQueue, LosesAndDoublesNothingBetweenManyThreads) {
  constexpr int kWriters = 3, kReaders = 3, kEach = 2'000;
  BoundedQueue<int> queue(5);
  std::vector<std::vector<int>> read(kReaders);
  {
    std::vector<std::jthread> readers;
    for (auto& mine : read) {
      readers.emplace_back([&queue, &mine] {
        while (const auto item = queue.Pop()) mine.push_back(*item);
      });
    }
    {
      std::vector<std::jthread> writers;
      for (int w = 0; w < kWriters; ++w) {
        writers.emplace_back([&queue, w] {
          for (int i = 0; i < kEach; ++i) EXPECT_EQ(queue.Push(w * kEach + i, {}), PushResult::kOk);
        });
      }
    }
    queue.Close();
  }
  std::set<int> all;
  size_t count = 0;
  for (const auto& mine : read) {
    count += mine.size();
    all.insert(mine.begin(), mine.end());
  }
  EXPECT_EQ(count, static_cast<size_t>(kWriters * kEach));
  EXPECT_EQ(all.size(), count);
}

}  // namespace
}  // namespace trawl::worker
