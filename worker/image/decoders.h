#pragma once
// What the three decoders share: their answer, and the limits that each checks once its header is
// read. Internal to image/.

#include "worker/image/byte_reader.h"
#include "worker/image/image.h"

namespace trawl::worker {

/// Pixels as stored, and how to turn them upright (EXIF, 1 to 8).
struct DecodedImage {
  Image image;
  int orientation = 1;
};

/// Each takes bytes that begin with its format's magic. Errors: see DecodeImage. `spec`: what the
/// picture is decoded for, of which no more than that need be given; null: all of it.
ObjectResult<DecodedImage> DecodeJpeg(Bytes bytes, const ImageLimits& limits,
                                      const engine::PreprocessSpec* spec);
ObjectResult<DecodedImage> DecodePng(Bytes bytes, const ImageLimits& limits);
ObjectResult<DecodedImage> DecodeWebp(Bytes bytes, const ImageLimits& limits);

/// too_large when a picture of width × height is over the limits. Call before pixels are allocated.
ObjectResult<void> CheckSize(int64_t width, int64_t height, const ImageLimits& limits);

/// An image of this size, not written yet. Sizes have passed CheckSize.
Image AllocateImage(int64_t width, int64_t height, int channels);

}  // namespace trawl::worker
