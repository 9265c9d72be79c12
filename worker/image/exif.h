#pragma once
// Where the camera's top was: the orientation tag of EXIF, found without a library that would parse
// the rest.

#include "worker/image/byte_reader.h"

namespace trawl::worker {

/// `tiff`: an EXIF block from its byte-order mark on, with or without the "Exif\0\0" before it.
/// Returns 1 to 8; 1, upright, also when there is no such tag or the block is malformed: a bad hint
/// must not cost the picture.
int ExifOrientation(Bytes tiff);

}  // namespace trawl::worker
