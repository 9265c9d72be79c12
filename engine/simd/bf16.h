#pragma once
// Products of numbers rounded to bf16, the upper half of f32, summed in f32: pointwise convolutions
// and fully connected layers at twice the multiply-adds that f32 has. For AVX-512 BF16, whose
// instruction takes denormal numbers, and what would become such, for 0.

#include <cstddef>
#include <cstdint>

#include "engine/simd/epilogue.h"

namespace trawl::engine::simd {

/// Numbers that one product sums: neighbouring channels.
inline constexpr int kBf16Pair = 2;

/// A run of output pixels of a panel of output channels. x is [blocks][…][kBlock]; pixel p and
/// channel c see x[c / kBlock · block_stride + p · kBlock + c % kBlock].
struct Bf16Run {
  const uint16_t* x = nullptr;  // 4-byte aligned
  ptrdiff_t channels = 0;       // filled up to pairs, with any finite number
  ptrdiff_t block_stride = 0;
  const uint16_t* weights = nullptr;  // [⌈channels / 2⌉][panel][kBf16Pair], 64-byte aligned
  float* y = nullptr;                 // [blocks][…][kBlock], 64-byte aligned
  ptrdiff_t y_block_stride = 0;
  ptrdiff_t pixels = 0;
  int blocks = 0;  // of output channels: the panel; 1 … max_blocks
};

struct Bf16Microkernels {
  int max_blocks = 0;
  void (*pointwise)(const Bf16Run& run, const Epilogue& epilogue) = nullptr;
  /// y[p · kBlock + c] = x[p · pixel_step + c], rounded to the nearest, ties to even; 0 from
  /// `channels` (at most kBlock) on.
  void (*round)(const float* x, ptrdiff_t pixel_step, ptrdiff_t pixels, ptrdiff_t channels,
                uint16_t* y) = nullptr;
};

}  // namespace trawl::engine::simd
