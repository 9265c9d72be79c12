// Goal: from a photo's bytes to the model's input, every level is the one that Pillow and
// torchvision give. Method: the reference crops were made by them, saved without loss; ours must
// not differ by a single level.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/golden/shared_data.h"
#include "tests/support/temp_dir.h"
#include "worker/image/image.h"

namespace trawl::worker {
namespace {

/// The whole file; empty when it cannot be read.
std::vector<std::byte> ReadBytes(const std::filesystem::path& path) {
  const std::string text = testing::ReadFile(path);
  const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
  return {bytes, bytes + text.size()};
}

/// The crop's size, and the shorter side that the reference resized to.
struct Size {
  int crop, shorter;
};

class PreprocessGolden : public ::testing::TestWithParam<Size> {};

Samples LevelsOf(const std::filesystem::path& path, const engine::PreprocessSpec& spec) {
  Samples levels(static_cast<size_t>(3 * spec.height * spec.width));
  const auto result = PrepareImage(ReadBytes(path), {.full_size = true}, spec, levels);
  EXPECT_TRUE(result) << path << ": " << result.error().message;
  return levels;
}

TEST_P(PreprocessGolden, GivesTheReferenceCropsLevelForLevel) {
  std::ifstream file(testing::SharedRoot() / "golden/golden.json");
  const auto golden = nlohmann::json::parse(file, nullptr, /*allow_exceptions=*/false);
  ASSERT_TRUE(golden.contains("crops"));
  engine::PreprocessSpec spec;
  spec.height = spec.width = GetParam().crop;
  spec.resize_shorter = GetParam().shorter;
  engine::PreprocessSpec as_it_is = spec;
  as_it_is.resize = engine::ResizeMode::kNone;
  ASSERT_GE(golden["crops"].size(), 20u);
  for (const auto& crop : golden["crops"]) {
    const auto photo = testing::SharedRoot() / "images/imagenet" / crop["photo"].get<std::string>();
    const auto png = testing::SharedRoot() / "golden" /
                     crop["png"][std::to_string(GetParam().crop)].get<std::string>();
    EXPECT_EQ(LevelsOf(photo, spec), LevelsOf(png, as_it_is)) << photo;
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, PreprocessGolden,
                         ::testing::Values(Size{128, 146}, Size{224, 256}, Size{227, 257}),
                         [](const auto& test) { return std::to_string(test.param.crop); });

}  // namespace
}  // namespace trawl::worker
