// Goal: what decoding takes is known before it begins, and never believed beyond the limits.
// Method: files of every kind by the formats' own encoders; cut ones; headers that claim too much.

#include "worker/image/footprint.h"

#include <gtest/gtest.h>

#include "tests/unit/worker/image/picture_files.h"

namespace trawl::worker {
namespace {

constexpr size_t kPixels = 60 * 40;

TEST(Footprint, IsKnownFromEveryFormatsHeader) {
  const Image picture = NoisePicture(60, 40, 3);
  EXPECT_EQ(DecodingBytes(EncodeJpeg(picture), {}), kPixels * 3);
  EXPECT_EQ(DecodingBytes(EncodeJpeg(picture, {.progressive = true, .exif = {}}), {}), kPixels * 9);
  EXPECT_EQ(DecodingBytes(EncodeJpeg(picture, {.exif = ExifBlock(6, true)}), {}), kPixels * 6);
  EXPECT_EQ(DecodingBytes(EncodePng(picture), {}), kPixels * 6);
  EXPECT_EQ(DecodingBytes(EncodeWebp(60, 40, 3, picture.pixels, -1), {}), kPixels * 10);
  EXPECT_EQ(DecodingBytes(EncodeWebp(60, 40, 3, picture.pixels, 80), {}), kPixels * 10);
}

TEST(Footprint, IsNothingForWhatIsRefusedFromItsHeader) {
  const Image picture = NoisePicture(60, 40, 3);
  EXPECT_EQ(DecodingBytes(EncodeJpeg(picture), {.max_side = 59}), 0u);
  EXPECT_EQ(DecodingBytes(EncodePng(picture), {.max_pixels = kPixels - 1}), 0u);
  EXPECT_EQ(DecodingBytes(FileOf("<html>"), {}), 0u);
  EXPECT_EQ(DecodingBytes({}, {}), 0u);
}

TEST(Footprint, ReadsNothingBeyondACut) {
  const Image picture = NoisePicture(60, 40, 3);
  for (const File& whole : {EncodeJpeg(picture, {.exif = ExifBlock(6, true)}), EncodePng(picture),
                            EncodeWebp(60, 40, 3, picture.pixels, -1)}) {
    const size_t known = DecodingBytes(whole, {});
    for (size_t length = 0; length < 700 && length < whole.size(); ++length) {
      // A copy, so that a sanitizer sees a read behind its end.
      const File cut(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(length));
      const size_t told = DecodingBytes(cut, {});
      EXPECT_LE(told, known) << length;
    }
  }
}

}  // namespace
}  // namespace trawl::worker
