// Goal: 850 odd, broken and hostile files from other projects' test suites and fuzzers do no harm,
// and are judged as Pillow judges them, but for a counted few. Method: each is decoded twice: same
// verdict, same pixels, within a deadline and the limits. The verdict is then compared with
// Pillow's, which is a hint, not the law: we refuse JPEGs whose decoder warned about the pixels,
// and animations. Then mutants of them: TRAWL_MUTATIONS of each format (default 300).

#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/golden/shared_data.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/worker/image/mutants.h"
#include "worker/image/image.h"

namespace trawl::worker {
namespace {

/// The whole file; empty when it cannot be read.
std::vector<std::byte> ReadBytes(const std::filesystem::path& path) {
  const std::string text = testing::ReadFile(path);
  const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
  return {bytes, bytes + text.size()};
}

struct Expectation {
  std::string file, format, pillow;
  int width = 0, height = 0, orientation = 0;
};

int Number(const std::string& text) { return std::atoi(text.c_str()); }

std::vector<Expectation> Expectations() {
  std::ifstream table(testing::SharedRoot() / "images/robustness-expect.tsv");
  std::vector<Expectation> expectations;
  std::string line;
  std::getline(table, line);
  while (std::getline(table, line)) {
    std::vector<std::string> cells;
    std::istringstream row(line);
    for (std::string cell; std::getline(row, cell, '\t');) cells.push_back(cell);
    if (cells.size() != 9) continue;
    expectations.push_back({.file = cells[0],
                            .format = cells[2],
                            .pillow = cells[8],
                            .width = Number(cells[4]),
                            .height = Number(cells[5]),
                            .orientation = Number(cells[6])});
  }
  return expectations;
}

bool IsDecodedFormat(const std::string& format) {
  return format == "JPEG" || format == "MPO" || format == "PNG" || format == "WEBP";
}

bool Agree(const Expectation& expected, const ObjectResult<Image>& image) {
  if (expected.pillow != "ok" || !IsDecodedFormat(expected.format)) return !image;
  if (!image) return false;
  const bool turned = expected.orientation >= 5;
  return image->width == (turned ? expected.height : expected.width) &&
         image->height == (turned ? expected.width : expected.height);
}

TEST(RobustnessGolden, HostileFilesDoNoHarmAndAreJudgedAsByPillow) {
  const std::filesystem::path folder = testing::UnpackedData() / "images" / "robustness";
  const std::vector<Expectation> expectations = Expectations();
  ASSERT_GE(expectations.size(), 850u);
  size_t agreed = 0;
  for (const Expectation& expected : expectations) {
    SCOPED_TRACE(expected.file);
    const auto bytes = ReadBytes(folder / expected.file);
    const auto start = std::chrono::steady_clock::now();
    const auto image = DecodeImage(bytes, {});
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
    const auto again = DecodeImage(bytes, {});
    ASSERT_EQ(image.has_value(), again.has_value());
    if (image) {
      EXPECT_EQ(image->pixels, again->pixels);
    } else {
      EXPECT_EQ(image.error().code, again.error().code);
      EXPECT_NE(image.error().code, ObjectErrorCode::kInternal) << image.error().message;
      EXPECT_EQ(image.error().message.find('\n'), std::string::npos);
    }
    const bool agree = Agree(expected, image);
    agreed += agree;
    if (!agree)
      std::cout << expected.file << ": Pillow says " << expected.pillow << ", we say "
                << (image ? "ok" : image.error().message) << '\n';
  }
  std::cout << agreed << " of " << expectations.size() << " verdicts agree\n";
  EXPECT_GE(agreed * 100, expectations.size() * 97);
}

TEST(RobustnessGolden, MutantsOfHostileFilesDoNoHarm) {
  const std::filesystem::path folder = testing::UnpackedData() / "images" / "robustness";
  const uint64_t count = MutantCount(10'000);
  for (const char* format : {"JPEG", "PNG", "WEBP"}) {
    SCOPED_TRACE(format);
    std::vector<File> files;
    for (const Expectation& expected : Expectations())
      if (expected.format == format) files.push_back(ReadBytes(folder / expected.file));
    ASSERT_FALSE(files.empty());
    std::cout << ExpectOneVerdictOnMutants(files, count) << " are still pictures\n";
  }
  std::cout << count << " mutants of each format, one verdict each\n";
}

}  // namespace
}  // namespace trawl::worker
