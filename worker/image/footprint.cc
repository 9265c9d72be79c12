#include "worker/image/footprint.h"

#include <algorithm>

#include "worker/image/byte_reader.h"
#include "worker/image/decoders.h"
#include "worker/image/jpeg_segments.h"
#include "worker/image/sniff.h"

namespace trawl::worker {
namespace {

struct Header {
  uint32_t width = 0, height = 0;
  size_t bytes_per_pixel = 0;  // of all that is held at the worst moment
};

constexpr size_t kPixel = 3, kTurned = 3;
constexpr size_t kCoefficients = 3 * 2;  // 16 bits for each sample
constexpr size_t kWebpPlanes = 4;        // lossless: all of it in 32 bits; lossy: less

Header JpegHeader(Bytes bytes) {
  const auto [scans, frame, exif] = WalkJpeg(bytes);
  if (!frame) return {};
  const size_t turned = exif.empty() ? 0 : kTurned;
  return {frame->width, frame->height, kPixel + turned + (frame->progressive ? kCoefficients : 0)};
}

Header PngHeader(Bytes bytes) {
  constexpr size_t kBeforeSize = 16;  // the signature, IHDR's length and type
  ByteReader reader(bytes);
  Header header{.bytes_per_pixel = kPixel + kTurned};
  const bool whole =
      reader.Skip(kBeforeSize) && reader.U32(header.width) && reader.U32(header.height);
  return whole ? header : Header{};
}

/// Three kinds of first chunk hold the size, each in its own way; all of them within 30 bytes.
Header WebpHeader(Bytes bytes) {
  constexpr size_t kFirstChunk = 12, kChunkHeader = 8;
  if (bytes.size() < 30) return {};
  const Bytes chunk = bytes.subspan(kFirstChunk);
  const auto little = [data = chunk.subspan(kChunkHeader)](size_t at, size_t count) {
    uint32_t value = 0;
    for (size_t i = 0; i < count; ++i) value |= std::to_integer<uint32_t>(data[at + i]) << (8 * i);
    return value;
  };
  Header header{.bytes_per_pixel = kPixel + kTurned + kWebpPlanes};
  if (StartsWith(chunk, "VP8X")) {
    header.width = little(4, 3) + 1;
    header.height = little(7, 3) + 1;
  } else if (StartsWith(chunk, "VP8L")) {
    header.width = (little(1, 4) & 0x3FFF) + 1;
    header.height = (little(1, 4) >> 14 & 0x3FFF) + 1;
  } else if (StartsWith(chunk, "VP8 ")) {
    header.width = little(6, 2) & 0x3FFF;
    header.height = little(8, 2) & 0x3FFF;
  }
  return header;
}

Header HeaderOf(Bytes bytes) {
  const auto format = SniffFormat(bytes);
  if (!format) return {};
  switch (*format) {
    case ImageFormat::kJpeg:
      return JpegHeader(bytes);
    case ImageFormat::kPng:
      return PngHeader(bytes);
    case ImageFormat::kWebp:
      return WebpHeader(bytes);
  }
  return {};
}

}  // namespace

size_t DecodingBytes(std::span<const std::byte> bytes, const ImageLimits& limits) {
  const Header header = HeaderOf(bytes);
  if (!CheckSize(header.width, header.height, limits)) return 0;
  return size_t{header.width} * header.height * header.bytes_per_pixel;
}

}  // namespace trawl::worker
