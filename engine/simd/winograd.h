#pragma once
// The transforms of Winograd's convolution F(4×4, 3×3), and of F(3×3, 3×3), F(4×3) and F(3×4) as
// parts of it. The sums between them are simd::ConvMicrokernels::blocked's.
//
// An output tile of m pixels in a row is interpolated from products at m + 2 points: 0, 1, -1, 2,
// -2 and infinity for m = 4; without -2 for m = 3. What belongs to a point does not depend on m
// here, so tiles of both sizes share transformed weights. (Lavin and Gray, "Fast Algorithms for
// Convolutional Neural Networks", 2015; the matrices follow from the points as in Cook and Toom.)

#include <cstddef>

#include "engine/simd/epilogue.h"

namespace trawl::engine::simd {

/// Points in a row, and points of a tile of 4 × 4: rows by columns.
inline constexpr int kWinogradPoints = 6;
inline constexpr int kWinogradProducts = kWinogradPoints * kWinogradPoints;
/// The one that tiles of 3 have not.
inline constexpr int kWinogradFourOnly = 4;

/// One block of channels of one tile's input. Pixels are [kBlock] floats.
struct WinogradInput {
  /// What the tile's rows see, tile height + 2 of them; each row as if the image had columns
  /// everywhere.
  const float* rows[kWinogradPoints] = {};
  /// Columns inside the image, of width + 2; the others count as zero and are not read.
  int first_column = 0, last_column = kWinogradPoints;
  float* points = nullptr;     // of the tile
  ptrdiff_t point_stride = 0;  // floats from a point to the next
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

struct WinogradMicrokernels {
  /// [height == 4][width == 4].
  void (*input[2][2])(const WinogradInput& tile) = {};
  /// The epilogue has no scale.
  void (*output[2][2])(const WinogradOutput& tile, const Epilogue& epilogue) = {};
  /// One input channel's weights for a block of output channels: taps[9][kBlock] to
  /// points[kWinogradProducts][kBlock], 64-byte aligned.
  void (*weights)(const float* taps, float* points, ptrdiff_t point_stride) = nullptr;
};

}  // namespace trawl::engine::simd
