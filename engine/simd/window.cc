// Compiled once per instruction set. A tile of neighbouring pixels stays in registers over all
// taps.
#include "engine/simd/window.h"

#include "engine/simd/tables.h"
#include "engine/simd/vector.h"

namespace trawl::engine::simd {
namespace {

/// Pixels of a tile: enough sums to hide an addition's latency, few enough for 16 registers where
/// there are no more.
constexpr int kTile = kWidth == 16 ? 8 : kWidth == 8 ? 6 : 3;

/// What is done with the taps: Start(part) begins a sum of registers, Combine adds a tap to it,
/// Finish makes a result of it. `part` is a register's number within the block, `at` a pixel's
/// offset in y.
struct Depthwise {
  const DepthwiseEpilogue& e;

  [[gnu::always_inline]] Vector Start(int part) const { return Load(e.bias + part * kWidth); }
  [[gnu::always_inline]] void Combine(Vector& sum, Vector x, ptrdiff_t row, ptrdiff_t column,
                                      int part) const {
    sum += x * Load(e.weights + row * e.weights_row + column * kBlock + part * kWidth);
  }
  [[gnu::always_inline]] Vector Finish(Vector sum, ptrdiff_t at, int part) const {
    if (e.residual != nullptr) sum += Load(e.residual + at + part * kWidth);
    const Vector y = sum * Load(e.scale + part * kWidth);
    const Vector low = Broadcast(e.low), high = Broadcast(e.high);
    const Vector above = y < low ? low : y;
    return above > high ? high : above;
  }
};

struct Maximum {
  float floor;

  [[gnu::always_inline]] Vector Start(int) const { return Broadcast(floor); }
  [[gnu::always_inline]] void Combine(Vector& sum, Vector x, ptrdiff_t, ptrdiff_t, int) const {
    sum = Max(sum, x);
  }
  [[gnu::always_inline]] Vector Finish(Vector sum, ptrdiff_t, int) const { return sum; }
};

struct Average {
  float divisor;

