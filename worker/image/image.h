#pragma once
// From bytes to pixels to the model's input. Pure functions, thread-safe, no I/O.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "config/object_error.h"
#include "config/settings.h"
#include "engine/model_package.h"

namespace trawl::worker {

/// 8-bit picture, upright (EXIF orientation applied). `pixels`: [height, width, channels]; channels
/// is 1 (grey) or 3 (RGB).
struct Image {
  int height = 0, width = 0, channels = 3;
  std::vector<uint8_t> pixels;
};

struct ImageLimits {
  int64_t max_side = 16'384;
  int64_t max_pixels = 50'000'000;
  int64_t max_jpeg_scans = 100;

  static ImageLimits From(const Settings& settings);
};

/// JPEG (baseline, progressive, grey, CMYK, YCCK), PNG (every colour type and depth, of 16 bits the
/// high byte), WebP (still). Alpha is dropped, not blended, as by Pillow's convert("RGB"). The
/// header is checked against the limits before pixels are allocated. Errors: not_an_image,
/// unsupported_format, corrupt_image, truncated, too_large, too_many_scans.
ObjectResult<Image> DecodeImage(std::span<const std::byte> bytes, const ImageLimits& limits);

/// Resizes, crops, orders and normalises. A resized picture smaller than the crop is centred on
/// black. `input`: one image of spec.channel_count() × height × width floats in the spec's layout,
/// written in full.
/// Errors: model_error when the picture's size does not fit a spec without resize or without crop.
ObjectResult<void> Preprocess(const Image& image, const engine::PreprocessSpec& spec,
                              std::span<float> input);

}  // namespace trawl::worker
