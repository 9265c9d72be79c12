// WebP (still, lossy and lossless), through libwebp. libwebp reports nothing by callbacks and keeps
// to its buffers.

#include <fmt/format.h>
#include <webp/decode.h>

#include "worker/image/decoders.h"
#include "worker/image/exif.h"

namespace trawl::worker {
namespace {

constexpr size_t kRiffHeaderSize = 12;  // "RIFF", size, "WEBP"

/// The EXIF chunk, which stands after the pixels; empty when there is none.
Bytes FindExif(Bytes bytes) {
  ByteReader reader(bytes.subspan(kRiffHeaderSize), /*big_endian=*/false);
  Bytes type, data;
  uint32_t length = 0;
  while (reader.Take(4, type) && reader.U32(length) && reader.Take(length, data)) {
    if (StartsWith(type, "EXIF")) return data;
    reader.Skip(length % 2);  // chunks are padded to even sizes
  }
  return {};
}

tl::unexpected<ObjectError> Failure(VP8StatusCode status) {
  const auto refuse = [](ObjectErrorCode code, const char* message) {
    return tl::unexpected(ObjectError{code, fmt::format("decoding WebP: {}", message)});
  };
  switch (status) {
    case VP8_STATUS_NOT_ENOUGH_DATA:
      return refuse(ObjectErrorCode::kTruncated, "the file ends early");
    case VP8_STATUS_UNSUPPORTED_FEATURE:
      return refuse(ObjectErrorCode::kUnsupportedFormat, "a feature that libwebp does not know");
    case VP8_STATUS_OUT_OF_MEMORY:
      return refuse(ObjectErrorCode::kInternal, "out of memory");
    default:
      // Also VP8_STATUS_INVALID_PARAM: the container's size and its frame's differ, so that ours
      // has no room.
      return refuse(ObjectErrorCode::kCorruptImage, "damaged data");
  }
}

/// libwebp itself is content with a container that promises more than it holds, if the pixels come
/// first.
bool ContainerIsCut(Bytes bytes) {
  ByteReader reader(bytes, /*big_endian=*/false);
  uint32_t size = 0;
  return reader.Skip(4) && reader.U32(size) && size > reader.remaining();
}

/// libwebp takes a frame without a chunk around it, too; but no writer makes such files, and what
/// tells a picture's size in advance (footprint.h) would have to know of them.
bool BeginsWithChunk(Bytes bytes) {
  const Bytes chunk = bytes.subspan(kRiffHeaderSize);
  return StartsWith(chunk, "VP8 ") || StartsWith(chunk, "VP8L") || StartsWith(chunk, "VP8X");
}

}  // namespace

ObjectResult<DecodedImage> DecodeWebp(Bytes bytes, const ImageLimits& limits) {
  const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
  WebPBitstreamFeatures features;
  if (const auto status = WebPGetFeatures(data, bytes.size(), &features); status != VP8_STATUS_OK)
    return Failure(status);
  if (!BeginsWithChunk(bytes)) return Failure(VP8_STATUS_BITSTREAM_ERROR);
  if (features.has_animation)
    return tl::unexpected(
        ObjectError{ObjectErrorCode::kUnsupportedFormat, "animated WebP; still ones are decoded"});
  if (auto size = CheckSize(features.width, features.height, limits); !size)
    return tl::unexpected(size.error());
  if (ContainerIsCut(bytes)) return Failure(VP8_STATUS_NOT_ENOUGH_DATA);

  WebPDecoderConfig config;
  if (!WebPInitDecoderConfig(&config))
    return tl::unexpected(ObjectError{ObjectErrorCode::kInternal, "libwebp is of another version"});
  DecodedImage decoded;
  decoded.image = AllocateImage(features.width, features.height, 3);
  // Alpha is left out: colours stay as stored, not blended with anything.
  config.output.colorspace = MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA = {.rgba = decoded.image.pixels.data(),
                          .stride = features.width * 3,
                          .size = decoded.image.pixels.size()};
  const auto status = WebPDecode(data, bytes.size(), &config);
  WebPFreeDecBuffer(&config.output);
  if (status != VP8_STATUS_OK) return Failure(status);
  decoded.orientation = ExifOrientation(FindExif(bytes));
  return decoded;
}

}  // namespace trawl::worker
