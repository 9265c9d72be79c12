#pragma once
// The transforms of Winograd's convolutions of 3 × 3 kernels: F(4×4, 3×3), and of F(3×3, 3×3),
// F(4×3) and F(3×4) as parts of it; F(2×2, 3×3) by itself; and the same but the last for stride 2.
// The sums between them are
// simd::ConvMicrokernels::blocked's.
//
// An output tile of m pixels in a row is interpolated from products at m + 2 points: 0, 1, -1, 2,
// -2 and infinity for m = 4; without -2 for m = 3 and without 2 for m = 2. What belongs to a point
// does not depend on m here, so tiles of all sizes share transformed weights, and those of 2 × 2
// read 16 of 36 points' only. (Lavin and Gray, "Fast Algorithms for
// Convolutional Neural Networks", 2015; the matrices follow from the points as in Cook and Toom.)
//
// A row of stride 2 is the sum of two of stride 1: of the even pixels with the outer two weights,
// F(m, 2), at the points 0, 1, -1, 2 and infinity, without 2 for m = 3; and of the odd pixels with
// the middle weight, F(m, 1), at the same points without 2. Both are summed at the points. In two
// dimensions that makes four phases: even and odd rows by even and odd columns.

#include <cstddef>

#include "engine/simd/epilogue.h"

namespace trawl::engine::simd {

/// One dimension of the scheme for a stride of 1 or 2. Always inlined: see engine/simd/vector.h.
struct WinogradScheme {
  int stride = 1;

  [[gnu::always_inline]] constexpr int points() const { return stride == 1 ? 6 : 5; }
  /// The point that tiles of 3, and odd pixels, have not.
  [[gnu::always_inline]] constexpr int four_only() const { return stride == 1 ? 4 : 3; }
  /// Of stride 1: whether tiles of 2 have the point, too.
  [[gnu::always_inline]] static constexpr bool InTiles2(int point) {
    return point < 3 || point == 5;
  }
  /// Pixels that a tile of `size` sees.
  [[gnu::always_inline]] constexpr int pixels(int size) const { return stride * (size - 1) + 3; }
  /// Products of a tile of `size`, of even and then of odd pixels; 2 is for stride 1.
  [[gnu::always_inline]] constexpr int products(int size) const {
    return stride == 1 ? size + 2 : size + 5;
  }

  struct Product {
    int point = 0, odd = 0;
  };
  [[gnu::always_inline]] constexpr Product product(int size, int i) const {
    const int evens = stride == 1 ? size + 2 : size + 1, odd = i >= evens;
    const int point = odd ? i - evens : i;
    if (size == 2) return {point == 3 ? 5 : point, 0};
    const bool skips = odd || size == 3;
    return {skips && point >= four_only() ? point + 1 : point, odd};
  }
};

inline constexpr int kMaxWinogradPixels = 9;
inline constexpr int kMaxWinogradProducts = 81;

/// One block of channels of one tile's input. Pixels are [kBlock] floats.
struct WinogradInput {
  /// What the tile's rows see; each row as if the image had columns everywhere.
  const float* rows[kMaxWinogradPixels] = {};
  /// Columns inside the image; the others count as zero and are not read.
  int first_column = 0, last_column = kMaxWinogradPixels;
  float* points = nullptr;     // of the tile
  ptrdiff_t point_stride = 0;  // floats from a point to the next, row by row
  ptrdiff_t phase_stride =
      0;  // floats from a phase to the next: phases are 2 · odd row + odd column
};

/// One block of channels of one tile's output.
struct WinogradOutput {
  const float* points = nullptr;
  ptrdiff_t point_stride = 0;
  float* y = nullptr;
  ptrdiff_t row_stride = 0;           // of y
  ptrdiff_t residual_row_stride = 0;  // of Epilogue::residual
  int rows = 0, columns = 0;          // that are inside the image
};

/// Of one stride.
struct WinogradMicrokernels {
  /// [height - 2][width - 2]. Tiles of 2 are square, and of stride 1.
  void (*input[3][3])(const WinogradInput& tile) = {};
  /// The epilogue has no scale.
  void (*output[3][3])(const WinogradOutput& tile, const Epilogue& epilogue) = {};
  /// One input channel's weights for a block of output channels: from taps[9][kBlock] to the
  /// products of a tile of 4 × 4, [rows][columns][kBlock], both 64-byte aligned.
  void (*weights)(const float* taps, float* products) = nullptr;
};

}  // namespace trawl::engine::simd
