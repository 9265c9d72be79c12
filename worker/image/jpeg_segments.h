#pragma once
// What can be learned of a JPEG from its markers alone, in one cheap walk before a decoder
// allocates anything.

#include <cstdint>
#include <optional>

#include "worker/image/byte_reader.h"

namespace trawl::worker {

struct JpegFrame {
  uint32_t width = 0, height = 0;
  bool progressive = false;
};

struct JpegSegments {
  int scans = 0;  // SOS markers of the first picture
  std::optional<JpegFrame> frame;
  Bytes exif;  // the first EXIF segment, "Exif\0\0" and all; empty when there is none
};

/// `bytes` begin with SOI. Stops at EOI (a second picture may follow it) or where the bytes end.
JpegSegments WalkJpeg(Bytes bytes);

}  // namespace trawl::worker
