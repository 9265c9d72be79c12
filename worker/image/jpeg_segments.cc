#include "worker/image/jpeg_segments.h"

#include <cstring>

namespace trawl::worker {
namespace {

constexpr int kNone = -1, kEoi = 0xD9, kSos = 0xDA, kApp1 = 0xE1;

/// Stuffed zeros, fill bytes, restart markers and TEM carry no segment and mark no end.
bool HasSegment(int code) {
  return code != 0x00 && code != 0x01 && code != 0xFF && !(code >= 0xD0 && code <= 0xD8);
}

/// A frame header, of whichever coding: C4, C8 and CC among their codes are tables.
bool IsFrame(int code) {
  return code >= 0xC0 && code <= 0xCF && code != 0xC4 && code != 0xC8 && code != 0xCC;
}

/// None when it is cut.
std::optional<JpegFrame> FrameIn(int code, Bytes payload) {
  ByteReader reader(payload);
  JpegFrame frame{.progressive = code % 4 == 2};
  if (!reader.Skip(1) || !reader.U16(frame.height) || !reader.U16(frame.width)) return std::nullopt;
  return frame;
}

/// The next marker that matters, from `at` on, over whatever lies between (a scan's entropy-coded
/// data, or rubbish, which libjpeg skips too). `at` is left behind the marker.
int NextMarker(Bytes bytes, size_t& at) {
  while (at < bytes.size()) {
    const void* found = std::memchr(bytes.data() + at, 0xFF, bytes.size() - at);
    if (found == nullptr) break;
    at = static_cast<size_t>(static_cast<const std::byte*>(found) - bytes.data()) + 1;
    if (at == bytes.size()) break;
    const int code = std::to_integer<int>(bytes[at]);
    if (!HasSegment(code)) continue;  // a fill byte may itself begin the marker: `at` stays on it
    ++at;
    return code;
  }
  at = bytes.size();
  return kNone;
}

}  // namespace

JpegSegments WalkJpeg(Bytes bytes) {
  JpegSegments segments;
  size_t at = 2;
  for (int code = NextMarker(bytes, at); code != kNone && code != kEoi;
       code = NextMarker(bytes, at)) {
    segments.scans += code == kSos;
    ByteReader reader(bytes.subspan(at));
    uint32_t length = 0;  // counts itself
    Bytes payload;
    // A length below 2 is nonsense; libjpeg goes on behind it where the segment is none that it
    // needs, so what follows counts.
    if (!reader.U16(length) || (length > 2 && !reader.Take(length - 2, payload))) break;
    if (IsFrame(code) && !segments.frame) segments.frame = FrameIn(code, payload);
    if (code == kApp1 && segments.exif.empty() && StartsWith(payload, "Exif\0\0"))
      segments.exif = payload;
    at += reader.position();
  }
  return segments;
}

}  // namespace trawl::worker
