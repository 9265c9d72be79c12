#pragma once
// Resizing by separable convolution, level for level as Pillow's Image.resize does it, restricted
// to a window of the result: a centre crop costs only what it keeps.

#include <cstdint>
#include <vector>

#include "engine/model_package.h"
#include "worker/image/image.h"

namespace trawl::worker {

/// One axis of a resize: `input` pixels become `output`, of which `count` from `first` on are
/// wanted.
struct AxisWindow {
  int64_t input = 0, output = 0, first = 0;
  int count = 0;
};

/// 8-bit samples, one plane per channel: [channels, height, width].
struct PlanarImage {
  int height = 0, width = 0, channels = 3;
  std::vector<uint8_t> samples;

  uint8_t* Row(int channel, int y) {
    return samples.data() +
           (static_cast<size_t>(channel) * static_cast<size_t>(height) + static_cast<size_t>(y)) *
               static_cast<size_t>(width);
  }
  const uint8_t* Row(int channel, int y) const {
    return const_cast<PlanarImage*>(this)->Row(channel, y);
  }
};

/// The window `columns` × `rows` of `image` resized. Their `input` is the image's size; windows lie
/// within `output`. Time: O(window × (1 + reduction factor × the filter's width)).
PlanarImage ResizeWindow(const Image& image, const AxisWindow& columns, const AxisWindow& rows,
                         engine::ResizeFilter filter);

}  // namespace trawl::worker
