// Goal: however a listing is cut into ranges, whoever lists them, and whenever it is killed, each
// key is handed on exactly once; and the ranges keep all listers busy. Method: a bucket in memory,
// listers whose pages come in a random order, kills at random that leave the last cursor alone; and
// the same in rounds, one page a lister and round, to count instead of measuring time.
#include "producer/listing_plan.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "tests/support/seed.h"

namespace trawl::producer {
namespace {

using Keys = std::vector<std::string>;

constexpr int kPageKeys = 10;

storage::ListPage PageOf(const Keys& keys, const std::string& after) {
  storage::ListPage page;
  auto key = std::upper_bound(keys.begin(), keys.end(), after);
  for (; key != keys.end() && page.objects.size() < kPageKeys; ++key)
    page.objects.push_back({*key, "", {}, ""});
  page.last = key == keys.end();
  return page;
}

Keys Sorted(Keys keys) {
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  return keys;
}

Keys Numbered(const std::string& prefix, int count) {
  Keys keys;
  for (int i = 0; i < count; ++i) keys.push_back(fmt::format("{}{:07}.jpg", prefix, i));
  return keys;
}

Keys HexNames(const std::string& prefix, int count) {
  std::mt19937_64 random(7);
  Keys keys;
  for (int i = 0; i < count; ++i)
    keys.push_back(fmt::format("{}{:016x}{:016x}", prefix, random(), random()));
  return Sorted(keys);
}

Keys Days(const std::string& prefix) {
  Keys keys;
  for (int day = 0; day < 360; ++day)
    for (int i = 0; i < 10 + day % 40; ++i)
      keys.push_back(fmt::format("{}2026/{:02}/{:02}/{:02}-{:05}.jpg", prefix, 1 + day / 30,
                                 1 + day % 30, i % 24, i));
  return Sorted(keys);
}

Keys OneLargeFolderAmongSmallOnes() {
  Keys keys = Numbered("k/archive/img_", 8'000);
  for (int i = 0; i < 300; ++i) keys.push_back(fmt::format("{:c}/only-{:03}.png", 'a' + i % 20, i));
  return Sorted(keys);
}

/// What is handed on: how often each key.
class Account {
 public:
  void Add(const FeedPage& page) {
    for (const ObjectRef& object : page.objects) ++times_[object.key];
  }
  void ExpectEachOnce(const Keys& keys) const {
    EXPECT_EQ(times_.size(), keys.size());
    for (const std::string& key : keys) {
      const auto times = times_.find(key);
      ASSERT_TRUE(times != times_.end()) << key << " is missing";
      ASSERT_EQ(times->second, 1) << key;
    }
  }

 private:
  std::map<std::string, int> times_;
};

struct Rounds {
  int rounds = 0;
  int requests = 0;
};

/// Lists with so many listers, each of which gets one page in a round.
Rounds ListInRounds(const Keys& keys, const std::string& prefix, size_t listers) {
  ListingPlan plan({}, prefix, {}, listers > 1);
  Account account;
  Rounds result;
  for (bool last = false; !last; ++result.rounds) {
    std::vector<ListingPlan::Task> tasks;
    while (tasks.size() < listers) {
      const auto task = plan.Begin();
      if (!task) break;
      tasks.push_back(*task);
    }
    result.requests += static_cast<int>(tasks.size());
    for (const auto& task : tasks) EXPECT_TRUE(plan.End(task, PageOf(keys, task.after)).ok());
    while (!last) {
      const auto page = plan.Take();
      if (!page) break;
      account.Add(*page);
      last = page->last;
    }
  }
  account.ExpectEachOnce(keys);
  return result;
}

struct Shape {
  std::string name;
  std::string prefix;  // of the listing
  Keys keys;
};

std::vector<Shape> Shapes() {
  return {{"one folder, numbered", "", Numbered("data/train/images/v2/img_", 8'000)},
          {"one folder, numbered, listed by its prefix", "data/", Numbered("data/img_", 8'000)},
          {"no folder at all, random names", "", HexNames("", 8'000)},
          {"random names in one folder", "", HexNames("photos/by-digest/", 8'000)},
          {"days", "", Days("")},
          {"days deep down", "", Days("a/rather/deep/folder/that/has/one/child/")},
          {"one large folder among small ones", "", OneLargeFolderAmongSmallOnes()}};
}

TEST(ListingPlan, AllListersHaveWorkHoweverTheKeysAreNamed) {
  for (const Shape& shape : Shapes()) {
    const Rounds alone = ListInRounds(shape.keys, shape.prefix, 1);
    const auto pages = static_cast<int>(shape.keys.size() + kPageKeys - 1) / kPageKeys;
    EXPECT_EQ(alone.requests, pages) << shape.name;
    for (const size_t listers : {2U, 4U, 8U}) {
      const Rounds together = ListInRounds(shape.keys, shape.prefix, listers);
      const double gain = static_cast<double>(alone.rounds) / together.rounds;
      const double waste = static_cast<double>(together.requests) / pages;
      EXPECT_GT(gain, 0.7 * static_cast<double>(listers)) << shape.name;
      EXPECT_LT(waste, 1.25) << shape.name;
    }
  }
}

TEST(ListingPlan, ManyListersTakeNoMoreRoundsThanOneWhereThereIsLittleToList) {
  for (const int count : {0, 1, 9, 10, 11, 25}) {
    const Keys keys = Numbered("img_", count);
    EXPECT_LE(ListInRounds(keys, "", 8).rounds, ListInRounds(keys, "", 1).rounds) << count;
  }
}

/// Random names over few letters, so that many begin alike, and some that are not ASCII.
Keys RandomKeys(std::mt19937_64& random) {
  const std::vector<std::string> letters = {"0", "1", "7", "a", "b", "/", "/", "-", "é", "日", "~"};
  Keys keys;
  const size_t count = random() % 600;
  for (size_t i = 0; i < count; ++i) {
    std::string key = "p/";
    for (size_t length = 1 + random() % 9; length > 0; --length)
      key += letters[random() % letters.size()];
    keys.push_back(key);
  }
  return Sorted(keys);
}

TEST(ListingPlan, EachKeyIsHandedOnOnceInWhateverOrderPagesComeAndWhoeverIsKilled) {
  const uint32_t seed = trawl::testing::FuzzSeed();
  std::mt19937_64 random(seed);
  for (int round = 0; round < 300; ++round) {
    SCOPED_TRACE(fmt::format("seed {} round {}", seed, round));
    const Keys keys = RandomKeys(random);
    Account account;
    ListingCursor cursor;
    for (bool last = false; !last;) {  // one life each
      const size_t listers = 1 + random() % 6;
      ListingPlan plan(cursor, "p/", {}, listers > 1);
      std::vector<ListingPlan::Task> tasks;
      while (!last && random() % 40 != 0) {
        if (random() % 3 == 0) {
          if (const auto page = plan.Take()) {
            account.Add(*page);
            cursor = page->cursor;
            last = page->last;
            ASSERT_LE(cursor.left.size(), 12U);
          }
        } else if (tasks.size() < listers && random() % 2 == 0) {
          if (const auto task = plan.Begin()) tasks.push_back(*task);
        } else if (!tasks.empty()) {
          std::swap(tasks[random() % tasks.size()], tasks.back());
          const ListingPlan::Task task = tasks.back();
          tasks.pop_back();
          if (task.probe && random() % 8 == 0)
            EXPECT_FALSE(plan.Fail(task));
          else
            ASSERT_TRUE(plan.End(task, PageOf(keys, task.after)).ok());
        }
      }
    }
    account.ExpectEachOnce(keys);
    EXPECT_EQ(cursor.entries, keys.size());
  }
}

/// A store that knows only keys that exist: asked for what comes behind any other, it says nothing,
/// or begins somewhere else.
TEST(ListingPlan, AStoreWithIdeasOfItsOwnAboutKeysThatDoNotExistLosesNothing) {
  const Keys keys = HexNames("", 2'000);
  for (const bool says_nothing : {true, false}) {
    ListingPlan plan({}, "", {}, true);
    Account account;
    std::mt19937_64 random(3);
    for (bool last = false; !last;) {
      std::vector<ListingPlan::Task> tasks;
      while (tasks.size() < 4) {
        const auto task = plan.Begin();
        if (!task) break;
        tasks.push_back(*task);
      }
      for (const auto& task : tasks) {
        storage::ListPage page =
            PageOf(keys, task.probe ? keys[random() % keys.size()] : task.after);
        if (task.probe && says_nothing) page = {{}, true};
        ASSERT_TRUE(plan.End(task, std::move(page)).ok());
      }
      while (const auto page = last ? std::nullopt : plan.Take()) {
        account.Add(*page);
        last = page->last;
      }
    }
    account.ExpectEachOnce(keys);
  }
}

TEST(ListingPlan, AListingOutOfOrderIsRefusedInARangeThatWasTakenOver) {
  ListingPlan plan({}, "", {}, true);
  const auto first = plan.Begin();
  ASSERT_TRUE(plan.End(*first, PageOf(Numbered("img_", 100), "")).ok());
  const auto next = plan.Begin();
  const auto probe = plan.Begin();
  ASSERT_TRUE(probe && probe->probe);
  const std::string behind = probe->after;
  const Status status = plan.End(
      *probe, {{{behind + "1", "", {}, ""}, {behind + "3", "", {}, ""}, {behind + "2", "", {}, ""}},
               false});
  EXPECT_EQ(status.message(), "the store lists '" + behind + "2' after '" + behind + "3'");
}

TEST(FindSplitPoint, CutsWhatMayComeInTheMiddle) {
  const auto split = [](std::string_view listed, std::string_view first, std::string_view before) {
    return FindSplitPoint(listed, first, before, 0, "0123456789").key;
  };
  EXPECT_EQ(split("3", "0", ""), "7");
  EXPECT_EQ(split("3", "0", "7"), "5");
  EXPECT_EQ(split("3", "0", "4"), "");
  EXPECT_EQ(split("0009", "0000", ""), "05");
  EXPECT_EQ(split("9", "0", ""), "");
  EXPECT_EQ(FindSplitPoint("a/3", "a/0", "", 2, "0123456789abc").key, "a/8");
}

TEST(FindSplitPoint, IsUtf8WhenTheKeysAre) {
  EXPECT_EQ(FindSplitPoint("日本", "日一", "", 0, "abc").key, "");
  EXPECT_EQ(FindSplitPoint("0日本", "0日一", "", 0, "0a").key, "a");
}

}  // namespace
}  // namespace trawl::producer
