#pragma once
// Convolutions of narrow groups of channels, several of which lie in one block.

#include <cstddef>

#include "engine/simd/window.h"

namespace trawl::engine::simd {

/// Groups of `width` input and as many output channels: 2, 4 or 8.
///
/// A channel's sum takes products with all channels of its group. Instead of moving those into the
/// lane of the sum for each product, products stay in the lanes of their inputs: sum number r of
/// lane m is a part of channel m ^ r, and the sums come together when they are complete. A group
/// that is wider than a register lies in several, its sources.
struct GroupedConvMicrokernels {
  int register_width = 0;  // floats
  /// The run's windows are on the block of the groups. epilogue.weights:
  /// [rows][columns][sources][sums][kBlock]; lane m of sum r of source s is the weight from channel
  /// Source(m, s) to channel m ^ r.
  void (*run)(const WindowRun& run, ptrdiff_t width, const DepthwiseEpilogue& epilogue) = nullptr;

  int Sums(ptrdiff_t width) const {
    return static_cast<int>(width < register_width ? width : register_width);
  }
  int Sources(ptrdiff_t width) const { return static_cast<int>(width) / Sums(width); }
  /// The channel of the block that a lane of a sum multiplies.
  ptrdiff_t Source(ptrdiff_t lane, ptrdiff_t source, ptrdiff_t width) const {
    if (width <= register_width) return lane;
    return lane / width * width + source * register_width + lane % register_width;
  }
};

}  // namespace trawl::engine::simd
