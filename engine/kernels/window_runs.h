#pragma once
// Two-dimensional windows over one block of channels, as runs of pixels that see the same taps: the
// loop of the blocked depthwise and pooling kernels. Pixels at an edge of the plane see fewer taps,
// so nothing is padded and no tap is tested.

#include <algorithm>
#include <vector>

#include "engine/ops/window.h"
#include "engine/simd/block.h"
#include "engine/simd/window.h"

namespace trawl::engine {

/// Taps that fall on the input, for one output position of one dimension.
struct TapRange {
  int64_t first = 0, count = 0;
  bool operator==(const TapRange&) const = default;
};

inline TapRange TapsInside(const Window& w, size_t d, int64_t position) {
  const int64_t begin = position * w.stride[d] - w.pad_begin[d];
  const int64_t step = w.dilation[d];
  const int64_t first = begin >= 0 ? 0 : std::min(w.kernel[d], (-begin + step - 1) / step);
  const int64_t room = w.input[d] - begin;
  const int64_t last = room <= 0 ? 0 : std::min(w.kernel[d], (room + step - 1) / step);
  return {first, std::max<int64_t>(0, last - first)};
}

class WindowRuns {
 public:
  /// `window` is planar (row_window.h).
  explicit WindowRuns(const Window& window) : window_(window) {
    for (int64_t i = 0; i < window.output[2]; ++i) {
      const TapRange taps = TapsInside(window, 2, i);
      if (columns_.empty() || !(columns_.back().taps == taps)) columns_.push_back({i, 0, taps});
      ++columns_.back().pixels;
    }
  }

  const Window& window() const { return window_; }

  /// Calls `body(run, rows, columns, pixel)` for the runs of output row `row`: `x` and `y` are a
  /// block's planes, `rows` and `columns` the taps that the run sees, `pixel` its first.
  template <class Body>
  void ForEach(const float* x, float* y, int64_t row, Body body) const {
    constexpr int64_t kBlock = simd::kBlock;
    const Window& w = window_;
    const TapRange rows = TapsInside(w, 1, row);
    for (const Column& column : columns_) {
      const int64_t h = row * w.stride[1] - w.pad_begin[1] + rows.first * w.dilation[1];
      const int64_t v =
          column.first * w.stride[2] - w.pad_begin[2] + column.taps.first * w.dilation[2];
      const bool empty = rows.count == 0 || column.taps.count == 0;
      body(simd::WindowRun{.x = empty ? x : x + (h * w.input[2] + v) * kBlock,
                           .y = y + (row * w.output[2] + column.first) * kBlock,
                           .pixels = column.pixels,
                           .rows = rows.count,
                           .columns = column.taps.count,
                           .row_step = w.dilation[1] * w.input[2] * kBlock,
                           .column_step = w.dilation[2] * kBlock,
                           .pixel_step = w.stride[2] * kBlock},
           rows, column.taps, column.first);
    }
  }

 private:
  struct Column {
    int64_t first = 0, pixels = 0;
    TapRange taps;
  };
  Window window_;
  std::vector<Column> columns_;
};

}  // namespace trawl::engine
