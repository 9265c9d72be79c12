// Preprocess: from a decoded picture to the levels that the model sees.

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

/// Where a channel's levels go: its first one, and from one column to the next.
struct ChannelPlace {
  uint8_t* to = nullptr;
  ptrdiff_t step = 1;  // where channels are planes
};

/// Writes one channel: `image`'s byte `byte` of each pixel, and black around it.
void WriteChannel(const ResizedImage& image, int byte, int pad_top, int pad_left,
                  const PreprocessSpec& spec, ChannelPlace place) {
  if (image.height < spec.height || image.width < spec.width)
    for (ptrdiff_t i = 0; i < ptrdiff_t{spec.height} * spec.width; ++i)
      place.to[i * place.step] = 0;
  const ptrdiff_t row_step = place.step * spec.width;
  uint8_t* to = place.to + pad_top * row_step + pad_left * place.step;
  for (int y = 0; y < image.height; ++y, to += row_step) {
    const uint8_t* from = image.Row(y) + byte;
    // The usual case by itself: constant steps are what vectorises.
    if (place.step == 1 && image.pixel_bytes() == 4) {
      for (int x = 0; x < image.width; ++x) to[x] = from[ptrdiff_t{x} * 4];
    } else {
      for (int x = 0; x < image.width; ++x) to[x * place.step] = from[x * image.pixel_bytes()];
    }
  }
}

}  // namespace

ObjectResult<void> Preprocess(const Image& image, const PreprocessSpec& spec,
                              std::span<uint8_t> levels) {
  const int channels = spec.channel_count();
  const size_t plane_size = static_cast<size_t>(spec.height) * static_cast<size_t>(spec.width);
  CHECK(levels.size() == plane_size * static_cast<size_t>(channels));
  const Size size{image.full_height(), image.full_width()};
  if (auto fits = CheckFits(size, spec); !fits) return fits;
  const AxisPlan columns = ColumnsOf(size, spec), rows = RowsOf(size, spec);
  std::optional<Image> grey;
  if (spec.channels == ChannelOrder::kGray && image.channels == 3) grey = ToGrey(image);
  const ResizedImage window =
      ResizeWindow(grey ? *grey : image, columns.window, rows.window, spec.filter);
  const bool planar = spec.layout == TensorLayout::kNchw;
  for (int c = 0; c < channels; ++c) {
    const int byte = window.channels == 1 ? 0 : spec.channels == ChannelOrder::kBgr ? 2 - c : c;
    const auto index = static_cast<size_t>(c);
    WriteChannel(window, byte, rows.pad_before, columns.pad_before, spec,
                 {.to = levels.data() + (planar ? index * plane_size : index),
                  .step = planar ? 1 : channels});
  }
  return {};
}

}  // namespace trawl::worker
