// Goal: the closed set of object error codes is the one that is documented, and its names survive a
// round trip. Method: every name there and back; names outside the set are refused.
#include "config/object_error.h"

#include <gtest/gtest.h>

namespace trawl {
namespace {

TEST(ObjectErrorCode, EveryNameParsesToItsCode) {
  for (const char* name :
       {"not_found", "forbidden", "changed", "throttled", "http_error", "timeout", "truncated",
        "checksum_mismatch", "not_an_image", "unsupported_format", "corrupt_image", "too_large",
        "too_many_scans", "model_error", "cancelled", "internal"}) {
    const auto code = ParseObjectErrorCode(name);
    ASSERT_TRUE(code) << name;
    EXPECT_EQ(ToString(*code), name);
  }
}

TEST(ObjectErrorCode, RefusesNamesOutsideTheSet) {
  for (const char* name : {"", "Not_Found", "not_found ", "gone", "internal2"})
    EXPECT_FALSE(ParseObjectErrorCode(name)) << name;
}

}  // namespace
}  // namespace trawl
