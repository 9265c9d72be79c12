// Goal: a picture becomes exactly the floats that the spec asks for: size, window, order, layout,
// scale. Method: small pictures with known pixels and specs that move one thing at a time.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/unit/worker/image/picture_files.h"
#include "worker/image/image.h"

namespace trawl::worker {
namespace {

using engine::ChannelOrder;
using engine::PreprocessSpec;
using engine::ResizeMode;
using engine::TensorLayout;

/// No resize, no scaling: the input is the picture's own levels.
PreprocessSpec PlainSpec(int height, int width) {
  PreprocessSpec spec;
  spec.height = height;
  spec.width = width;
  spec.resize = ResizeMode::kNone;
  return spec;
}

std::vector<float> Preprocessed(const Image& image, const PreprocessSpec& spec) {
  const auto size = static_cast<size_t>(spec.channel_count() * spec.height * spec.width);
  // Two fillings, and NaN, show whatever is not written.
  Samples levels(size, 0x5A), again(size, 0xA5);
  const auto result = Preprocess(image, spec, levels);
  EXPECT_TRUE(result) << result.error().message;
  EXPECT_TRUE(Preprocess(image, spec, again));
  EXPECT_EQ(levels, again);
  std::vector<float> input(size, NAN);
  Normalize(levels, spec, input);
  return input;
}

const Image kTwoPixels{.height = 1, .width = 2, .channels = 3, .pixels = {1, 2, 3, 40, 50, 60}};

TEST(Preprocess, WritesChannelsByLayoutAndOrder) {
  PreprocessSpec spec = PlainSpec(1, 2);
  EXPECT_EQ(Preprocessed(kTwoPixels, spec), (std::vector<float>{1, 40, 2, 50, 3, 60}));
  spec.channels = ChannelOrder::kBgr;
  EXPECT_EQ(Preprocessed(kTwoPixels, spec), (std::vector<float>{3, 60, 2, 50, 1, 40}));
  spec.layout = TensorLayout::kNhwc;
  EXPECT_EQ(Preprocessed(kTwoPixels, spec), (std::vector<float>{3, 2, 1, 60, 50, 40}));
}

TEST(Preprocess, SubtractsTheMeanAndDividesInTheSpecsOrder) {
  PreprocessSpec spec = PlainSpec(1, 2);
  spec.channels = ChannelOrder::kBgr;
  spec.mean = {3, 0, 1};
  spec.std = {2, 4, 0.5F};
  EXPECT_EQ(Preprocessed(kTwoPixels, spec), (std::vector<float>{0, 28.5F, 0.5F, 12.5F, 0, 78}));
}

TEST(Preprocess, MakesGreyByLumaAndColourFromGrey) {
  PreprocessSpec spec = PlainSpec(1, 2);
  spec.channels = ChannelOrder::kGray;
  const Image primaries{.height = 1, .width = 2, .channels = 3, .pixels = {255, 0, 0, 0, 255, 0}};
  EXPECT_EQ(Preprocessed(primaries, spec), (std::vector<float>{76, 150}));
  const Image grey{.height = 1, .width = 2, .channels = 1, .pixels = {7, 9}};
  EXPECT_EQ(Preprocessed(grey, spec), (std::vector<float>{7, 9}));
  EXPECT_EQ(Preprocessed(grey, PlainSpec(1, 2)), (std::vector<float>{7, 9, 7, 9, 7, 9}));
}

/// The first column and row of a crop of `side` from a grey ramp of `length`, where level =
/// position.
float CropOffset(int length, int side) {
  Image ramp{.height = 1, .width = length, .channels = 1, .pixels = {}};
  for (int x = 0; x < length; ++x) ramp.pixels.push_back(static_cast<uint8_t>(x));
  PreprocessSpec spec = PlainSpec(1, side);
  spec.channels = ChannelOrder::kGray;
  return Preprocessed(ramp, spec).front();
}

TEST(Preprocess, RoundsTheCropsOffsetHalfToEven) {
  EXPECT_EQ(CropOffset(10, 4), 3);
  EXPECT_EQ(CropOffset(11, 4), 4);  // 3.5
  EXPECT_EQ(CropOffset(9, 4), 2);   // 2.5
  EXPECT_EQ(CropOffset(5, 4), 0);   // 0.5
  EXPECT_EQ(CropOffset(7, 4), 2);   // 1.5
}

TEST(Preprocess, KeepsTheAspectAndRoundsTheLongerSideDown) {
  // 30 × 47 with the shorter side at 20 becomes 20 × 31: a crop of the full 31 columns needs no
  // padding, of 32 does.
  PreprocessSpec spec;
  spec.resize_shorter = 20;
  spec.height = 20;
  spec.mean = {-1, -1, -1};
  spec.width = 31;
  for (float value : Preprocessed(NoisePicture(30, 47, 3), spec)) EXPECT_GE(value, 1);
  spec.width = 32;
  Image white = NoisePicture(30, 47, 3);
  std::fill(white.pixels.begin(), white.pixels.end(), uint8_t{255});
  const std::vector<float> input = Preprocessed(white, spec);
  EXPECT_EQ(input[30], 256);
  EXPECT_EQ(input[31], 1);  // level 0, normalised like any other
}

TEST(Preprocess, PadsAResizedPictureThatIsSmallerThanTheCrop) {
  PreprocessSpec spec;
  spec.resize = ResizeMode::kExact;
  spec.resize_height = spec.resize_width = 2;
  spec.height = 5;
  spec.width = 4;
  spec.channels = ChannelOrder::kGray;
  const Image flat{.height = 1, .width = 1, .channels = 1, .pixels = {9}};
  EXPECT_EQ(Preprocessed(flat, spec), (std::vector<float>{0, 0, 0, 0,  //
                                                          0, 9, 9, 0,  //
                                                          0, 9, 9, 0,  //
                                                          0, 0, 0, 0,  //
                                                          0, 0, 0, 0}));
}

TEST(Preprocess, RefusesAPictureThatDoesNotFitASpecWithoutResize) {
  PreprocessSpec spec = PlainSpec(8, 8);
  Samples levels(3 * 8 * 8);
  const auto small = Preprocess(NoisePicture(7, 9, 3), spec, levels);
  ASSERT_FALSE(small);
  EXPECT_EQ(small.error().code, ObjectErrorCode::kModelError);
  EXPECT_TRUE(Preprocess(NoisePicture(9, 9, 3), spec, levels));
  spec.crop_center = false;
  EXPECT_FALSE(Preprocess(NoisePicture(9, 9, 3), spec, levels));
  EXPECT_TRUE(Preprocess(NoisePicture(8, 8, 3), spec, levels));
  spec.resize = ResizeMode::kShorter;
  spec.resize_shorter = 8;
  EXPECT_FALSE(Preprocess(NoisePicture(16, 24, 3), spec, levels));
  EXPECT_TRUE(Preprocess(NoisePicture(16, 16, 3), spec, levels));
}

}  // namespace
}  // namespace trawl::worker
