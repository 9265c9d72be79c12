#pragma once
// Resizing by separable convolution, level for level as Pillow's Image.resize does it, restricted
// to a window of the result: a centre crop costs only what it keeps.

#include <cstdint>
#include <vector>

#include "engine/model_package.h"
#include "worker/image/image.h"
#include "worker/image/resample_rows.h"

namespace trawl::worker {

/// One axis of a resize: `input` pixels become `output`, of which `count` from `first` on are
/// wanted.
struct AxisWindow {
  int64_t input = 0, output = 0, first = 0;
  int count = 0;
};

/// 8-bit pixels, row by row: a grey one is a byte, a coloured one red, green, blue and a 0, so that
/// each lies in one word.
struct ResizedImage {
  int height = 0, width = 0, channels = 3;
  Samples samples;

  static ResizedImage Make(int height, int width, int channels);
  int pixel_bytes() const { return channels == 1 ? 1 : 4; }
  ptrdiff_t stride() const { return ptrdiff_t{width} * pixel_bytes(); }
  uint8_t* Row(int y) { return samples.data() + y * stride(); }
  const uint8_t* Row(int y) const { return samples.data() + y * stride(); }
};

/// The input pixels that a window is made of: [first, end).
struct PixelRange {
  int first, end;
};
PixelRange InputOf(const AxisWindow& axis, engine::ResizeFilter filter);

/// The window `columns` × `rows` of `image` resized. Their `input` is the whole image's size;
/// windows lie within `output`; of the image, at least what InputOf says is there. Time: O(window ×
/// (1 + reduction factor × the filter's width)).
ResizedImage ResizeWindow(const Image& image, const AxisWindow& columns, const AxisWindow& rows,
                          engine::ResizeFilter filter);
/// The same with the inner loops given.
ResizedImage ResizeWindow(const Image& image, const AxisWindow& columns, const AxisWindow& rows,
                          engine::ResizeFilter filter, const RowKernels& kernels);

}  // namespace trawl::worker
