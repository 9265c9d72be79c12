// Goal: no bytes crash, hang or leak through the decoders, and the same bytes always get the same
// verdict. Method: small pictures of every format, mutated by flips, cuts, runs and splices from a
// printed seed; meant to be run under the address and undefined-behaviour sanitizers too.
// TRAWL_MUTATIONS sets how many (default 3,000), TRAWL_SEED the seed.

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <random>
#include <string>

#include "tests/support/seed.h"
#include "tests/unit/worker/image/picture_files.h"
#include "worker/image/image.h"

namespace trawl::worker {
namespace {

uint64_t MutationCount() {
  const char* given = std::getenv("TRAWL_MUTATIONS");
  return given == nullptr ? 3'000 : std::strtoull(given, nullptr, 10);
}

std::vector<File> Seeds() {
  const Image colour = SmoothPicture(48, 40, 3), noise = NoisePicture(24, 24, 3),
              grey = SmoothPicture(33, 17, 1);
  return {EncodeJpeg(colour, {.exif = ExifBlock(6, true)}),
          EncodeJpeg(noise, {.progressive = true, .exif = {}}),
          EncodeJpeg(colour, {.arithmetic = true, .exif = {}}),
          EncodeJpeg(colour, {.cmyk = true, .exif = {}}),
          EncodeJpeg(grey),
          EncodeJpeg(colour),
          EncodePng(noise),
          EncodePng(grey),
          EncodePng(16, 16, NoisePicture(16, 8, 1).pixels,
                    {.color_type = 3,
                     .depth = 4,
                     .interlaced = true,
                     .transparent_color = true,
                     .exif = ExifBlock(3, false)}),
          EncodeWebp(24, 24, 3, noise.pixels, -1),
          EncodeWebp(48, 40, 3, colour.pixels, 70)};
}

File Mutate(File file, const std::vector<File>& seeds, std::mt19937_64& random) {
  const auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
  for (size_t edits = 1 + below(3); edits > 0 && !file.empty(); --edits) {
    const size_t at = below(file.size());
    switch (below(5)) {
      case 0:
        file[at] ^= static_cast<std::byte>(1 << below(8));
        break;
      case 1:
        file[at] = static_cast<std::byte>(random());
        break;
      case 2:
        file.resize(at);
        break;
      case 3:
        std::fill_n(file.begin() + static_cast<ptrdiff_t>(at),
                    std::min(below(32), file.size() - at), std::byte{0xFF});
        break;
      default: {
        const File& other = seeds[below(seeds.size())];
        const size_t from = below(other.size());
        const size_t count = std::min(below(64), other.size() - from);
        file.insert(file.begin() + static_cast<ptrdiff_t>(at),
                    other.begin() + static_cast<ptrdiff_t>(from),
                    other.begin() + static_cast<ptrdiff_t>(from + count));
      }
    }
  }
  return file;
}

TEST(Mutation, NeverCrashesAndAlwaysSaysTheSame) {
  const uint64_t count = MutationCount();
  std::mt19937_64 random(trawl::testing::FuzzSeed());
  const std::vector<File> seeds = Seeds();
  // Headers that claim a size are believed up to the limits, so these keep a mutant's cost to
  // milliseconds.
  const ImageLimits limits{.max_side = 2'000, .max_pixels = 1'000'000, .max_jpeg_scans = 50};
  // A crop, so that decoding may leave out rows and columns, yet must see their damage.
  engine::PreprocessSpec spec;
  spec.height = spec.width = 16;
  spec.resize_shorter = 24;
  std::vector<float> input(3 * 16 * 16);
  uint64_t decoded = 0;
  for (uint64_t i = 0; i < count; ++i) {
    const File file = Mutate(seeds[i % seeds.size()], seeds, random);
    const auto start = std::chrono::steady_clock::now();
    const auto first = DecodeImage(file, limits);
    const auto took = std::chrono::steady_clock::now() - start;
    ASSERT_LT(took, std::chrono::seconds(5)) << "mutation " << i;
    const auto second = DecodeImage(file, limits);
    const auto partly = PrepareImage(file, limits, spec, input);
    ASSERT_EQ(first.has_value(), second.has_value()) << "mutation " << i;
    ASSERT_EQ(first.has_value(), partly.has_value()) << "mutation " << i;
    if (first) {
      ++decoded;
      ASSERT_EQ(first->pixels, second->pixels) << "mutation " << i;
      ASSERT_LE(int64_t{first->width} * first->height, limits.max_pixels);
    } else {
      ASSERT_EQ(first.error().code, second.error().code) << "mutation " << i;
      ASSERT_EQ(first.error().code, partly.error().code) << "mutation " << i;
      ASSERT_NE(first.error().code, ObjectErrorCode::kInternal) << first.error().message;
      ASSERT_FALSE(first.error().message.empty());
    }
  }
  // Some survive (flips in tables or metadata), most must not.
  EXPECT_GT(decoded, 0u);
  EXPECT_LT(decoded, count / 2);
}

}  // namespace
}  // namespace trawl::worker
