#pragma once
// Which decoder the first bytes ask for. Names and content types are not looked at: a bucket's are
// often wrong.

#include "config/object_error.h"
#include "worker/image/byte_reader.h"

namespace trawl::worker {

enum class ImageFormat { kJpeg, kPng, kWebp };

/// Errors: unsupported_format for the image formats that are recognised but not decoded;
/// not_an_image for the rest.
ObjectResult<ImageFormat> SniffFormat(Bytes bytes);

}  // namespace trawl::worker
