// Goal: a job takes the keys that its patterns mean, and jobs with other patterns are others.
// Method: patterns and keys by hand.

#include "producer/key_filter.h"

#include <gtest/gtest.h>

#include <set>

namespace trawl::producer {
namespace {

TEST(KeyFilter, TakesEverythingUnlessTold) {
  EXPECT_TRUE(KeyFilter().Takes("any/key \xFF"));
  EXPECT_TRUE(KeyFilter().empty());
  EXPECT_EQ(KeyFilter().Text(), "");
}

TEST(KeyFilter, AStarCrossesFolders) {
  const KeyFilter filter{.include = {"2026/*.jpg", "?.png"}};
  EXPECT_TRUE(filter.Takes("2026/a.jpg"));
  EXPECT_TRUE(filter.Takes("2026/05/b.jpg"));
  EXPECT_TRUE(filter.Takes("c.png"));
  EXPECT_FALSE(filter.Takes("2026/a.JPG"));
  EXPECT_FALSE(filter.Takes("2025/a.jpg"));
  EXPECT_FALSE(filter.Takes("cc.png"));
}

TEST(KeyFilter, ExcludingIsStronger) {
  const KeyFilter filter{.include = {"*.jpg"}, .exclude = {"*/thumbnails/*", "[ab].jpg"}};
  EXPECT_TRUE(filter.Takes("x/1.jpg"));
  EXPECT_FALSE(filter.Takes("x/thumbnails/1.jpg"));
  EXPECT_FALSE(filter.Takes("a.jpg"));
  EXPECT_TRUE(KeyFilter{.exclude = {"*.jpg"}}.Takes("1.png"));
}

TEST(KeyFilter, ABackslashTakesTheNextCharacterAsItStands) {
  EXPECT_TRUE(KeyFilter{.include = {"a\\*b"}}.Takes("a*b"));
  EXPECT_FALSE(KeyFilter{.include = {"a\\*b"}}.Takes("axb"));
}

TEST(KeyFilter, OtherFiltersHaveOtherTexts) {
  const std::set<std::string> texts = {KeyFilter{.include = {"a"}}.Text(),
                                       KeyFilter{.exclude = {"a"}}.Text(),
                                       KeyFilter{.start_after = "a"}.Text(),
                                       KeyFilter{.include = {"a", "b"}}.Text(),
                                       KeyFilter{.include = {"a\",\"b"}}.Text(),
                                       KeyFilter{.include = {"a"}, .exclude = {"b"}}.Text()};
  EXPECT_EQ(texts.size(), 6U);
}

}  // namespace
}  // namespace trawl::producer
