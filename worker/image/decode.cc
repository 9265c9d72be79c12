// DecodeImage and PrepareImage: sniff, decode under limits, turn upright.

#include <fmt/format.h>

#include "worker/image/decoders.h"
#include "worker/image/orient.h"
#include "worker/image/sniff.h"

namespace trawl::worker {
namespace {

ObjectResult<DecodedImage> DecodeAs(ImageFormat format, Bytes bytes, const ImageLimits& limits,
                                    const engine::PreprocessSpec* spec) {
  switch (format) {
    case ImageFormat::kJpeg:
      return DecodeJpeg(bytes, limits, spec);
    case ImageFormat::kPng:
      return DecodePng(bytes, limits);
    case ImageFormat::kWebp:
      return DecodeWebp(bytes, limits);
  }
  return tl::unexpected(ObjectError{ObjectErrorCode::kInternal, "no decoder for the format"});
}

ObjectResult<Image> DecodeFor(Bytes bytes, const ImageLimits& limits,
                              const engine::PreprocessSpec* spec) {
  const auto format = SniffFormat(bytes);
  if (!format) return tl::unexpected(format.error());
  auto decoded = DecodeAs(*format, bytes, limits, spec);
  if (!decoded) return tl::unexpected(std::move(decoded).error());
  return Upright(std::move(decoded->image), decoded->orientation);
}

}  // namespace

ImageLimits ImageLimits::From(const Settings& settings) {
  return {.max_side = settings.max_image_side,
          .max_pixels = settings.max_image_pixels,
          .max_jpeg_scans = settings.max_jpeg_scans,
          .full_size = settings.decode_full_size};
}

ObjectResult<void> CheckSize(int64_t width, int64_t height, const ImageLimits& limits) {
  if (width > limits.max_side || height > limits.max_side)
    return tl::unexpected(ObjectError{
        ObjectErrorCode::kTooLarge, fmt::format("{}×{} pixels; a side may have {} (max-image-side)",
                                                width, height, limits.max_side)});
  // Sides are below 2^31, so the product fits.
  if (width * height > limits.max_pixels)
    return tl::unexpected(
        ObjectError{ObjectErrorCode::kTooLarge,
                    fmt::format("{}×{} pixels; {} are allowed in all (max-image-pixels)", width,
                                height, limits.max_pixels)});
  return {};
}

Image AllocateImage(int64_t width, int64_t height, int channels) {
  Image image;
  image.width = static_cast<int>(width);
  image.height = static_cast<int>(height);
  image.channels = channels;
  image.pixels.resize(static_cast<size_t>(width * height * channels));
  return image;
}

ObjectResult<Image> DecodeImage(std::span<const std::byte> bytes, const ImageLimits& limits) {
  return DecodeFor(bytes, limits, nullptr);
}

ObjectResult<void> PrepareImage(std::span<const std::byte> bytes, const ImageLimits& limits,
                                const engine::PreprocessSpec& spec, std::span<uint8_t> levels) {
  const ObjectResult<Image> image = DecodeFor(bytes, limits, &spec);
  if (!image) return tl::unexpected(image.error());
  return Preprocess(*image, spec, levels);
}

}  // namespace trawl::worker
