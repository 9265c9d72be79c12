#pragma once
// What a convolution does with its sums before it stores them.

#include <cstddef>

namespace trawl::engine::simd {

/// y = bounded((sum + bias + residual) · scale). Addresses are those of the first channel and
/// pixel; nullptr: there is none.
struct Epilogue {
  const float* bias = nullptr;      // [channels], filled up to whole blocks
  const float* scale = nullptr;     // likewise
  const float* residual = nullptr;  // as the output, but for the stride
  ptrdiff_t residual_block_stride = 0;
  bool bounded = false;
  float low = 0, high = 0;  // infinite where there is none
};

}  // namespace trawl::engine::simd
