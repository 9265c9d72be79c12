#pragma once
// Two-dimensional windows, tap by tap over whole output rows: the loop of the depthwise and pooling
// kernels.

#include <algorithm>

#include "engine/ops/window.h"

namespace trawl::engine {

/// True for windows of one or two dimensions.
inline bool IsPlanar(const Window& w) {
  return w.kernel[0] == 1 && w.input[0] == 1 && w.output[0] == 1 && w.stride[0] == 1 &&
         w.pad_begin[0] == 0;
}

/// For output row `oh` calls `body(x_row, first, last, tap)` for each tap inside the plane: output
/// positions [first, last) read x_row[position · stride]. x_row may point before the row; the
/// positions make the reads valid.
template <class Body>
void ForEachTapRow(const Window& w, const float* plane, int64_t oh, Body body) {
  const int64_t width = w.output[2], stride = w.stride[2];
  for (int64_t kh = 0; kh < w.kernel[1]; ++kh) {
    const int64_t h = oh * w.stride[1] - w.pad_begin[1] + kh * w.dilation[1];
    if (h < 0 || h >= w.input[1]) continue;
    for (int64_t kw = 0; kw < w.kernel[2]; ++kw) {
      const int64_t start = kw * w.dilation[2] - w.pad_begin[2];
      const int64_t room = w.input[2] - start;
      const int64_t first = start >= 0 ? 0 : (-start + stride - 1) / stride;
      const int64_t last = std::min(width, room <= 0 ? 0 : (room + stride - 1) / stride);
      if (first < last) body(plane + h * w.input[2] + start, first, last, kh * w.kernel[2] + kw);
    }
  }
}

}  // namespace trawl::engine
