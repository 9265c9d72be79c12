// Preprocess: from a decoded picture to the model's input.

#include <algorithm>
#include <optional>

#include "config/check.h"
#include "worker/image/geometry.h"
#include "worker/image/image.h"
#include "worker/image/resample.h"

namespace trawl::worker {
namespace {

using engine::ChannelOrder;
using engine::PreprocessSpec;
using engine::TensorLayout;

/// Luma of ITU-R 601 in 16-bit fixed point: Pillow's "L".
Image ToGrey(const Image& rgb) {
  Image grey = {.height = rgb.height,
                .width = rgb.width,
                .channels = 1,
                .pixels = {},
                .top = rgb.top,
                .left = rgb.left,
                .whole_height = rgb.whole_height,
                .whole_width = rgb.whole_width};
  grey.pixels.resize(rgb.pixels.size() / 3);
  const uint8_t* from = rgb.pixels.data();
  for (uint8_t& level : grey.pixels) {
    level = static_cast<uint8_t>(
        (from[0] * 19'595u + from[1] * 38'470u + from[2] * 7'471u + 0x8000u) >> 16);
    from += 3;
  }
  return grey;
}

/// One channel of the model's input: how its levels become numbers, and where they go.
struct ChannelPlan {
  float mean = 0, deviation = 1;
  float* to = nullptr;  // the channel's first number
  ptrdiff_t step = 1;   // from one column to the next: 1 where channels are planes
};

/// `from`: a channel's byte of the first pixel.
[[gnu::always_inline]] inline void WriteRow(const uint8_t* from, ptrdiff_t pixel_bytes, int width,
                                            const ChannelPlan& plan, float* to) {
  const auto number = [&](uint8_t level) {
    return (static_cast<float>(level) - plan.mean) / plan.deviation;
  };
  // The usual case by itself: constant steps are what vectorises.
  if (plan.step == 1 && pixel_bytes == 4) {
    for (int x = 0; x < width; ++x) to[x] = number(from[x * 4]);
  } else {
    for (int x = 0; x < width; ++x) to[x * plan.step] = number(from[x * pixel_bytes]);
  }
}

/// Writes one channel of the input: `image`'s byte `byte` of each pixel, and black around it.
[[gnu::always_inline]] inline void WriteRows(const ResizedImage& image, int byte, int pad_top,
                                             int pad_left, const PreprocessSpec& spec,
                                             const ChannelPlan& plan) {
  if (image.height < spec.height || image.width < spec.width)
    for (ptrdiff_t i = 0; i < ptrdiff_t{spec.height} * spec.width; ++i)
      plan.to[i * plan.step] = -plan.mean / plan.deviation;
  const ptrdiff_t row_step = plan.step * spec.width;
  float* to = plan.to + pad_top * row_step + pad_left * plan.step;
  for (int y = 0; y < image.height; ++y, to += row_step)
    WriteRow(image.Row(y) + byte, image.pixel_bytes(), image.width, plan, to);
}

using WriteFunction = void(const ResizedImage&, int, int, int, const PreprocessSpec&,
                           const ChannelPlan&);

void WriteChannelPortable(const ResizedImage& image, int byte, int pad_top, int pad_left,
                          const PreprocessSpec& spec, const ChannelPlan& plan) {
  WriteRows(image, byte, pad_top, pad_left, spec, plan);
}

#ifdef __x86_64__
// The same source, compiled for wider registers.
[[gnu::target("avx2")]] void WriteChannelAvx2(const ResizedImage& image, int byte, int pad_top,
                                              int pad_left, const PreprocessSpec& spec,
                                              const ChannelPlan& plan) {
  WriteRows(image, byte, pad_top, pad_left, spec, plan);
}

WriteFunction* ChooseWriteChannel() {
  return __builtin_cpu_supports("avx2") ? WriteChannelAvx2 : WriteChannelPortable;
}
#else
WriteFunction* ChooseWriteChannel() { return WriteChannelPortable; }
#endif

}  // namespace

ObjectResult<void> Preprocess(const Image& image, const PreprocessSpec& spec,
                              std::span<float> input) {
  const int channels = spec.channel_count();
  const size_t plane_size = static_cast<size_t>(spec.height) * static_cast<size_t>(spec.width);
  CHECK(input.size() == plane_size * static_cast<size_t>(channels));
  CHECK(spec.mean.empty() || spec.mean.size() == static_cast<size_t>(channels));
  CHECK(spec.std.empty() || spec.std.size() == static_cast<size_t>(channels));
  const Size size{image.full_height(), image.full_width()};
  if (auto fits = CheckFits(size, spec); !fits) return fits;
  const AxisPlan columns = ColumnsOf(size, spec), rows = RowsOf(size, spec);
  std::optional<Image> grey;
  if (spec.channels == ChannelOrder::kGray && image.channels == 3) grey = ToGrey(image);
  const ResizedImage window =
      ResizeWindow(grey ? *grey : image, columns.window, rows.window, spec.filter);
  static WriteFunction* const write_channel = ChooseWriteChannel();
  const bool planar = spec.layout == TensorLayout::kNchw;
  for (int c = 0; c < channels; ++c) {
    const int byte = window.channels == 1 ? 0 : spec.channels == ChannelOrder::kBgr ? 2 - c : c;
    const auto index = static_cast<size_t>(c);
    const ChannelPlan plan{.mean = spec.mean.empty() ? 0.0F : spec.mean[index],
                           .deviation = spec.std.empty() ? 1.0F : spec.std[index],
                           .to = input.data() + (planar ? index * plane_size : index),
                           .step = planar ? 1 : channels};
    write_channel(window, byte, rows.pad_before, columns.pad_before, spec, plan);
  }
  return {};
}

}  // namespace trawl::worker
