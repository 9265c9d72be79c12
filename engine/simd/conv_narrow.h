#pragma once
// The first convolution of small networks, which makes few channels of a plain image.

#include <cstddef>

#include "engine/simd/conv.h"

namespace trawl::engine::simd {

/// Channels of a panel, at most: half a block.
inline constexpr int kNarrow = 8;

struct NarrowConvMicrokernels {
  /// Pixels that share a register of kNarrow channels each, their lanes in turn.
  int pixels = 1;
  /// As ConvMicrokernels::planar for one block of kNarrow channels and less: the block's others
  /// become the epilogue of 0. Weights are [tap_count][kNarrow][pixels], each repeated. Up to
  /// pixels - 1 floats behind those of the last pixel are read.
  void (*run)(const ConvRun& run, const Epilogue& epilogue) = nullptr;
  /// y[i] = x[2 · i] for i < count: what the columns of a strip are gathered by where the stride is
  /// 2. Reads nothing behind x[2 · (count - 1)].
  void (*every_second)(const float* x, ptrdiff_t count, float* y) = nullptr;
};

}  // namespace trawl::engine::simd
