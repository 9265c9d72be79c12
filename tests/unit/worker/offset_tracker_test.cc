// Goal: an offset is committed only when everything before it is finished, and never for work of an
// epoch that has ended. Method: stories, then random ones against a model that knows the truth.

#include "worker/offset_tracker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>

namespace trawl::worker {
namespace {

using storage::TopicPartition;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Tracker = OffsetTracker<std::string>;

const TopicPartition kFirst{"work", 0};
const TopicPartition kSecond{"work", 1};

size_t One(const std::string&) { return 1; }

std::vector<std::pair<int, int64_t>> Offsets(const Tracker::Ready& ready) {
  std::vector<std::pair<int, int64_t>> offsets;
  for (const auto& each : ready.offsets) offsets.emplace_back(each.at.partition, each.offset);
  return offsets;
}

TEST(OffsetTracker, CommitsOnlyPastContiguousPrefix) {
  Tracker tracker;
  const uint64_t epoch = tracker.Begin(kFirst);
  for (int64_t offset : {5, 6, 9})
    ASSERT_TRUE(tracker.Track(kFirst, offset, "b" + std::to_string(offset)));
  EXPECT_TRUE(tracker.Finish(kFirst, epoch, 9));
  EXPECT_TRUE(tracker.Finish(kFirst, epoch, 6));
  EXPECT_THAT(tracker.Take(100, One).batches, IsEmpty());
  EXPECT_TRUE(tracker.Finish(kFirst, epoch, 5));
  const auto ready = tracker.Take(100, One);
  EXPECT_THAT(ready.batches, ElementsAre("b5", "b6", "b9"));
  EXPECT_THAT(Offsets(ready), ElementsAre(std::pair(0, 10)));
  EXPECT_TRUE(tracker.empty());
  EXPECT_THAT(tracker.Take(100, One).offsets, IsEmpty());
}

TEST(OffsetTracker, WhatLiesBehindRetractedWorkIsNeverCommitted) {
  Tracker tracker;
  const uint64_t epoch = tracker.Begin(kFirst);
  for (int64_t offset : {5, 6, 9})
    ASSERT_TRUE(tracker.Track(kFirst, offset, "b" + std::to_string(offset)));
  EXPECT_TRUE(tracker.Finish(kFirst, epoch, 5));
  EXPECT_TRUE(tracker.Finish(kFirst, epoch, 9));
  const auto retracted = tracker.Retract(kFirst, 6);
  ASSERT_EQ(retracted.size(), 2U);
  EXPECT_EQ(retracted[0].batch, "b6");
  EXPECT_FALSE(retracted[0].finished);
  EXPECT_EQ(retracted[1].batch, "b9");
  EXPECT_TRUE(retracted[1].finished);
  EXPECT_FALSE(tracker.Finish(kFirst, epoch, 6));
  const auto ready = tracker.Take(100, One);
  EXPECT_THAT(ready.batches, ElementsAre("b5"));
  EXPECT_THAT(Offsets(ready), ElementsAre(std::pair(0, 6)));
  EXPECT_TRUE(tracker.empty());
  EXPECT_THAT(tracker.Retract(kFirst, 0), IsEmpty());
  EXPECT_THAT(tracker.Retract(kSecond, 0), IsEmpty());
}

TEST(OffsetTracker, DropsResultsOfAnEpochThatHasEnded) {
  Tracker tracker;
  const uint64_t before = tracker.Begin(kFirst);
  ASSERT_TRUE(tracker.Track(kFirst, 0, "old"));
  ASSERT_EQ(tracker.End(kFirst).size(), 1U);
  EXPECT_FALSE(tracker.Finish(kFirst, before, 0));
  const uint64_t after = tracker.Begin(kFirst);
  EXPECT_NE(before, after);
  ASSERT_TRUE(tracker.Track(kFirst, 0, "new"));
  EXPECT_FALSE(tracker.Finish(kFirst, before, 0));
  EXPECT_THAT(tracker.Take(100, One).batches, IsEmpty());
  EXPECT_TRUE(tracker.Finish(kFirst, after, 0));
  EXPECT_THAT(tracker.Take(100, One).batches, ElementsAre("new"));
}

TEST(OffsetTracker, TracksNothingOfForeignPartitionsOrOldOffsets) {
  Tracker tracker;
  EXPECT_FALSE(tracker.Track(kFirst, 0, "nobody's"));
  tracker.Begin(kFirst);
  EXPECT_TRUE(tracker.Track(kFirst, 4, "a"));
  EXPECT_FALSE(tracker.Track(kFirst, 4, "again"));
  EXPECT_FALSE(tracker.Track(kFirst, 3, "earlier"));
  EXPECT_EQ(tracker.End(kFirst).size(), 1U);
}

TEST(OffsetTracker, TakesWholeBatchesUpToALimitAndTheRestLater) {
  Tracker tracker;
  const uint64_t first = tracker.Begin(kFirst), second = tracker.Begin(kSecond);
  for (int64_t offset = 0; offset < 3; ++offset) {
    ASSERT_TRUE(tracker.Track(kFirst, offset, "a"));
    ASSERT_TRUE(tracker.Track(kSecond, offset, "b"));
    ASSERT_TRUE(tracker.Finish(kFirst, first, offset) && tracker.Finish(kSecond, second, offset));
  }
  const auto weigh_ten = [](const std::string&) { return size_t{10}; };
  EXPECT_THAT(Offsets(tracker.Take(15, weigh_ten)), ElementsAre(std::pair(0, 2)));
  EXPECT_THAT(Offsets(tracker.Take(15, weigh_ten)), ElementsAre(std::pair(0, 3), std::pair(1, 1)));
  EXPECT_THAT(Offsets(tracker.Take(100, weigh_ten)), ElementsAre(std::pair(1, 3)));
}

TEST(OffsetTracker, TakesOnlyFromThePartitionsAskedFor) {
  Tracker tracker;
  const uint64_t first = tracker.Begin(kFirst), second = tracker.Begin(kSecond);
  ASSERT_TRUE(tracker.Track(kFirst, 0, "a") && tracker.Track(kSecond, 0, "b"));
  ASSERT_TRUE(tracker.Finish(kFirst, first, 0) && tracker.Finish(kSecond, second, 0));
  EXPECT_THAT(tracker.Take(100, One, {kSecond}).batches, ElementsAre("b"));
  EXPECT_THAT(tracker.Take(100, One).batches, ElementsAre("a"));
}

TEST(OffsetTracker, HoldsItsPromiseInRandomStories) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  Tracker tracker;
  uint64_t epoch = tracker.Begin(kFirst);
  int64_t delivered = 0, committed = 0;
  std::set<int64_t> unfinished, done;
  for (int step = 0; step < 20'000; ++step) {
    switch (random() % 8) {
      case 0:
      case 1:
      case 2:
        ASSERT_TRUE(tracker.Track(kFirst, delivered, std::to_string(delivered)));
        unfinished.insert(delivered);
        delivered += 1 + static_cast<int64_t>(random() % 3);  // control records leave gaps
        break;
      case 3:
      case 4:
      case 5:
        if (unfinished.empty()) break;
        {
          auto any = unfinished.begin();
          std::advance(any, random() % unfinished.size());
          ASSERT_TRUE(tracker.Finish(kFirst, epoch, *any));
          unfinished.erase(any);
        }
        break;
      case 6: {
        const auto ready = tracker.Take(1 + random() % 4, One);
        for (const std::string& batch : ready.batches)
          ASSERT_TRUE(done.insert(std::stoll(batch)).second) << batch << " was committed twice";
        if (!ready.offsets.empty()) {
          ASSERT_GT(ready.offsets[0].offset, committed);
          committed = ready.offsets[0].offset;
        }
        ASSERT_TRUE(unfinished.empty() || *unfinished.begin() >= committed);
        break;
      }
      default:
        if (random() % 50 != 0) break;
        tracker.End(kFirst);
        epoch = tracker.Begin(kFirst);
        unfinished.clear();
        delivered = committed;  // redelivered from there
    }
  }
}

}  // namespace
}  // namespace trawl::worker
