#pragma once
// Sizes of values in Layout::kBlocked.

#include <cstdint>
#include <span>

#include "engine/simd/block.h"

namespace trawl::engine {

/// Blocks of channels, the last of which may be filled up.
inline int64_t BlockCount(int64_t channels) { return (channels + simd::kBlock - 1) / simd::kBlock; }

/// Floats of one image of a value of shape [N, C, H, W].
inline int64_t BlockedImageSize(std::span<const int64_t> shape) {
  return BlockCount(shape[1]) * simd::kBlock * shape[2] * shape[3];
}

}  // namespace trawl::engine
