// Goal: JPEGs of every kind give the right pixels; damaged, bloated and deceitful ones the right
// error, cheaply. Method: files by libjpeg's encoder, then damaged by hand at known places.

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <string_view>

#include "tests/support/peak_memory.h"
#include "tests/unit/worker/image/picture_files.h"
#include "worker/image/footprint.h"
#include "worker/image/image.h"

namespace trawl::worker {
namespace {

using namespace std::string_view_literals;

ObjectErrorCode CodeOf(const ObjectResult<Image>& result) {
  EXPECT_FALSE(result);
  return result ? ObjectErrorCode::kInternal : result.error().code;
}

void ExpectClose(const Image& expected, const ObjectResult<Image>& actual, int tolerance) {
  ASSERT_TRUE(actual) << actual.error().message;
  ASSERT_EQ(actual->height, expected.height);
  ASSERT_EQ(actual->width, expected.width);
  ASSERT_EQ(actual->channels, expected.channels);
  for (size_t i = 0; i < expected.pixels.size(); ++i)
    ASSERT_LE(std::abs(expected.pixels[i] - actual->pixels[i]), tolerance) << i;
}

/// Overwrites the frame header's height and width.
void ClaimSize(File& file, int height, int width) {
  const size_t frame = Find(file, "\xFF\xC0"sv);
  for (int i = 0; i < 2; ++i) {
    file[frame + 5 + static_cast<size_t>(i)] = static_cast<std::byte>(height >> (8 - 8 * i));
    file[frame + 7 + static_cast<size_t>(i)] = static_cast<std::byte>(width >> (8 - 8 * i));
  }
}

TEST(Jpeg, DecodesColourGreyProgressiveAndArithmetic) {
  const Image colour = SmoothPicture(37, 51, 3), grey = SmoothPicture(37, 51, 1);
  ExpectClose(colour, DecodeImage(EncodeJpeg(colour), {}), 4);
  ExpectClose(grey, DecodeImage(EncodeJpeg(grey), {}), 4);
  ExpectClose(colour, DecodeImage(EncodeJpeg(colour, {.progressive = true, .exif = {}}), {}), 4);
  ExpectClose(colour, DecodeImage(EncodeJpeg(colour, {.arithmetic = true, .exif = {}}), {}), 4);
}

TEST(Jpeg, TakesFourComponentsForInvertedInk) {
  const Image colour = SmoothPicture(24, 40, 3);
  ExpectClose(colour, DecodeImage(EncodeJpeg(colour, {.cmyk = true, .exif = {}}), {}), 6);
}

TEST(Jpeg, ComesOutUpright) {
  const auto image =
      DecodeImage(EncodeJpeg(SmoothPicture(20, 30, 3), {.exif = ExifBlock(6, true)}), {});
  ASSERT_TRUE(image);
  EXPECT_EQ(image->height, 30);
  EXPECT_EQ(image->width, 20);
}

TEST(Jpeg, IgnoresBytesBehindItsEnd) {
  File file = EncodeJpeg(SmoothPicture(16, 16, 3));
  const auto clean = DecodeImage(file, {});
  const File tail = FileOf("appended \xFF\xDA by a camera"sv);
  file.insert(file.end(), tail.begin(), tail.end());
  const auto image = DecodeImage(file, {});
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_EQ(image->pixels, clean->pixels);
}

TEST(Jpeg, IsTruncatedWhereverItIsCut) {
  for (const bool progressive : {false, true}) {
    const File whole =
        EncodeJpeg(NoisePicture(40, 40, 3), {.progressive = progressive, .exif = {}});
    for (size_t length = 3; length < whole.size(); length += 1 + whole.size() / 97) {
      const File cut(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(length));
      EXPECT_EQ(CodeOf(DecodeImage(cut, {})), ObjectErrorCode::kTruncated) << length;
    }
    const File no_end(whole.begin(), whole.end() - 2);
    EXPECT_EQ(CodeOf(DecodeImage(no_end, {})), ObjectErrorCode::kTruncated);
  }
}

TEST(Jpeg, IsCorruptWhenItsScanIsOverwritten) {
  File file = EncodeJpeg(NoisePicture(64, 64, 3));
  for (size_t i = file.size() / 2; i < file.size() / 2 + 200; ++i) file[i] = std::byte{0x55};
  EXPECT_EQ(CodeOf(DecodeImage(file, {})), ObjectErrorCode::kCorruptImage);
}

TEST(Jpeg, IsRefusedFromItsHeaderWhenTooLarge) {
  File file = EncodeJpeg(SmoothPicture(16, 16, 3));
  ClaimSize(file, 20'000, 20'000);
  EXPECT_EQ(CodeOf(DecodeImage(file, {})), ObjectErrorCode::kTooLarge);
  ClaimSize(file, 10'000, 10'000);
  EXPECT_EQ(CodeOf(DecodeImage(file, {})), ObjectErrorCode::kTooLarge);
}

TEST(Jpeg, IsTruncatedWhenItsBytesCannotHoldThePixelsThatItPromises) {
  File file = EncodeJpeg(SmoothPicture(16, 16, 3));
  ClaimSize(file, 7'000, 7'000);
  const auto image = DecodeImage(file, {});
  EXPECT_EQ(CodeOf(image), ObjectErrorCode::kTruncated);
  EXPECT_NE(image.error().message.find("cannot hold"), std::string::npos) << image.error().message;
}

TEST(Jpeg, CostsLessThanAMebibyteToRefuseForASizeThatItOnlyClaims) {
  const File file = EncodeJpeg(SmoothPicture(16, 16, 3));
  // Over the limits as libjpeg counts, over ours, and within ours.
  for (const int side : {65'500, 20'000, 7'000}) {
    File bomb = file;
    ClaimSize(bomb, side, side);
    EXPECT_LT(testing::PeakGrowth([&] { EXPECT_FALSE(DecodeImage(bomb, {})); }), 1 << 20) << side;
  }
}

TEST(Jpeg, IsRefusedBeforeDecodingWhenItHasTooManyScans) {
  const File file = EncodeJpeg(SmoothPicture(16, 16, 3), {.progressive = true, .exif = {}});
  EXPECT_TRUE(DecodeImage(file, {.max_jpeg_scans = 10}));
  const auto image = DecodeImage(file, {.max_jpeg_scans = 9});
  EXPECT_EQ(CodeOf(image), ObjectErrorCode::kTooManyScans);
  EXPECT_EQ(image.error().message, "10 scans; 9 are allowed (max-jpeg-scans)");
}

TEST(Jpeg, IsWalkedBeyondASegmentWithANonsensicalLength) {
  File file = EncodeJpeg(SmoothPicture(16, 16, 3), {.progressive = true, .exif = {}});
  const size_t reserved = DecodingBytes(file, {});
  ASSERT_GT(reserved, 0u);
  for (const char length : {'\0', '\1'}) {
    File odd = file;
    const File segment = FileOf(std::string("\xFF\xE5\0"sv) + length);
    odd.insert(odd.begin() + 2, segment.begin(), segment.end());
    EXPECT_TRUE(DecodeImage(odd, {}));
    EXPECT_EQ(DecodingBytes(odd, {}), reserved);
    EXPECT_EQ(CodeOf(DecodeImage(odd, {.max_jpeg_scans = 9})), ObjectErrorCode::kTooManyScans);
  }
}

TEST(Jpeg, IsUnsupportedWithTwelveBitsOrWithoutLoss) {
  File file = EncodeJpeg(SmoothPicture(16, 16, 3));
  file[Find(file, "\xFF\xC0"sv) + 4] = std::byte{12};
  EXPECT_EQ(CodeOf(DecodeImage(file, {})), ObjectErrorCode::kUnsupportedFormat);
  file = EncodeJpeg(SmoothPicture(16, 16, 3));
  file[Find(file, "\xFF\xC0"sv) + 1] = std::byte{0xC3};
  EXPECT_EQ(CodeOf(DecodeImage(file, {})), ObjectErrorCode::kUnsupportedFormat);
}

TEST(Jpeg, ForgivesRubbishBetweenItsHeaderSegments) {
  File file = EncodeJpeg(SmoothPicture(16, 16, 3));
  const File rubbish = FileOf("padding"sv);
  file.insert(file.begin() + static_cast<ptrdiff_t>(Find(file, "\xFF\xDB"sv)), rubbish.begin(),
              rubbish.end());
  EXPECT_TRUE(DecodeImage(file, {}));
}

}  // namespace
}  // namespace trawl::worker
