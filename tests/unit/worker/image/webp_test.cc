// Goal: still WebPs give their pixels without alpha; animations, cuts and oversized headers are
// refused. Method: files by libwebp's encoder; containers edited by hand.

#include <gtest/gtest.h>

#include <cstdlib>
#include <string_view>

#include "tests/unit/worker/image/picture_files.h"
#include "worker/image/image.h"

namespace trawl::worker {
namespace {

using namespace std::string_view_literals;

ObjectErrorCode CodeOf(const ObjectResult<Image>& result) {
  EXPECT_FALSE(result);
  return result ? ObjectErrorCode::kInternal : result.error().code;
}

/// The extended container: a VP8X chunk with `flags`, the pixels' chunk of `still`, then `tail`.
File Extended(const File& still, int height, int width, uint8_t flags, const File& tail) {
  File file = FileOf("RIFF\0\0\0\0WEBPVP8X\x0A\0\0\0"sv);
  for (int byte : {int{flags}, 0, 0, 0, (width - 1) & 255, (width - 1) >> 8, 0, (height - 1) & 255,
                   (height - 1) >> 8, 0})
    file.push_back(static_cast<std::byte>(byte));
  file.insert(file.end(), still.begin() + 12, still.end());
  file.insert(file.end(), tail.begin(), tail.end());
  const size_t size = file.size() - 8;
  for (size_t i = 0; i < 4; ++i) file[4 + i] = static_cast<std::byte>(size >> (8 * i));
  return file;
}

TEST(Webp, DecodesLosslessPixelsExactly) {
  const Image picture = NoisePicture(19, 23, 3);
  const auto image = DecodeImage(EncodeWebp(19, 23, 3, picture.pixels, -1), {});
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_EQ(image->pixels, picture.pixels);
}

TEST(Webp, DecodesLossyPixelsClosely) {
  const Image picture = SmoothPicture(40, 56, 3);
  const auto image = DecodeImage(EncodeWebp(40, 56, 3, picture.pixels, 95), {});
  ASSERT_TRUE(image) << image.error().message;
  for (size_t i = 0; i < picture.pixels.size(); ++i)
    ASSERT_LE(std::abs(image->pixels[i] - picture.pixels[i]), 8) << i;
}

TEST(Webp, LeavesAlphaOutWithoutBlending) {
  Samples rgba, rgb;
  for (int i = 0; i < 12 * 10; ++i) {
    const uint8_t level = static_cast<uint8_t>(2 * i);
    rgba.insert(rgba.end(), {level, 10, 20, static_cast<uint8_t>(1 + i)});
    rgb.insert(rgb.end(), {level, 10, 20});
  }
  const auto image = DecodeImage(EncodeWebp(10, 12, 4, rgba, -1), {});
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_EQ(image->channels, 3);
  EXPECT_EQ(image->pixels, rgb);
}

TEST(Webp, ComesOutUpright) {
  const Image picture = NoisePicture(6, 9, 3);
  const File still = EncodeWebp(6, 9, 3, picture.pixels, -1);
  File tail = FileOf("EXIF\x26\0\0\0"sv);
  for (uint8_t byte : ExifBlock(8, false)) tail.push_back(std::byte{byte});
  const auto image = DecodeImage(Extended(still, 6, 9, 0x08, tail), {});
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_EQ(image->height, 9);
  EXPECT_EQ(image->width, 6);
}

TEST(Webp, IsUnsupportedWhenAnimated) {
  const File still = EncodeWebp(6, 9, 3, NoisePicture(6, 9, 3).pixels, -1);
  EXPECT_EQ(CodeOf(DecodeImage(Extended(still, 6, 9, 0x02, {}), {})),
            ObjectErrorCode::kUnsupportedFormat);
}

TEST(Webp, IsTruncatedWhereverItIsCut) {
  for (const int quality : {-1, 80}) {
    const File whole = EncodeWebp(30, 30, 3, NoisePicture(30, 30, 3).pixels, quality);
    for (size_t length = 12; length < whole.size(); length += 1 + whole.size() / 97) {
      const File cut(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(length));
      EXPECT_EQ(CodeOf(DecodeImage(cut, {})), ObjectErrorCode::kTruncated)
          << length << " at quality " << quality;
    }
  }
}

TEST(Webp, IsCorruptWhenNoChunkHoldsItsFrame) {
  File file = EncodeWebp(20, 30, 3, SmoothPicture(20, 30, 3).pixels, 70);
  ASSERT_TRUE(DecodeImage(file, {}));
  file.erase(file.begin() + 12, file.begin() + 20);  // "VP8 " and its length
  for (size_t i = 0; i < 4; ++i) file[4 + i] = static_cast<std::byte>((file.size() - 8) >> (8 * i));
  const auto image = DecodeImage(file, {});
  EXPECT_EQ(CodeOf(image), ObjectErrorCode::kCorruptImage);
}

TEST(Webp, IsRefusedFromItsHeaderWhenTooLarge) {
  const File file = EncodeWebp(30, 40, 3, NoisePicture(30, 40, 3).pixels, -1);
  EXPECT_EQ(CodeOf(DecodeImage(file, {.max_side = 39})), ObjectErrorCode::kTooLarge);
  EXPECT_EQ(CodeOf(DecodeImage(file, {.max_pixels = 1'199})), ObjectErrorCode::kTooLarge);
}

}  // namespace
}  // namespace trawl::worker
