// Goal: resizing gives the levels that training pipelines saw, in any window of the result.
// Method: stored answers of Pillow (make_resize_expectations.py says how they were made); windows
// against the whole; properties that hold for every filter.

#include "worker/image/resample.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "tests/unit/worker/image/picture_files.h"

namespace trawl::worker {
namespace {

using engine::ResizeFilter;

constexpr ResizeFilter kFilters[] = {ResizeFilter::kNearest, ResizeFilter::kBilinear,
                                     ResizeFilter::kBicubic, ResizeFilter::kArea,
                                     ResizeFilter::kLanczos};

struct Expectation {
  int height, width, channels, new_height, new_width;
  ResizeFilter filter;
  std::vector<int> levels;  // [new_height, new_width, channels]
};

const Expectation kExpectations[] = {
#include "tests/unit/worker/image/resize_expectations.inc"
};

Image FormulaPicture(int height, int width, int channels) {
  Image image{.height = height, .width = width, .channels = channels, .pixels = {}};
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < channels; ++c)
        image.pixels.push_back(
            static_cast<uint8_t>((7 * y * y + 13 * x * x + 5 * x * y + 31 * c) * 37));
  return image;
}

ResizedImage ResizeWhole(const Image& image, int height, int width, ResizeFilter filter) {
  return ResizeWindow(image, {.input = image.width, .output = width, .first = 0, .count = width},
                      {.input = image.height, .output = height, .first = 0, .count = height},
                      filter);
}

uint8_t LevelAt(const ResizedImage& image, int channel, int y, int x) {
  return image.Row(y)[x * image.pixel_bytes() + channel];
}

std::set<int> LevelsOf(const ResizedImage& image) {
  std::set<int> levels;
  for (int c = 0; c < image.channels; ++c)
    for (int y = 0; y < image.height; ++y)
      for (int x = 0; x < image.width; ++x) levels.insert(LevelAt(image, c, y, x));
  return levels;
}

TEST(Resample, GivesTheLevelsThatPillowGives) {
  for (const Expectation& e : kExpectations) {
    const ResizedImage out = ResizeWhole(FormulaPicture(e.height, e.width, e.channels),
                                         e.new_height, e.new_width, e.filter);
    size_t i = 0;
    for (int y = 0; y < e.new_height; ++y)
      for (int x = 0; x < e.new_width; ++x)
        for (int c = 0; c < e.channels; ++c)
          ASSERT_EQ(LevelAt(out, c, y, x), e.levels[i++])
              << e.height << "×" << e.width << " to " << e.new_height << "×" << e.new_width
              << " filter " << static_cast<int>(e.filter) << " at " << y << ", " << x << ", " << c;
  }
}

TEST(Resample, GivesAWindowTheSameLevelsAsTheWhole) {
  const Image image = NoisePicture(53, 71, 3);
  for (const ResizeFilter filter : kFilters) {
    const ResizedImage whole = ResizeWhole(image, 90, 33, filter);
    const ResizedImage window =
        ResizeWindow(image, {.input = 71, .output = 33, .first = 20, .count = 13},
                     {.input = 53, .output = 90, .first = 77, .count = 13}, filter);
    for (int c = 0; c < 3; ++c)
      for (int y = 0; y < 13; ++y)
        for (int x = 0; x < 13; ++x)
          ASSERT_EQ(LevelAt(window, c, y, x), LevelAt(whole, c, y + 77, x + 20));
  }
}

TEST(Resample, GivesTheSameLevelsWithEveryInnerLoop) {
  for (const int channels : {1, 3}) {
    // Down to pictures and windows that are smaller than any block of samples.
    for (const auto& [height, width] : {std::pair(1, 1), {3, 2}, {7, 50}, {61, 33}, {40, 131}}) {
      const Image image = NoisePicture(height, width, channels);
      for (const ResizeFilter filter : kFilters) {
        for (const int side : {1, 3, 9, 40, 100}) {
          const AxisWindow columns{
              .input = width, .output = side, .first = side / 3, .count = side - side / 3};
          const AxisWindow rows{.input = height, .output = side, .first = 0, .count = side};
          ASSERT_EQ(ResizeWindow(image, columns, rows, filter, BestRowKernels()).samples,
                    ResizeWindow(image, columns, rows, filter, PortableRowKernels()).samples)
              << height << "×" << width << "×" << channels << " to " << side << " filter "
              << static_cast<int>(filter);
        }
      }
    }
  }
}

TEST(Resample, KeepsAFlatPictureFlat) {
  for (const int level : {0, 1, 127, 255}) {
    Image image = NoisePicture(29, 31, 3);
    std::fill(image.pixels.begin(), image.pixels.end(), static_cast<uint8_t>(level));
    for (const ResizeFilter filter : kFilters)
      for (const int side : {1, 7, 31, 64})
        ASSERT_EQ(LevelsOf(ResizeWhole(image, side, side, filter)), std::set<int>{level});
  }
}

TEST(Resample, CopiesAPictureThatKeepsItsSize) {
  const Image image = NoisePicture(9, 14, 1);
  for (const ResizeFilter filter : kFilters)
    EXPECT_EQ(ResizeWhole(image, 9, 14, filter).samples, image.pixels);
}

TEST(Resample, TakesExtremeAspectsWithoutBuildingTheWholeResult) {
  const Image image = NoisePicture(1, 16'384, 3);
  const int64_t length = 256LL * 16'384;
  const ResizedImage out =
      ResizeWindow(image, {.input = 16'384, .output = length, .first = length / 2, .count = 224},
                   {.input = 1, .output = 256, .first = 16, .count = 224}, ResizeFilter::kLanczos);
  EXPECT_EQ(out.samples.size(), 4u * 224 * 224);
}

}  // namespace
}  // namespace trawl::worker
