#pragma once
// What decoding a picture will take, told from its header alone, so that it can be reserved before.

#include <cstddef>
#include <span>

#include "worker/image/image.h"

namespace trawl::worker {

/// Bytes, about, at full size: pixels, the copy that turns them upright, a progressive JPEG's
/// coefficients. 0 for what will be refused before it has memory: no picture, a cut header, a size
/// over the limits. Reads the containers' own fields and calls no library.
size_t DecodingBytes(std::span<const std::byte> bytes, const ImageLimits& limits);

}  // namespace trawl::worker
