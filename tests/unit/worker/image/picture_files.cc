#include "tests/unit/worker/image/picture_files.h"

#include <png.h>
#include <webp/encode.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

// Needs what <cstdio> declares.
#include <jpeglib.h>

#include "config/check.h"

namespace trawl::worker {

Image NoisePicture(int height, int width, int channels) {
  Image image{.height = height, .width = width, .channels = channels, .pixels = {}};
  uint32_t state = 1;
  for (int i = 0; i < height * width * channels; ++i) {
    state = state * 1'664'525 + 1'013'904'223;
    image.pixels.push_back(static_cast<uint8_t>(state >> 24));
  }
  return image;
}

Image SmoothPicture(int height, int width, int channels) {
  Image image{.height = height, .width = width, .channels = channels, .pixels = {}};
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < channels; ++c)
        image.pixels.push_back(static_cast<uint8_t>(40 + (c == 0   ? x
                                                          : c == 1 ? y
                                                                   : x + y) *
                                                             150 / (height + width)));
  return image;
}

File EncodeJpeg(const Image& picture, const JpegOptions& options) {
  jpeg_compress_struct info;
  jpeg_error_mgr errors;
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* out = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &out, &size);
  info.image_width = static_cast<JDIMENSION>(picture.width);
  info.image_height = static_cast<JDIMENSION>(picture.height);
  info.input_components = options.cmyk ? 4 : picture.channels;
  info.in_color_space = options.cmyk ? JCS_CMYK : picture.channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(&info);
  if (options.cmyk) jpeg_set_colorspace(&info, JCS_YCCK);
  jpeg_set_quality(&info, options.quality, TRUE);
  if (picture.channels == 3) {
    info.comp_info[0].h_samp_factor = options.chroma_width;
    info.comp_info[0].v_samp_factor = options.chroma_height;
  }
  info.arith_code = options.arithmetic;
  if (options.progressive) jpeg_simple_progression(&info);
  jpeg_start_compress(&info, TRUE);
  if (!options.exif.empty()) {
    std::vector<uint8_t> segment = {'E', 'x', 'i', 'f', 0, 0};
    segment.insert(segment.end(), options.exif.begin(), options.exif.end());
    jpeg_write_marker(&info, JPEG_APP0 + 1, segment.data(), static_cast<unsigned>(segment.size()));
  }
  std::vector<uint8_t> row;
  while (info.next_scanline < info.image_height) {
    row.clear();
    for (int x = 0; x < picture.width; ++x) {
      for (int c = 0; c < picture.channels; ++c)
        row.push_back(picture.pixels[(info.next_scanline * static_cast<size_t>(picture.width) +
                                      static_cast<size_t>(x)) *
                                         static_cast<size_t>(picture.channels) +
                                     static_cast<size_t>(c)]);
      if (options.cmyk) row.push_back(255);
    }
    JSAMPROW pointer = row.data();
    jpeg_write_scanlines(&info, &pointer, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  const auto* bytes = reinterpret_cast<const std::byte*>(out);
  File file(bytes, bytes + size);
  std::free(out);
  return file;
}

File EncodePng(int height, int width, std::span<const uint8_t> rows, const PngOptions& options) {
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  File file;
  png_set_write_fn(
      png, &file,
      [](png_structp self, png_bytep data, size_t size) {
        auto& out = *static_cast<File*>(png_get_io_ptr(self));
        const auto* bytes = reinterpret_cast<const std::byte*>(data);
        out.insert(out.end(), bytes, bytes + size);
      },
      nullptr);
  png_set_IHDR(png, info, static_cast<png_uint_32>(width), static_cast<png_uint_32>(height),
               options.depth, options.color_type,
               options.interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  std::vector<png_color> palette;
  for (int i = 0; i < 1 << options.depth && i < 256; ++i)
    palette.push_back(
        {static_cast<png_byte>(i), static_cast<png_byte>(255 - i), static_cast<png_byte>(7 * i)});
  std::vector<png_byte> alphas(palette.size(), 99);
  png_color_16 clear{};
  if (options.color_type == PNG_COLOR_TYPE_PALETTE)
    png_set_PLTE(png, info, palette.data(), static_cast<int>(palette.size()));
  if (options.transparent_color)
    png_set_tRNS(png, info, alphas.data(), static_cast<int>(alphas.size()), &clear);
  std::vector<uint8_t> exif = options.exif;
  if (!exif.empty()) png_set_eXIf_1(png, info, static_cast<png_uint_32>(exif.size()), exif.data());
  png_write_info(png, info);
  const size_t stride = rows.size() / static_cast<size_t>(height);
  for (int pass = png_set_interlace_handling(png); pass > 0; --pass)
    for (int y = 0; y < height; ++y)
      png_write_row(png, rows.data() + static_cast<size_t>(y) * stride);
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  return file;
}

File EncodePng(const Image& picture) {
  return EncodePng(
      picture.height, picture.width, picture.pixels,
      {.color_type = picture.channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB, .exif = {}});
}

File EncodeWebp(int height, int width, int channels, std::span<const uint8_t> pixels, int quality) {
  uint8_t* out = nullptr;
  const int stride = width * channels;
  const auto level = static_cast<float>(quality);
  size_t size = 0;
  if (channels == 3) {
    size = quality < 0 ? WebPEncodeLosslessRGB(pixels.data(), width, height, stride, &out)
                       : WebPEncodeRGB(pixels.data(), width, height, stride, level, &out);
  } else {
    size = quality < 0 ? WebPEncodeLosslessRGBA(pixels.data(), width, height, stride, &out)
                       : WebPEncodeRGBA(pixels.data(), width, height, stride, level, &out);
  }
  const auto* bytes = reinterpret_cast<const std::byte*>(out);
  File file(bytes, bytes + size);
  WebPFree(out);
  return file;
}

std::vector<uint8_t> ExifBlock(int orientation, bool big_endian) {
  const auto value = static_cast<uint8_t>(orientation);
  if (big_endian)
    return {'M', 'M', 0, 42,   0,    0, 0, 8, 0, 2, 0x01, 0x0F, 0,     2, 0, 0, 0, 1, 'X',
            0,   0,   0, 0x01, 0x12, 0, 3, 0, 0, 0, 1,    0,    value, 0, 0, 0, 0, 0, 0};
  return {'I', 'I', 42, 0,    8,    0, 0, 0, 2, 0, 0x0F, 0x01,  2, 0, 1, 0, 0, 0, 'X',
          0,   0,   0,  0x12, 0x01, 3, 0, 1, 0, 0, 0,    value, 0, 0, 0, 0, 0, 0, 0};
}

std::vector<File> JpegsOfEveryKind() {
  const Image colour = SmoothPicture(48, 40, 3), noise = NoisePicture(24, 24, 3);
  return {EncodeJpeg(colour, {.exif = ExifBlock(6, true)}),
          EncodeJpeg(noise, {.progressive = true, .exif = {}}),
          EncodeJpeg(colour, {.arithmetic = true, .exif = {}}),
          EncodeJpeg(colour, {.cmyk = true, .exif = {}}),
          EncodeJpeg(SmoothPicture(33, 17, 1)),
          EncodeJpeg(colour)};
}

std::vector<File> PngsOfEveryKind() {
  const std::vector<uint8_t> exif = ExifBlock(3, false);
  std::vector<File> files = {EncodePng(NoisePicture(24, 24, 3)),
                             EncodePng(SmoothPicture(33, 17, 1))};
  const auto add = [&](int samples, const PngOptions& options) {
    files.push_back(
        EncodePng(16, 16, NoisePicture(16, 16 * options.depth / 8, samples).pixels, options));
  };
  add(1,
      {.color_type = 3, .depth = 4, .interlaced = true, .transparent_color = true, .exif = exif});
  add(1, {.color_type = 0, .depth = 1, .interlaced = true, .exif = {}});
  add(4, {.color_type = 6, .depth = 16, .exif = {}});
  return files;
}

std::vector<File> WebpsOfEveryKind() {
  const Image noise = NoisePicture(24, 24, 3), colour = SmoothPicture(48, 40, 3);
  return {EncodeWebp(24, 24, 3, noise.pixels, -1), EncodeWebp(48, 40, 3, colour.pixels, 70),
          EncodeWebp(24, 18, 4, NoisePicture(24, 18, 4).pixels, 70)};
}

size_t Find(const File& file, std::string_view pattern) {
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  const size_t at = text.find(pattern);
  CHECK(at != std::string_view::npos);
  return at == std::string_view::npos ? 0 : at;
}

File FileOf(std::string_view text) {
  const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
  return {bytes, bytes + text.size()};
}

}  // namespace trawl::worker
