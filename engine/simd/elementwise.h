#pragma once
// Arithmetic on blocks of channels, one pixel after the other.

#include <cstddef>

#include "engine/simd/activation.h"

namespace trawl::engine::simd {

/// kSubFrom and kDivInto are b - a and b / a.
enum class BinaryKind { kAdd, kSub, kSubFrom, kMul, kDiv, kDivInto, kMax, kMin };

/// Rounding to the grid of a quantised type, by channel: round(clamp(x / scale, low, high)) times
/// result_scale, ties to even; a NaN falls to `low`. |low|, |high| <= 2^22.
struct GridBlock {
  const float* scale = nullptr;  // [kBlock], as the next
  const float* result_scale = nullptr;
  const float* low = nullptr;
  const float* high = nullptr;
};

/// Addresses are 64-byte aligned; x, a, b and y are [pixels][kBlock] and y may be one of the
/// others.
struct ElementwiseMicrokernels {
  void (*activate)(const Activation& activation, const float* x, float* y,
                   ptrdiff_t pixels) = nullptr;
  void (*exp)(const float* x, float* y, ptrdiff_t pixels) = nullptr;
  /// Of `count` >= 1 neighbouring numbers, which need not be aligned; y may be x.
  void (*softmax)(const float* x, float* y, ptrdiff_t count) = nullptr;
  void (*binary)(BinaryKind kind, const float* a, const float* b, float* y,
                 ptrdiff_t pixels) = nullptr;
  /// b is [kBlock]: the same for all pixels.
  void (*binary_by_channel)(BinaryKind kind, const float* a, const float* b, float* y,
                            ptrdiff_t pixels) = nullptr;
  /// y = x · scale + shift, both [kBlock].
  void (*affine)(const float* x, const float* scale, const float* shift, float* y,
                 ptrdiff_t pixels) = nullptr;
  void (*round_to_grid)(const GridBlock& grid, const float* x, float* y,
                        ptrdiff_t pixels) = nullptr;
};

}  // namespace trawl::engine::simd
