#pragma once
// Sizes of values in Layout::kInterleaved.

#include <cstdint>
#include <span>

namespace trawl::engine {

/// Bytes from one pixel to the next: whole quarters of a register, but for the few channels of an
/// image.
inline int64_t InterleavedStep(int64_t channels) {
  const int64_t unit = channels <= 4 ? 4 : channels <= 8 ? 8 : 16;
  return (channels + unit - 1) / unit * unit;
}

/// Bytes of one image of a value of shape [N, C, H, W].
inline int64_t InterleavedImageSize(std::span<const int64_t> shape) {
  return InterleavedStep(shape[1]) * shape[2] * shape[3];
}

}  // namespace trawl::engine
