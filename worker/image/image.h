#pragma once
// From bytes to pixels to the model's input. Pure functions, thread-safe, no I/O.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "config/object_error.h"
#include "config/settings.h"
#include "engine/model_package.h"

namespace trawl::worker {

using Bytes = std::span<const std::byte>;

/// Leaves what is allocated unwritten: every decoder writes each of its pixels, and clearing them
/// first would cost as much again as copying them.
template <class T>
struct UnwrittenAllocator : std::allocator<T> {
  template <class U>
  struct rebind {
    using other = UnwrittenAllocator<U>;
  };
  template <class U>
  void construct(U* at) {
    ::new (static_cast<void*>(at)) U;
  }
  template <class U, class... Args>
  void construct(U* at, Args&&... args) {
    std::construct_at(at, std::forward<Args>(args)...);
  }
};
using Samples = std::vector<uint8_t, UnwrittenAllocator<uint8_t>>;

/// 8-bit picture, upright (EXIF orientation applied). `pixels`: [height, width, channels]; channels
/// is 1 (grey) or 3 (RGB).
struct Image {
  int height = 0, width = 0, channels = 3;
  Samples pixels;
  // Where a decoder kept only a part: its place in the whole, and the whole's size; 0: it is all.
  int top = 0, left = 0, whole_height = 0, whole_width = 0;

  int full_height() const { return whole_height > 0 ? whole_height : height; }
  int full_width() const { return whole_width > 0 ? whole_width : width; }
};

struct ImageLimits {
  int64_t max_side = 16'384;
  int64_t max_pixels = 50'000'000;
  int64_t max_jpeg_scans = 100;
  bool full_size = false;  // JPEGs, whatever ReductionFor says

  static ImageLimits From(const Settings& settings);
};

/// JPEG (baseline, progressive, grey, CMYK, YCCK), PNG (every colour type and depth, of 16 bits the
/// high byte), WebP (still). Alpha is dropped, not blended, as by Pillow's convert("RGB"). The
/// header is checked against the limits before pixels are allocated. Errors: not_an_image,
/// unsupported_format, corrupt_image, truncated, too_large, too_many_scans.
ObjectResult<Image> DecodeImage(std::span<const std::byte> bytes, const ImageLimits& limits);

/// From bytes to the model's levels: DecodeImage, then Preprocess, but of a JPEG only what the
/// model will see is decoded: the part that survives the crop (the same levels, to the bit), and
/// where the picture is large, at a half, a quarter or an eighth of its size (see ReductionFor).
/// Errors: those of both.
ObjectResult<void> PrepareImage(std::span<const std::byte> bytes, const ImageLimits& limits,
                                const engine::PreprocessSpec& spec, std::span<uint8_t> levels);

/// Resizes, crops and orders. A resized picture smaller than the crop is centred on black.
/// `levels`: one image of spec.channel_count() × height × width samples in the spec's layout,
/// written in full.
/// Errors: model_error when the picture's size does not fit a spec without resize or without crop.
ObjectResult<void> Preprocess(const Image& image, const engine::PreprocessSpec& spec,
                              std::span<uint8_t> levels);

/// The model's input: (level - mean) / std, by the channels of the spec. A step of its own, last,
/// since levels are a quarter of it to keep and to hand on. `levels`, `input`: as many as
/// Preprocess writes.
void Normalize(std::span<const uint8_t> levels, const engine::PreprocessSpec& spec,
               std::span<float> input);

}  // namespace trawl::worker
