// Preprocess: from a decoded picture to the model's input.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "config/check.h"
#include "worker/image/image.h"
#include "worker/image/resample.h"

namespace trawl::worker {
namespace {

using engine::ChannelOrder;
using engine::PreprocessSpec;
using engine::ResizeMode;
using engine::TensorLayout;

/// One axis on its way to the model: resized, then cropped or padded to the input's size.
struct AxisPlan {
  AxisWindow window;   // what is kept of the resized picture
  int pad_before = 0;  // zeros before it, where the resized picture is smaller than the input
};

/// n / 2, ties to even: how Python rounds the offset of a centre crop.
int64_t HalfToEven(int64_t n) {
  const int64_t half = n / 2;
  return n % 2 != 0 && half % 2 != 0 ? half + 1 : half;
}

AxisPlan PlanAxis(int64_t input, int64_t resized, int wanted) {
  AxisPlan plan{.window = {.input = input, .output = resized}};
  if (resized >= wanted) {
    plan.window.first = HalfToEven(resized - wanted);
    plan.window.count = wanted;
  } else {
    plan.window.count = static_cast<int>(resized);
    plan.pad_before = static_cast<int>((wanted - resized) / 2);
  }
  return plan;
}

struct Size {
  int64_t height, width;
};

/// The longer side is rounded down, as in torchvision.
Size ResizedSize(const Image& image, const PreprocessSpec& spec) {
  const int64_t height = image.height, width = image.width, shorter = spec.resize_shorter;
  switch (spec.resize) {
    case ResizeMode::kNone:
      break;
    case ResizeMode::kExact:
      return {spec.resize_height, spec.resize_width};
    case ResizeMode::kShorter:
      return width <= height ? Size{shorter * height / width, shorter}
                             : Size{shorter, shorter * width / height};
  }
  return {height, width};
}

ObjectResult<void> CheckFits(const Image& image, const Size& resized, const PreprocessSpec& spec) {
  const bool equal = resized.height == spec.height && resized.width == spec.width;
  const bool covers = resized.height >= spec.height && resized.width >= spec.width;
  // A resize that leaves less than the crop is the model's own wish, and padded; a picture that
  // comes too small is not.
  if (equal || (spec.crop_center && (covers || spec.resize != ResizeMode::kNone))) return {};
  return tl::unexpected(
      ObjectError{ObjectErrorCode::kModelError,
                  fmt::format("a picture of {}×{} does not become the model's {}×{}: {}",
                              image.width, image.height, spec.width, spec.height,
                              spec.resize == ResizeMode::kNone
                                  ? "its preprocessing has no resize"
                                  : "its preprocessing resizes but does not crop")});
}

/// Luma of ITU-R 601 in 16-bit fixed point: Pillow's "L".
Image ToGrey(const Image& rgb) {
  Image grey{.height = rgb.height, .width = rgb.width, .channels = 1, .pixels = {}};
  grey.pixels.resize(rgb.pixels.size() / 3);
  const uint8_t* from = rgb.pixels.data();
  for (uint8_t& level : grey.pixels) {
    level = static_cast<uint8_t>(
        (from[0] * 19'595u + from[1] * 38'470u + from[2] * 7'471u + 0x8000u) >> 16);
    from += 3;
  }
  return grey;
}

/// (level − mean) / std for each of the 256 levels: exact, and cheaper than a division per sample.
using LevelTable = std::array<float, 256>;

LevelTable MakeLevelTable(float mean, float deviation) {
  LevelTable table;
  for (size_t level = 0; level < table.size(); ++level)
    table[level] = (static_cast<float>(level) - mean) / deviation;
  return table;
}

/// Writes one channel of the input: `image`'s plane, and zero-level padding around it.
void WriteChannel(const PlanarImage& image, int plane, const LevelTable& table, int pad_top,
                  int pad_left, const PreprocessSpec& spec, float* to, ptrdiff_t step) {
  const ptrdiff_t row_step = step * spec.width;
  if (image.height < spec.height || image.width < spec.width)
    for (ptrdiff_t i = 0; i < ptrdiff_t{spec.height} * spec.width; ++i) to[i * step] = table[0];
  to += pad_top * row_step + pad_left * step;
  for (int y = 0; y < image.height; ++y, to += row_step) {
    const uint8_t* row = image.Row(plane, y);
    for (int x = 0; x < image.width; ++x) to[x * step] = table[row[x]];
  }
}

}  // namespace

ObjectResult<void> Preprocess(const Image& image, const PreprocessSpec& spec,
                              std::span<float> input) {
  const int channels = spec.channel_count();
  const size_t plane_size = static_cast<size_t>(spec.height) * static_cast<size_t>(spec.width);
  CHECK(input.size() == plane_size * static_cast<size_t>(channels));
  CHECK(spec.mean.empty() || spec.mean.size() == static_cast<size_t>(channels));
  CHECK(spec.std.empty() || spec.std.size() == static_cast<size_t>(channels));
  const Size resized = ResizedSize(image, spec);
  if (auto fits = CheckFits(image, resized, spec); !fits) return fits;

  const AxisPlan columns = PlanAxis(image.width, resized.width, spec.width);
  const AxisPlan rows = PlanAxis(image.height, resized.height, spec.height);
  std::optional<Image> grey;
  if (spec.channels == ChannelOrder::kGray && image.channels == 3) grey = ToGrey(image);
  const PlanarImage window =
      ResizeWindow(grey ? *grey : image, columns.window, rows.window, spec.filter);
  const bool planar = spec.layout == TensorLayout::kNchw;
  for (int c = 0; c < channels; ++c) {
    const int plane = window.channels == 1 ? 0 : spec.channels == ChannelOrder::kBgr ? 2 - c : c;
    const auto index = static_cast<size_t>(c);
    const LevelTable table = MakeLevelTable(spec.mean.empty() ? 0.0F : spec.mean[index],
                                            spec.std.empty() ? 1.0F : spec.std[index]);
    WriteChannel(window, plane, table, rows.pad_before, columns.pad_before, spec,
                 input.data() + (planar ? index * plane_size : index), planar ? 1 : channels);
  }
  return {};
}

}  // namespace trawl::worker
