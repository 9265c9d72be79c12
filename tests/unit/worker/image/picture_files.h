#pragma once
// Goal: pictures to decode, made by the formats' own encoders, so that the tests need no files.
// Method: a picture of hashed or smooth samples goes through libjpeg, libpng or libwebp; damage is
// then done by hand.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "worker/image/image.h"

namespace trawl::worker {

using File = std::vector<std::byte>;

/// Samples that are all different from their neighbours'.
Image NoisePicture(int height, int width, int channels);
/// Gradients: what JPEG keeps well.
Image SmoothPicture(int height, int width, int channels);

struct JpegOptions {
  int quality = 95;
  bool progressive = false;
  bool arithmetic = false;
  int chroma_width = 2, chroma_height = 2;  // pixels that share a chroma sample
  bool cmyk = false;  // `picture` is then written as inverted ink without black
  std::vector<uint8_t> exif;
};
File EncodeJpeg(const Image& picture, const JpegOptions& options = {});

struct PngOptions {
  int color_type = 2;  // PNG's: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA
  int depth = 8;
  bool interlaced = false;
  bool transparent_color = false;  // a tRNS chunk
  std::vector<uint8_t> exif;
};
/// `rows`: as stored in the file: packed to the depth, 16-bit samples big-endian. The palette of
/// type 3 maps index i to (i, 255 - i, 7 i mod 256).
File EncodePng(int height, int width, std::span<const uint8_t> rows,
               const PngOptions& options = {});
File EncodePng(const Image& picture);

/// `quality` 0 to 100, or -1 for lossless. `channels` 3 or 4.
File EncodeWebp(int height, int width, int channels, std::span<const uint8_t> pixels, int quality);

/// An EXIF block from the byte-order mark on.
std::vector<uint8_t> ExifBlock(int orientation, bool big_endian);

/// Small pictures, one of each kind that the format has: the seeds of mutants.
std::vector<File> JpegsOfEveryKind();
std::vector<File> PngsOfEveryKind();
std::vector<File> WebpsOfEveryKind();

/// Where `pattern` begins in `file`, in which it has to be.
size_t Find(const File& file, std::string_view pattern);
File FileOf(std::string_view text);

}  // namespace trawl::worker
