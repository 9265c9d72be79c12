// Goal: hostile keys and labels are inert on a terminal and in a spreadsheet, and tables stay
// aligned. Method: the exact strings.
#include "ops/cli/text.h"

#include <gtest/gtest.h>

namespace trawl::ops {
namespace {

TEST(CsvCell, QuotesOnlyWhereNeededAndDisarmsFormulas) {
  EXPECT_EQ(CsvCell("plain"), "plain");
  EXPECT_EQ(CsvCell("a,b"), "\"a,b\"");
  EXPECT_EQ(CsvCell("say \"hi\"\n"), "\"say \"\"hi\"\"\n\"");
  EXPECT_EQ(CsvCell("=1+1"), "'=1+1");
  EXPECT_EQ(CsvCell(""), "");
}

TEST(FormatTable, AlignsByCharactersNotBytes) {
  EXPECT_EQ(FormatTable({"KEY", "N"}, {{"ü", "1"}, {"long", "22"}}, {false, true}),
            "KEY    N\n"
            "ü      1\n"
            "long  22\n");
}

TEST(FormatDuration, PicksAUnitThatPeopleRead) {
  EXPECT_EQ(FormatDuration(0.25), "0.2 s");
  EXPECT_EQ(FormatDuration(59), "59 s");
  EXPECT_EQ(FormatDuration(200), "3 min 20 s");
  EXPECT_EQ(FormatDuration(3720), "1 h 02 min");
}

}  // namespace
}  // namespace trawl::ops
