// Goal: a key is new exactly once, however many there are. Method: numbered keys, twice.
#include "producer/key_set.h"

#include <gtest/gtest.h>

#include <string>

namespace trawl::producer {
namespace {

TEST(KeySet, AKeyIsNewOnce) {
  KeySet keys;
  for (int i = 0; i < 100'000; ++i) ASSERT_TRUE(keys.Insert("key " + std::to_string(i))) << i;
  for (int i = 0; i < 100'000; ++i) ASSERT_FALSE(keys.Insert("key " + std::to_string(i))) << i;
  EXPECT_EQ(keys.size(), 100'000u);
  EXPECT_TRUE(keys.Insert(""));
  EXPECT_FALSE(keys.Insert(""));
}

}  // namespace
}  // namespace trawl::producer
