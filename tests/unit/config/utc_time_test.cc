// Goal: times in records read well and lose nothing.
// Method: known instants, random round trips, and strings that look like times and are none.
#include "config/utc_time.h"

#include <gtest/gtest.h>

#include <random>

namespace trawl {
namespace {

TEST(UtcTime, WritesKnownInstants) {
  EXPECT_EQ(FormatUtc(0), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(FormatUtc(951'826'554'321), "2000-02-29T12:15:54.321Z");
  EXPECT_EQ(FormatUtc(253'402'300'799'999), "9999-12-31T23:59:59.999Z");
}

TEST(UtcTime, ClampsWhatHasNoFourDigitYear) {
  EXPECT_EQ(FormatUtc(-1), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(FormatUtc(INT64_MAX), "9999-12-31T23:59:59.999Z");
}

TEST(UtcTime, AnyInstantSurvivesARoundTrip) {
  std::mt19937_64 random(11);
  std::uniform_int_distribution<int64_t> instant(0, 253'402'300'799'999);
  for (int i = 0; i < 10'000; ++i) {
    const int64_t ms = instant(random);
    ASSERT_EQ(ParseUtc(FormatUtc(ms)), ms);
  }
}

TEST(UtcTime, RefusesWhatIsNoTime) {
  for (const char* text :
       {"", "2026-01-31", "2026-02-30T00:00:00.000Z", "2026-13-01T00:00:00.000Z",
        "2026-00-10T00:00:00.000Z", "2026-01-31T24:00:00.000Z", "2026-01-31T23:60:00.000Z",
        "2026-01-31T23:59:60.000Z", "2026-01-31 23:59:59.000Z", "2026-01-31T23:59:59.000+",
        "2026-01-31T23:59:59.12aZ", "1969-12-31T23:59:59.999Z", "-026-01-31T23:59:59.000Z",
        "2026-01-31T23:59:59.0000"})
    EXPECT_FALSE(ParseUtc(text)) << text;
}

}  // namespace
}  // namespace trawl