  [[gnu::always_inline]] Vector Start(int) const { return Vector{}; }
  [[gnu::always_inline]] void Combine(Vector& sum, Vector x, ptrdiff_t, ptrdiff_t, int) const {
    sum += x;
  }
  [[gnu::always_inline]] Vector Finish(Vector sum, ptrdiff_t, int) const { return sum / divisor; }
};

template <int kPixels, class Operation>
[[gnu::noinline]] void RunTile(const WindowRun& run, ptrdiff_t first, const Operation operation) {
  Vector sums[kPixels][kParts];
#pragma GCC unroll 8
  for (int i = 0; i < kPixels; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < kParts; ++j) sums[i][j] = operation.Start(j);
  }
  const float* x_row = run.x + first * run.pixel_step;
#pragma GCC unroll 1
  for (ptrdiff_t row = 0; row < run.rows; ++row, x_row += run.row_step) {
    const float* x = x_row;
#pragma GCC unroll 1
    for (ptrdiff_t column = 0; column < run.columns; ++column, x += run.column_step) {
#pragma GCC unroll 8
      for (int i = 0; i < kPixels; ++i) {
#pragma GCC unroll 4
        for (int j = 0; j < kParts; ++j) {
          operation.Combine(sums[i][j], Load(x + i * run.pixel_step + j * kWidth), row, column, j);
        }
      }
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kPixels; ++i) {
    const ptrdiff_t at = (first + i) * kBlock;
#pragma GCC unroll 4
    for (int j = 0; j < kParts; ++j) {
      Store(run.y + at + j * kWidth, operation.Finish(sums[i][j], at, j));
    }
  }
}

/// A tile of `count` pixels, 1 to kPixels.
template <int kPixels, class Operation>
void DispatchTile(const WindowRun& run, ptrdiff_t first, ptrdiff_t count,
                  const Operation& operation) {
  if constexpr (kPixels > 1) {
    if (count < kPixels) return DispatchTile<kPixels - 1>(run, first, count, operation);
  }
  RunTile<kPixels>(run, first, operation);
}

template <class Operation>
void RunTiles(const WindowRun& run, const Operation& operation) {
  ptrdiff_t first = 0;
  // Even tiles: small ones wait for their additions.
  for (ptrdiff_t tiles = (run.pixels + kTile - 1) / kTile; tiles > 0; --tiles) {
    const ptrdiff_t count = (run.pixels - first + tiles - 1) / tiles;
    DispatchTile<kTile>(run, first, count, operation);
    first += count;
  }
}

void RunDepthwise(const WindowRun& run, const DepthwiseEpilogue& epilogue) {
  RunTiles(run, Depthwise{epilogue});
}

/// Pixels of a tile of DepthwiseRows.
constexpr int kRowTile = kWidth == 16 ? 14 : kTile;
alignas(64) constexpr float kZeros[kBlock] = {};

/// A row's windows: `count` rows of taps, the first of which reads `x` and `weights`.
struct RowTaps {
  const float* x;  // the plane's row
  const float* weights;
  ptrdiff_t count;
};

template <int kPixels, int kColumns, int kStride>
[[gnu::noinline]] void DepthwiseTile(const DepthwiseRows& r, const DepthwiseEpilogue& e,
                                     const RowTaps& taps, ptrdiff_t first, ptrdiff_t at) {
  constexpr int kReach = (kPixels - 1) * kStride + kColumns;  // columns that the tile sees
  constexpr int kEdge = kColumns - 1;  // of these, how many at either end may be outside
  Vector sums[kPixels][kParts];
#pragma GCC unroll 14
  for (int i = 0; i < kPixels; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < kParts; ++j) sums[i][j] = Load(e.bias + j * kWidth);
  }
  const ptrdiff_t begin = first * kStride - r.pad_left, width = r.width;
  const float* x = taps.x + begin * kBlock;
  const float* weights = taps.weights;
#pragma GCC unroll 1
  for (ptrdiff_t left = taps.count; left > 0; --left) {
    const auto column = [&](int c) [[gnu::always_inline]] {
      const bool before = c < kEdge && begin + c < 0;
      const bool behind = c >= kReach - kEdge && begin + c >= width;
      return before || behind ? kZeros : x + c * kBlock;
    };
#pragma GCC unroll 5
    for (int k = 0; k < kColumns; ++k) {
      Vector weight[kParts];
#pragma GCC unroll 4
      for (int j = 0; j < kParts; ++j) weight[j] = Load(weights + k * kBlock + j * kWidth);
#pragma GCC unroll 14
      for (int i = 0; i < kPixels; ++i) {
        const float* pixel = column(i * kStride + k);
#pragma GCC unroll 4
        for (int j = 0; j < kParts; ++j) sums[i][j] += Load(pixel + j * kWidth) * weight[j];
      }
    }
    x += width * kBlock;
    weights += e.weights_row;
  }
  const Vector low = Broadcast(e.low), high = Broadcast(e.high);
#pragma GCC unroll 4
  for (int j = 0; j < kParts; ++j) {
    const Vector scale = Load(e.scale + j * kWidth);
#pragma GCC unroll 14
    for (int i = 0; i < kPixels; ++i) {
      const ptrdiff_t to = at + i * kBlock + j * kWidth;
      Vector y = sums[i][j];
      if (e.residual != nullptr) y += Load(e.residual + to);
      y *= scale;
      y = y < low ? low : y;  // a NaN stays
      Store(r.y + to, y > high ? high : y);
    }
  }
}

template <int kPixels, int kColumns, int kStride>
void DispatchDepthwise(ptrdiff_t count, const DepthwiseRows& r, const DepthwiseEpilogue& e,
                       const RowTaps& taps, ptrdiff_t first, ptrdiff_t at) {
  if constexpr (kPixels > 1) {
    if (count < kPixels) {
      return DispatchDepthwise<kPixels - 1, kColumns, kStride>(count, r, e, taps, first, at);
    }
  }
  DepthwiseTile<kPixels, kColumns, kStride>(r, e, taps, first, at);
}

template <int kColumns, int kStride>
void RunRows(const DepthwiseRows& r, const DepthwiseEpilogue& e) {
  const ptrdiff_t tiles = (r.y_width + kRowTile - 1) / kRowTile;
  for (ptrdiff_t row = r.first; row < r.last; ++row) {
    const ptrdiff_t top = row * r.row_stride - r.pad_top, room = r.height - top;
    const ptrdiff_t skipped = top < 0 ? -top : 0;
    const ptrdiff_t end = room < r.kernel_rows ? room : r.kernel_rows;
    const RowTaps taps{r.x + (top + skipped) * r.width * kBlock,
                       e.weights + skipped * e.weights_row, end - skipped};
    ptrdiff_t first = 0;
    for (ptrdiff_t left = tiles; left > 0; --left) {  // even tiles
      const ptrdiff_t count = (r.y_width - first + left - 1) / left;
      DispatchDepthwise<kRowTile, kColumns, kStride>(count, r, e, taps, first,
                                                     (row * r.y_width + first) * kBlock);
      first += count;
    }
  }
}

void RunDepthwiseRows(const DepthwiseRows& rows, const DepthwiseEpilogue& epilogue) {
  if (rows.kernel_columns == 3) {
    (rows.column_stride == 1 ? RunRows<3, 1> : RunRows<3, 2>)(rows, epilogue);
  } else {
    (rows.column_stride == 1 ? RunRows<5, 1> : RunRows<5, 2>)(rows, epilogue);
  }
}

void RunMax(const WindowRun& run, float floor) { RunTiles(run, Maximum{floor}); }

void RunAverage(const WindowRun& run, float divisor) { RunTiles(run, Average{divisor}); }

void Mean(const float* x, ptrdiff_t pixels, float* y) {
  constexpr int kSums = 4;  // in turn, for speed and for smaller rounding errors
  Vector sums[kSums][kParts] = {};
  for (ptrdiff_t p = 0; p < pixels; ++p) {
    for (int j = 0; j < kParts; ++j) sums[p % kSums][j] += Load(x + p * kBlock + j * kWidth);
  }
  const auto count = static_cast<float>(pixels);
  for (int j = 0; j < kParts; ++j) {
    const Vector sum = (sums[0][j] + sums[1][j]) + (sums[2][j] + sums[3][j]);
    Store(y + j * kWidth, sum / count);
  }
}

}  // namespace

namespace TRAWL_ISA {
const WindowMicrokernels kWindow = {.depthwise = RunDepthwise,
                                    .depthwise_rows = RunDepthwiseRows,
                                    .max = RunMax,
                                    .average = RunAverage,
                                    .mean = Mean};
}  // namespace TRAWL_ISA

}  // namespace trawl::engine::simd
