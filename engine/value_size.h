#pragma once
// Sizes of values as they lie in memory.

#include <cstdint>

#include "engine/blocked.h"
#include "engine/graph.h"
#include "engine/interleaved.h"
#include "engine/ops/dims.h"

namespace trawl::engine {

/// Blocked and interleaved values are filled up.
inline size_t ValueBytes(const Value& value, int64_t batch) {
  size_t bytes = ByteSize(value.dtype);
  if (value.layout != Layout::kPlain) {
    const int64_t images = value.shape->at(0);
    bytes *= static_cast<size_t>(IsBatch(images) ? -images * batch : images);
    return bytes * static_cast<size_t>(value.layout == Layout::kBlocked
                                           ? BlockedImageSize(*value.shape)
                                           : InterleavedImageSize(*value.shape));
  }
  for (const int64_t dim : *value.shape)
    bytes *= static_cast<size_t>(IsBatch(dim) ? -dim * batch : dim);
  return bytes;
}

}  // namespace trawl::engine
