// Goal: a picture comes out as it was seen, whatever EXIF's orientation, and no EXIF block can do
// harm. Method: blocks written by hand, whole and cut at every length; a 2 × 3 picture of six
// different pixels.

#include <gtest/gtest.h>

#include "tests/unit/worker/image/picture_files.h"
#include "worker/image/exif.h"
#include "worker/image/orient.h"

namespace trawl::worker {
namespace {

int OrientationOf(const std::vector<uint8_t>& block) {
  return ExifOrientation(std::as_bytes(std::span(block)));
}

TEST(Exif, ReadsTheOrientationInBothByteOrders) {
  for (int orientation = 1; orientation <= 8; ++orientation) {
    EXPECT_EQ(OrientationOf(ExifBlock(orientation, true)), orientation);
    EXPECT_EQ(OrientationOf(ExifBlock(orientation, false)), orientation);
  }
}

TEST(Exif, SkipsTheHeaderOfJpegSegments) {
  std::vector<uint8_t> block = {'E', 'x', 'i', 'f', 0, 0};
  for (uint8_t byte : ExifBlock(6, true)) block.push_back(byte);
  EXPECT_EQ(OrientationOf(block), 6);
}

TEST(Exif, TakesValuesThatAreNoOrientationForUpright) {
  EXPECT_EQ(OrientationOf(ExifBlock(0, true)), 1);
  EXPECT_EQ(OrientationOf(ExifBlock(9, false)), 1);
  EXPECT_EQ(OrientationOf({'I', 'I', 43, 0, 8, 0, 0, 0}), 1);
}

TEST(Exif, TakesABlockCutAnywhereForUpright) {
  const std::vector<uint8_t> whole = ExifBlock(8, false);
  constexpr size_t kEndOfEntry = 34;
  for (size_t length = 0; length < kEndOfEntry; ++length) {
    // A block of its own, so that a sanitizer sees any read behind it.
    const std::vector<uint8_t> cut(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(length));
    EXPECT_EQ(OrientationOf(cut), 1) << length;
  }
}

TEST(Exif, SurvivesOffsetsAndCountsBehindTheBlock) {
  std::vector<uint8_t> block = ExifBlock(6, true);
  block[4] = block[5] = block[6] = block[7] = 0xFF;
  EXPECT_EQ(OrientationOf(block), 1);
  block = ExifBlock(6, true);
  block[8] = block[9] = 0xFF;
  EXPECT_EQ(OrientationOf(block), 6);
}

TEST(Upright, TurnsEachOrientationAsItsNameSays) {
  // Stored:  A B C
  //          D E F
  const Image stored{
      .height = 2, .width = 3, .channels = 1, .pixels = {'A', 'B', 'C', 'D', 'E', 'F'}};
  const char* expected[] = {"ABC/DEF",  "CBA/FED",  "FED/CBA",  "DEF/ABC",
                            "AD/BE/CF", "DA/EB/FC", "FC/EB/DA", "CF/BE/AD"};
  for (int orientation = 1; orientation <= 8; ++orientation) {
    const Image upright = Upright(stored, orientation);
    std::string text;
    for (int y = 0; y < upright.height; ++y) {
      if (y > 0) text += '/';
      for (int x = 0; x < upright.width; ++x)
        text += static_cast<char>(upright.pixels[static_cast<size_t>(y * upright.width + x)]);
    }
    EXPECT_EQ(text, expected[orientation - 1]) << orientation;
  }
}

TEST(Upright, UndoesItselfOnColourPicturesLargerThanATile) {
  const Image stored = NoisePicture(67, 45, 3);
  constexpr int kInverse[] = {0, 1, 2, 3, 4, 5, 8, 7, 6};
  for (int orientation = 1; orientation <= 8; ++orientation)
    EXPECT_EQ(Upright(Upright(stored, orientation), kInverse[orientation]).pixels, stored.pixels)
        << orientation;
}

}  // namespace
}  // namespace trawl::worker
