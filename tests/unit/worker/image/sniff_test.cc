// Goal: the first bytes alone decide what an object is, and every refusal says what it was.
// Method: hand-written beginnings of files.

#include "worker/image/sniff.h"

#include <gtest/gtest.h>

#include <string_view>

#include "tests/unit/worker/image/picture_files.h"

namespace trawl::worker {
namespace {

using namespace std::string_view_literals;

TEST(Sniff, NamesTheThreeFormatsThatAreDecoded) {
  EXPECT_EQ(SniffFormat(FileOf("\xFF\xD8\xFF\xE0"sv)), ImageFormat::kJpeg);
  EXPECT_EQ(SniffFormat(FileOf("\x89PNG\r\n\x1A\n"sv)), ImageFormat::kPng);
  EXPECT_EQ(SniffFormat(FileOf("RIFF\x10\0\0\0WEBPVP8 "sv)), ImageFormat::kWebp);
}

TEST(Sniff, RecognisesOtherImageFormatsAsUnsupported) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"GIF89a\1\0"sv, "GIF"},
      {"II*\0\x8\0\0\0"sv, "TIFF"},
      {"MM\0*\0\0\0\x8"sv, "TIFF"},
      {"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0"sv, "BMP"},
      {"8BPS\0\1"sv, "PSD"},
      {"\0\0\1\0\1\0"sv, "ICO"},
      {"\0\0\0\x1C"
       "ftypavif"sv,
       "AVIF"},
      {"\0\0\0\x18"
       "ftypheic"sv,
       "HEIC"},
      {"\0\0\0\x0CjP  \r\n\x87\n"sv, "JPEG 2000"},
      {"P6\n3 2\n255\n"sv, "PNM"},
  };
  for (const auto& [bytes, name] : cases) {
    const auto format = SniffFormat(FileOf(bytes));
    ASSERT_FALSE(format) << name;
    EXPECT_EQ(format.error().code, ObjectErrorCode::kUnsupportedFormat) << name;
    EXPECT_NE(format.error().message.find(name), std::string::npos) << format.error().message;
  }
}

TEST(Sniff, SaysWhatAnObjectLooksLikeWhenItIsNoImage) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {""sv, "the object is empty"},
      {"<!DOCTYPE html><html>"sv, "looks like an HTML page"},
      {"\xEF\xBB\xBF \n<HTML lang=en>"sv, "looks like an HTML page"},
      {"<?xml version=\"1.0\"?><Error>"sv, "looks like an XML document"},
      {"{\"error\": 1}"sv, "looks like a JSON document"},
      {"BM is how this sentence begins"sv, "the first bytes are those of no image format"},
      {"RIFF\x10\0\0\0WAVEfmt "sv, "the first bytes are those of no image format"},
      {"\xFF\xD8"sv, "the first bytes are those of no image format"},
      {"\0"sv, "the first bytes are those of no image format"},
  };
  for (const auto& [bytes, message] : cases) {
    const auto format = SniffFormat(FileOf(bytes));
    ASSERT_FALSE(format) << message;
    EXPECT_EQ(format.error().code, ObjectErrorCode::kNotAnImage);
    EXPECT_EQ(format.error().message, message);
  }
}

}  // namespace
}  // namespace trawl::worker
