// Goal: two sides that saw the same set of objects have the same digest, in whatever order, and
// others do not. Method: sets built in different orders and parts; sets that differ in one field; a
// pinned value, because digests of different versions of the program meet in one job.
#include "config/set_digest.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <set>

namespace trawl {
namespace {

SetDigest One(std::string_view job, uint64_t batch, uint32_t index, std::string_view key) {
  SetDigest digest;
  digest.Add(job, batch, index, key);
  return digest;
}

TEST(SetDigest, DoesNotDependOnTheOrder) {
  std::vector<uint32_t> members(1000);
  std::iota(members.begin(), members.end(), 0u);
  SetDigest forward, shuffled;
  for (const uint32_t i : members) forward.Add("job", i / 32, i % 32, "key" + std::to_string(i));
  std::shuffle(members.begin(), members.end(), std::mt19937(7));
  for (const uint32_t i : members) shuffled.Add("job", i / 32, i % 32, "key" + std::to_string(i));
  EXPECT_EQ(forward, shuffled);
}

TEST(SetDigest, PartialDigestsMergeByAddition) {
  SetDigest whole, left, right;
  for (uint32_t i = 0; i < 100; ++i) {
    whole.Add("job", 0, i, "k");
    (i % 3 == 0 ? left : right).Add("job", 0, i, "k");
  }
  left.Merge(right);
  EXPECT_EQ(left, whole);
}

TEST(SetDigest, EveryFieldOfTheIdentityCounts) {
  const std::set<std::string> digests = {
      One("job", 1, 2, "key").Hex(), One("job2", 1, 2, "key").Hex(), One("job", 2, 2, "key").Hex(),
      One("job", 1, 3, "key").Hex(), One("job", 1, 2, "kez").Hex(),  One("job", 1, 2, "").Hex(),
      One("", 1, 2, "jobkey").Hex(), One("jobk", 1, 2, "ey").Hex(),  SetDigest().Hex()};
  EXPECT_EQ(digests.size(), 9u);
}

TEST(SetDigest, AMemberCountedTwiceShows) {
  SetDigest twice = One("job", 1, 2, "key");
  twice.Add("job", 1, 2, "key");
  EXPECT_NE(twice, One("job", 1, 2, "key"));
  EXPECT_NE(twice, SetDigest());
}

TEST(SetDigest, HexSurvivesARoundTripAndCarries) {
  SetDigest digest;
  for (uint32_t i = 0; i < 64; ++i) {
    digest.Add("job", i, i, "key");
    EXPECT_EQ(SetDigest::FromHex(digest.Hex()).value(), digest);
  }
  SetDigest sum = SetDigest::FromHex("0000000000000000ffffffffffffffff").value();
  sum.Merge(SetDigest::FromHex("00000000000000000000000000000001").value());
  EXPECT_EQ(sum.Hex(), "00000000000000010000000000000000");
}

TEST(SetDigest, RefusesWhatIsNotThirtyTwoHexDigits) {
  for (const char* hex :
       {"", "0", "0000000000000000000000000000000", "000000000000000000000000000000000",
        "0000000000000000000000000000000g", "-0000000000000000000000000000001",
        "0x000000000000000000000000000000", " 0000000000000000000000000000000"})
    EXPECT_EQ(SetDigest::FromHex(hex).error().code(), Code::kInvalidArgument) << hex;
}

TEST(SetDigest, StaysTheSameFromVersionToVersion) {
  EXPECT_EQ(SetDigest().Hex(), "00000000000000000000000000000000");
  EXPECT_EQ(One("job", 1, 2, "key").Hex(), "9bdc6609eb9a71964f1e262d7bdbdce2");
}

}  // namespace
}  // namespace trawl
