#pragma once
// Sums over taps and channels for neighbouring pixels: the inner loop of dense convolutions, and
// the matrix product inside Winograd's.

#include <cstddef>

#include "engine/simd/epilogue.h"

namespace trawl::engine::simd {

/// A run of output pixels of a panel of output channels. Offsets and strides are in floats.
///
/// blocked: x is [blocks][…][kBlock]; pixel p, tap t and channel c see
///   x[c / kBlock · block_stride + taps[t] + p · kBlock + c % kBlock].
///   Weights are [⌈channels / kBlock⌉][tap_count][channels of the block][panel].
/// planar: the same channel by channel, channels being taps of their own: pixel p and tap t see
///   x[taps[t] + p]. Weights are [tap_count][panel]; channels and block_stride mean
///   nothing.
struct ConvRun {
  const float* x = nullptr;
  const ptrdiff_t* taps = nullptr;
  ptrdiff_t tap_count = 0;
  ptrdiff_t channels = 0;
  ptrdiff_t block_stride = 0;
  const float* weights = nullptr;  // 64-byte aligned
  /// As many, which the next run reads: blocked fetches them into the second-level cache while it
  /// computes. nullptr when they are there already, or nobody knows.
  const float* next_weights = nullptr;
  float* y = nullptr;  // [blocks][…][kBlock], 64-byte aligned
  ptrdiff_t y_block_stride = 0;
  ptrdiff_t pixels = 0;
  int blocks = 0;  // of output channels: the panel; 1 … max_blocks
};

struct ConvMicrokernels {
  int max_blocks = 0;
  void (*blocked)(const ConvRun& run, const Epilogue& epilogue) = nullptr;
  void (*planar)(const ConvRun& run, const Epilogue& epilogue) = nullptr;
};

}  // namespace trawl::engine::simd
