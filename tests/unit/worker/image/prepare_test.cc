// Goal: decoding only what a model will see changes no number and misses no damage, and a reduced
// decode is close to the full one. Method: JPEGs of every chroma sampling, prepared in one go
// against decoded whole and preprocessed; cut and flipped files; gradients for the reduced sizes.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/unit/worker/image/picture_files.h"
#include "worker/image/geometry.h"
#include "worker/image/image.h"

namespace trawl::worker {
namespace {

using engine::PreprocessSpec;
using engine::ResizeFilter;

PreprocessSpec CropSpec(int shorter, int side) {
  PreprocessSpec spec;
  spec.resize_shorter = shorter;
  spec.height = spec.width = side;
  return spec;
}

/// Filled, with something else in either way: what one does not write is a difference.
Samples LevelsFor(const PreprocessSpec& spec, uint8_t filling) {
  return Samples(static_cast<size_t>(3 * spec.height * spec.width), filling);
}

/// Decoded whole, then preprocessed.
Samples InTwoSteps(const File& file, const PreprocessSpec& spec) {
  Samples levels = LevelsFor(spec, 0x5A);
  const auto image = DecodeImage(file, {});
  EXPECT_TRUE(image) << image.error().message;
  if (!image) return levels;
  const auto prepared = Preprocess(*image, spec, levels);
  EXPECT_TRUE(prepared) << prepared.error().message;
  return levels;
}

Samples InOne(const File& file, const PreprocessSpec& spec, const ImageLimits& limits) {
  Samples levels = LevelsFor(spec, 0xA5);
  const auto prepared = PrepareImage(file, limits, spec, levels);
  EXPECT_TRUE(prepared) << prepared.error().message;
  return levels;
}

struct Sampling {
  int width, height;
};

class Prepare : public ::testing::TestWithParam<Sampling> {};

TEST_P(Prepare, GivesTheNumbersOfDecodingAllToTheBit) {
  for (const auto& [height, width] : {Size{150, 150}, {97, 260}, {261, 97}, {64, 81}, {17, 16}}) {
    for (const int channels : {1, 3}) {
      const Image noise = NoisePicture(static_cast<int>(height), static_cast<int>(width), channels);
      const File file = EncodeJpeg(
          noise,
          {.chroma_width = GetParam().width, .chroma_height = GetParam().height, .exif = {}});
      for (const PreprocessSpec& spec : {CropSpec(96, 33), CropSpec(50, 47), CropSpec(20, 24)}) {
        const bool same = InOne(file, spec, {.full_size = true}) == InTwoSteps(file, spec);
        EXPECT_TRUE(same) << height << "×" << width << "×" << channels << " to " << spec.height;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Chroma, Prepare,
                         ::testing::Values(Sampling{1, 1}, Sampling{2, 1}, Sampling{1, 2},
                                           Sampling{2, 2}, Sampling{4, 1}),
                         [](const auto& test) {
                           return std::to_string(test.param.width) + "by" +
                                  std::to_string(test.param.height);
                         });

TEST(PrepareImage, NoticesACutBelowTheLastRowThatItKeeps) {
  File file = EncodeJpeg(NoisePicture(300, 100, 3));
  file.resize(file.size() * 19 / 20);
  const PreprocessSpec spec = CropSpec(50, 40);
  Samples levels = LevelsFor(spec, 0);
  const auto prepared = PrepareImage(file, {}, spec, levels);
  ASSERT_FALSE(prepared);
  EXPECT_EQ(prepared.error().code, ObjectErrorCode::kTruncated);
}

TEST(PrepareImage, TurnsWhatTheCameraHeldSideways) {
  const File file = EncodeJpeg(SmoothPicture(640, 960, 3), {.exif = ExifBlock(6, true)});
  const PreprocessSpec spec = CropSpec(64, 48);
  const Samples reduced = InOne(file, spec, {}), full = InTwoSteps(file, spec);
  for (size_t i = 0; i < full.size(); ++i) ASSERT_NEAR(reduced[i], full[i], 2) << i;
}

TEST(PrepareImage, GivesNearlyTheSameFromAReducedPicture) {
  for (const int side : {256, 521, 1'100}) {
    const File file = EncodeJpeg(SmoothPicture(side, side + 77, 3));
    const PreprocessSpec spec = CropSpec(64, 56);
    const Samples reduced = InOne(file, spec, {}), full = InTwoSteps(file, spec);
    for (size_t i = 0; i < full.size(); ++i) ASSERT_NEAR(reduced[i], full[i], 2) << side;
  }
}

TEST(Reduction, LeavesTwiceTheSizeOfTheModel) {
  const PreprocessSpec spec = CropSpec(256, 224);
  EXPECT_EQ(ReductionFor({375, 500}, spec), 1);
  EXPECT_EQ(ReductionFor({1'023, 4'000}, spec), 1);
  EXPECT_EQ(ReductionFor({1'024, 1'400}, spec), 2);
  EXPECT_EQ(ReductionFor({3'000, 4'000}, spec), 4);
  EXPECT_EQ(ReductionFor({16'000, 16'000}, spec), 8);
}

TEST(Reduction, HoldsForBothSidesOfAnExactResize) {
  PreprocessSpec spec = CropSpec(0, 224);
  spec.resize = engine::ResizeMode::kExact;
  spec.resize_height = 100;
  spec.resize_width = 400;
  EXPECT_EQ(ReductionFor({1'600, 1'600}, spec), 2);
  EXPECT_EQ(ReductionFor({400, 6'400}, spec), 2);
}

TEST(Reduction, IsNoneWithoutAResizeThatAverages) {
  PreprocessSpec spec = CropSpec(256, 224);
  spec.filter = ResizeFilter::kNearest;
  EXPECT_EQ(ReductionFor({8'000, 8'000}, spec), 1);
  spec.filter = ResizeFilter::kBilinear;
  spec.resize = engine::ResizeMode::kNone;
  EXPECT_EQ(ReductionFor({8'000, 8'000}, spec), 1);
}

}  // namespace
}  // namespace trawl::worker
