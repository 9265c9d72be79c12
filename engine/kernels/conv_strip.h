#pragma once
// ConvStrip: what some rows of a convolution's output read, copied so that every tap sees its
// pixels one behind the other, from row to row, with zeros for padding. The microkernels then need
// to know nothing of strides, pads, dilations and edges, and their tiles do not end where rows end.

#include <array>
#include <vector>

#include "engine/ops/window.h"

namespace trawl::engine {

/// Of one image: [blocks][kernel columns][stored rows][output width][kBlock]. There is one copy of
/// the columns for each kernel column, since these see different ones; rows are shared, sorted by
/// their remainder of the stride.
class ConvStrip {
 public:
  ConvStrip() = default;
  /// For up to `rows` output rows.
  ConvStrip(const Window& window, int64_t rows);

  /// Offsets of the taps for simd::ConvRun, row by row of the kernel.
  const std::vector<ptrdiff_t>& taps() const { return taps_; }
  /// Floats of one block.
  int64_t block_stride() const { return block_stride_; }

  /// Fills the strip of one block for output rows [first, first + rows) from x: [H][W][kBlock].
  void Fill(const float* x, int64_t first, int64_t rows, float* strip) const;

 private:
  /// Stored rows that see input rows of one remainder of the stride.
  struct Phase {
    int64_t remainder = 0;
    int64_t extra = 0;  // rows beyond the output's
    int64_t start = 0;  // the first stored row
  };

  void FillRow(const float* row, int64_t column, float* to) const;

  Window window_;
  std::vector<Phase> phases_;
  std::vector<ptrdiff_t> taps_;
  int64_t column_stride_ = 0;  // floats of one kernel column's copy
  int64_t block_stride_ = 0;
};

}  // namespace trawl::engine
