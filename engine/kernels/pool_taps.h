#pragma once
// What an average divides by.

#include "engine/ops/window.h"

namespace trawl::engine {

/// Taps at output `position` of dimension `d` that count: inside the input, or (with pads) inside
/// the padded input.
inline int64_t CountedTaps(const Window& w, size_t d, int64_t position, bool include_pad) {
  const int64_t begin = position * w.stride[d] - w.pad_begin[d];
  const int64_t low = include_pad ? -w.pad_begin[d] : 0;
  const int64_t high = w.input[d] + (include_pad ? w.pad_end[d] : 0);
  int64_t count = 0;
  for (int64_t k = 0; k < w.kernel[d]; ++k) {
    const int64_t at = begin + k * w.dilation[d];
    count += at >= low && at < high ? 1 : 0;
  }
  return count;
}

}  // namespace trawl::engine
