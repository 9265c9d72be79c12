// Goal: bytes survive base64, and UTF-8 means RFC 3629 exactly.
// Method: the RFC's own vectors, all lengths at random, and the classic ill-formed sequences.
#include "config/text.h"

#include <gtest/gtest.h>

#include <random>

namespace trawl {
namespace {

using namespace std::string_literals;

TEST(Utf8, AcceptsWellFormedText) {
  for (const auto& text :
       {""s, "plain"s, "ü"s, "\0"s, "漢字"s, "😀"s, "\xF4\x8F\xBF\xBF"s, "\xED\x9F\xBF"s})
    EXPECT_TRUE(IsUtf8(text)) << testing::PrintToString(text);
}

TEST(Utf8, RefusesIllFormedBytes) {
  for (const auto& bytes :
       {"\x80"s, "\xFF"s, "\xC3"s, "a\xC3("s, "\xC0\x80"s, "\xE0\x9F\xBF"s, "\xED\xA0\x80"s,
        "\xF0\x8F\xBF\xBF"s, "\xF4\x90\x80\x80"s, "\xF8\x88\x80\x80\x80"s, "\xE6\xBC"s})
    EXPECT_FALSE(IsUtf8(bytes)) << testing::PrintToString(bytes);
}

TEST(Base64, WritesTheVectorsOfTheRfc) {
  EXPECT_EQ(ToBase64(""), "");
  EXPECT_EQ(ToBase64("f"), "Zg==");
  EXPECT_EQ(ToBase64("fo"), "Zm8=");
  EXPECT_EQ(ToBase64("foo"), "Zm9v");
  EXPECT_EQ(ToBase64("foobar"), "Zm9vYmFy");
}

TEST(Base64, AnyBytesSurviveARoundTrip) {
  std::mt19937 random(3);
  for (size_t length = 0; length < 200; ++length) {
    std::string bytes(length, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    EXPECT_EQ(FromBase64(ToBase64(bytes)), bytes);
  }
}

TEST(Base64, RefusesWhatItWouldNotWrite) {
  for (const char* text : {"Z", "Zg", "Zg=", "Zg===", "=", "====", "Zh==", "Zm9=", "Zm 9",
                           "Z=g=", "Zm9v=", "Zg==Zg==", "Zm-_"})
    EXPECT_FALSE(FromBase64(text)) << text;
}

TEST(ShortestDouble, ReadsLikeTheFloatAndConvertsBackToIt) {
  EXPECT_EQ(ShortestDouble(0.1F), 0.1);
  EXPECT_EQ(ShortestDouble(0.9312345F), 0.9312345);
  std::mt19937 random(9);
  for (int i = 0; i < 20'000; ++i) {
    const float value = std::uniform_real_distribution<float>(0, 1)(random);
    ASSERT_EQ(static_cast<float>(ShortestDouble(value)), value);
  }
}

}  // namespace
}  // namespace trawl
