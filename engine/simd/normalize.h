#pragma once
// Layer normalisation: y = (x - mean) / sqrt(variance + epsilon) · scale + shift, with the mean and
// the variance of the numbers that are normalised together.

#include <cstddef>

namespace trawl::engine::simd {

/// What each of the numbers is scaled and shifted by.
struct Normalization {
  const float* scale = nullptr;
  const float* shift = nullptr;
  float epsilon = 0;
};

/// y may be x.
struct NormalizeMicrokernels {
  /// `count` >= 1 neighbouring numbers; nothing need be aligned.
  void (*row)(const Normalization& to, const float* x, float* y, ptrdiff_t count) = nullptr;
  /// The channels of each of `pixels` pixels that follow each other in blocks of channels:
  /// addresses are 64-byte aligned, `block_stride` is in floats, scale and shift are filled up with
  /// zeros to whole blocks. Channels from `channels` on become 0.
  void (*channels)(const Normalization& to, const float* x, float* y, ptrdiff_t block_stride,
                   ptrdiff_t channels, ptrdiff_t pixels) = nullptr;
};

}  // namespace trawl::engine::simd
