// Goal: each partition has at most one owner at any time, and exactly one when the members have
// settled. Method: members step by step in the test's own order; then in random order against those
// two invariants.

#include "storage/message_log/embedded_group.h"

#include <gtest/gtest.h>

#include <random>

namespace trawl::storage {
namespace {

EmbeddedGroup GroupOf(int partitions) {
  return EmbeddedGroup(
      [partitions](const std::string& topic) { return topic == "t" ? partitions : 0; });
}

std::vector<int32_t> Owned(const EmbeddedGroup& group, EmbeddedGroup::MemberId member) {
  std::vector<int32_t> numbers;
  for (const TopicPartition& at : group.Owned(member)) numbers.push_back(at.partition);
  return numbers;
}

using Numbers = std::vector<int32_t>;

TEST(EmbeddedGroup, GivesRangesAndTheFirstMembersOneMore) {
  EmbeddedGroup group = GroupOf(7);
  const auto a = group.Join({"t"});
  const auto b = group.Join({"t"});
  const auto c = group.Join({"t"});
  for (const auto member : {a, b, c}) EXPECT_TRUE(group.TryTake(member));
  EXPECT_EQ(Owned(group, a), (Numbers{0, 1, 2}));
  EXPECT_EQ(Owned(group, b), (Numbers{3, 4}));
  EXPECT_EQ(Owned(group, c), (Numbers{5, 6}));
}

TEST(EmbeddedGroup, LeavesMembersIdleWhenThereAreTooFewPartitions) {
  EmbeddedGroup group = GroupOf(1);
  const auto a = group.Join({"t"});
  const auto b = group.Join({"t", "no such topic"});
  EXPECT_TRUE(group.TryTake(b)) << "an empty share is one, too";
  EXPECT_TRUE(group.TryTake(a));
  EXPECT_TRUE(Owned(group, b).empty());
  EXPECT_FALSE(group.TryTake(b)) << "it has it already";
}

TEST(EmbeddedGroup, HandsAPartitionOverOnlyAfterItsOwnerGaveItUp) {
  EmbeddedGroup group = GroupOf(2);
  const auto a = group.Join({"t"});
  ASSERT_TRUE(group.TryTake(a));
  const auto b = group.Join({"t"});
  EXPECT_FALSE(group.TryTake(b));
  ASSERT_TRUE(group.MustGiveUp(a));
  EXPECT_EQ(Owned(group, a), (Numbers{0, 1})) << "still its own, for a last commit";
  group.GiveUp(a);
  EXPECT_TRUE(group.TryTake(b));
  EXPECT_TRUE(group.TryTake(a));
  EXPECT_FALSE(group.MustGiveUp(a));
}

TEST(EmbeddedGroup, LeavesAMemberAloneWhoseShareDoesNotChange) {
  EmbeddedGroup group = GroupOf(1);
  const auto a = group.Join({"t"});
  ASSERT_TRUE(group.TryTake(a));
  const auto b = group.Join({"t"});
  EXPECT_FALSE(group.MustGiveUp(a));
  group.Leave(b);
  EXPECT_FALSE(group.MustGiveUp(a));
}

TEST(EmbeddedGroup, NeverGivesAPartitionTwoOwnersWhateverTheOrder) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  EmbeddedGroup group = GroupOf(5);
  std::vector<EmbeddedGroup::MemberId> members;
  const auto step = [&](EmbeddedGroup::MemberId member) {
    if (group.MustGiveUp(member)) {
      group.GiveUp(member);
    } else {
      group.TryTake(member);
    }
  };
  const auto owners = [&] {
    std::vector<int> count(5);
    for (const auto member : members) {
      for (const int32_t number : Owned(group, member)) ++count[static_cast<size_t>(number)];
    }
    return count;
  };
  for (int i = 0; i < 2'000; ++i) {
    const auto dice = random() % 10;
    if (dice == 0 && members.size() < 8) {
      members.push_back(group.Join({"t"}));
    } else if (dice == 1 && !members.empty()) {
      const auto leaver = members.begin() + static_cast<int>(random() % members.size());
      group.Leave(*leaver);
      members.erase(leaver);
    } else if (!members.empty()) {
      step(members[random() % members.size()]);
    }
    for (const int count : owners()) ASSERT_LE(count, 1) << "after step " << i;
  }
  if (members.empty()) members.push_back(group.Join({"t"}));
  for (int round = 0; round < 3; ++round) {
    for (const auto member : members) step(member);
  }
  EXPECT_EQ(owners(), std::vector<int>(5, 1));
}

}  // namespace
}  // namespace trawl::storage
