#include "tests/unit/worker/image/mutants.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "tests/support/seed.h"
#include "worker/image/footprint.h"

namespace trawl::worker {

File Mutate(File file, const std::vector<File>& others, std::mt19937_64& random) {
  const auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
  for (size_t edits = 1 + below(8); edits > 0 && !file.empty(); --edits) {
    const size_t at = below(file.size());
    const auto position = file.begin() + static_cast<ptrdiff_t>(at);
    switch (below(5)) {
      case 0:
        file[at] ^= static_cast<std::byte>(1 << below(8));
        break;
      case 1:
        file[at] = static_cast<std::byte>(random());
        break;
      case 2:
        // Often near the end, or little would be left to damage.
        file.resize(below(2) == 0 ? at : file.size() - std::min(below(32), file.size()));
        break;
      case 3:
        std::fill_n(position, std::min(below(32), file.size() - at),
                    below(2) == 0 ? std::byte{0x00} : std::byte{0xFF});
        break;
      default: {
        const File& other = others[below(others.size())];
        const size_t from = below(other.size());
        const size_t count = std::min(below(64), other.size() - from);
        file.insert(position, other.begin() + static_cast<ptrdiff_t>(from),
                    other.begin() + static_cast<ptrdiff_t>(from + count));
      }
    }
  }
  return file;
}

uint64_t MutantCount(uint64_t by_default) {
  const char* given = std::getenv("TRAWL_MUTATIONS");
  return given == nullptr ? by_default : std::strtoull(given, nullptr, 10);
}

bool ExpectOneVerdict(const File& file, const ImageLimits& limits) {
  // A crop, so that decoding may leave out rows and columns, yet must see their damage.
  engine::PreprocessSpec spec;
  spec.height = spec.width = 16;
  spec.resize_shorter = 24;
  Samples levels(3 * 16 * 16);

  const auto start = std::chrono::steady_clock::now();
  const auto first = DecodeImage(file, limits);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
  const auto second = DecodeImage(file, limits);
  const auto partly = PrepareImage(file, limits, spec, levels);
  EXPECT_EQ(first.has_value(), second.has_value());
  EXPECT_EQ(first.has_value(), partly.has_value());
  if (first && second) {
    EXPECT_EQ(first->pixels, second->pixels);
    EXPECT_LE(int64_t{first->width} * first->height, limits.max_pixels);
    EXPECT_GE(DecodingBytes(file, limits), first->pixels.size());
  } else if (!first && !second && !partly) {
    EXPECT_EQ(first.error().code, second.error().code);
    EXPECT_EQ(first.error().code, partly.error().code);
    EXPECT_NE(first.error().code, ObjectErrorCode::kInternal) << first.error().message;
    EXPECT_FALSE(first.error().message.empty());
    EXPECT_EQ(first.error().message.find('\n'), std::string::npos);
  }
  return first.has_value();
}

uint64_t ExpectOneVerdictOnMutants(const std::vector<File>& files, uint64_t count) {
  std::mt19937_64 random(trawl::testing::FuzzSeed());
  // Headers that claim a size are believed up to the limits, so these keep a mutant's cost to
  // milliseconds.
  const ImageLimits limits{.max_side = 2'000, .max_pixels = 1'000'000, .max_jpeg_scans = 50};
  uint64_t decoded = 0;
  for (uint64_t i = 0; i < count && !::testing::Test::HasFailure(); ++i) {
    SCOPED_TRACE("mutant " + std::to_string(i));
    decoded += ExpectOneVerdict(Mutate(files[i % files.size()], files, random), limits);
  }
  return decoded;
}

}  // namespace trawl::worker
