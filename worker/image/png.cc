// PNG, through libpng's row interface. Our own walk over the chunks looks for what libpng should
// not have to: the EXIF hint, and whether the compressed bytes can hold the pixels at all. libpng
// is told to skip every ancillary chunk (text, profiles, gamma, animation frames, transparency), so
// that none of them can cost memory or time. libpng reports errors by a callback that must not
// return: the rules of jpeg.cc hold here too.

#include <fmt/format.h>
#include <png.h>

#include <algorithm>
#include <cctype>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>

#include "worker/image/decoders.h"
#include "worker/image/exif.h"

namespace trawl::worker {
namespace {

constexpr size_t kSignatureSize = 8;
// Deflate's best case: 258 bytes in two bits.
constexpr uint64_t kDeflateRatioMax = 1032;

struct PngChunks {
  uint64_t pixel_bytes = 0;  // in IDAT, compressed
  Bytes exif;
  std::string unknown_critical;  // a chunk without which the picture cannot be read, and that only
                                 // its maker knows
};

bool IsKnownCritical(Bytes type) {
  return StartsWith(type, "IHDR") || StartsWith(type, "PLTE") || StartsWith(type, "IDAT") ||
         StartsWith(type, "IEND");
}

/// Upper case in the first letter makes a chunk critical.
bool IsCritical(Bytes type) {
  for (std::byte letter : type)
    if (!std::isalpha(std::to_integer<int>(letter))) return false;
  return std::isupper(std::to_integer<int>(type[0])) != 0;
}

PngChunks WalkPng(Bytes bytes) {
  PngChunks chunks;
  ByteReader reader(bytes.subspan(kSignatureSize));
  uint32_t length = 0;
  Bytes type, data;
  while (reader.U32(length) && reader.Take(4, type)) {
    const bool pixels = StartsWith(type, "IDAT");
    if (pixels) chunks.pixel_bytes += std::min<uint64_t>(length, reader.remaining());
    if (IsCritical(type) && !IsKnownCritical(type) && chunks.unknown_critical.empty())
      chunks.unknown_critical.assign(reinterpret_cast<const char*>(type.data()), type.size());
    if (!reader.Take(length, data) || !reader.Skip(4)) break;
    if (StartsWith(type, "eXIf") && chunks.exif.empty()) chunks.exif = data;
    if (StartsWith(type, "IEND")) break;
  }
  return chunks;
}

class PngDecoder {
 public:
  explicit PngDecoder(Bytes bytes) : reader_(bytes) {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, OnError, OnWarning);
    if (png_ != nullptr) info_ = png_create_info_struct(png_);
  }
  ~PngDecoder() { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngDecoder(const PngDecoder&) = delete;
  PngDecoder& operator=(const PngDecoder&) = delete;

  bool ReadHeader();
  /// After ReadHeader, before pixels are allocated.
  ObjectResult<void> CheckHeader(uint64_t pixel_bytes, const ImageLimits& limits) const;
  /// Fills `image`, which has the header's size and channels().
  bool ReadPixels(Image& image);

  int64_t width() const { return png_get_image_width(png_, info_); }
  int64_t height() const { return png_get_image_height(png_, info_); }
  int channels() const {
    return (png_get_color_type(png_, info_) & PNG_COLOR_MASK_COLOR) != 0 ? 3 : 1;
  }
  ObjectError error() const { return {code_, fmt::format("decoding PNG: {}", message_)}; }

 private:
  [[noreturn]] static void OnError(png_structp png, png_const_charp message);
  static void OnWarning(png_structp png, png_const_charp message);
  static void OnRead(png_structp png, png_bytep to, size_t count);

  ByteReader reader_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  std::jmp_buf on_failure_{};
  ObjectErrorCode code_ = ObjectErrorCode::kInternal;
  char message_[128] = "out of memory";
};

void PngDecoder::OnError(png_structp png, png_const_charp message) {
  PngDecoder& self = *static_cast<PngDecoder*>(png_get_error_ptr(png));
  std::snprintf(self.message_, sizeof self.message_, "%s", message);
  if (self.code_ != ObjectErrorCode::kTruncated) self.code_ = ObjectErrorCode::kCorruptImage;
  std::longjmp(self.on_failure_, 1);
}

/// A warning about the pixel chunks is damage (a wrong checksum of the stream, a missing end),
/// unless it is about bytes behind their end. All other chunks are skipped, whatever their state.
void PngDecoder::OnWarning(png_structp png, png_const_charp message) {
  const std::string_view text = message;
  if (text.starts_with("IDAT") && text != "IDAT: Extra compressed data") OnError(png, message);
}

void PngDecoder::OnRead(png_structp png, png_bytep to, size_t count) {
  PngDecoder& self = *static_cast<PngDecoder*>(png_get_io_ptr(png));
  Bytes taken;
  if (!self.reader_.Take(count, taken)) {
    self.code_ = ObjectErrorCode::kTruncated;
    png_error(png, "the file ends early");
  }
  std::memcpy(to, taken.data(), count);
}

bool PngDecoder::ReadHeader() {
  if (info_ == nullptr) return false;
  if (setjmp(on_failure_)) return false;
  png_set_read_fn(png_, this, OnRead);
  // The project's limits are checked once the header is read; libpng's own would report corruption
  // instead.
  png_set_user_limits(png_, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
  png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
  png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER,
                              reinterpret_cast<png_const_bytep>("tRNS"), 1);
  // Skipped chunks are read past, not kept, so their length needs no limit but the file's.
  png_set_chunk_malloc_max(png_, 0);
  // What libpng can live with comes as a warning, and OnWarning decides.
  png_set_benign_errors(png_, 1);
  png_read_info(png_, info_);
  return true;
}

ObjectResult<void> PngDecoder::CheckHeader(uint64_t pixel_bytes, const ImageLimits& limits) const {
  if (auto size = CheckSize(width(), height(), limits); !size) return size;
  const uint64_t raw_bytes = png_get_rowbytes(png_, info_) * static_cast<uint64_t>(height());
  if (raw_bytes / kDeflateRatioMax > pixel_bytes)
    return tl::unexpected(ObjectError{
        ObjectErrorCode::kTruncated,
        fmt::format("{} compressed bytes cannot hold the {}×{} pixels that the header promises",
                    pixel_bytes, width(), height())});
  return {};
}

bool PngDecoder::ReadPixels(Image& image) {
  if (setjmp(on_failure_)) return false;
  // 8 bits a channel, grey or RGB. Of 16 bits the high byte stays, as in Pillow: the nearest level
  // would differ from it by one now and then, and scores are compared with those of models trained
  // through Pillow.
  png_set_strip_16(png_);
  png_set_palette_to_rgb(png_);
  png_set_expand_gray_1_2_4_to_8(png_);
  png_set_strip_alpha(png_);
  const int passes = png_set_interlace_handling(png_);
  png_read_update_info(png_, info_);
  const size_t stride = static_cast<size_t>(image.width) * static_cast<size_t>(image.channels);
  if (png_get_rowbytes(png_, info_) != stride) png_error(png_, "rows of an unexpected size");
  for (int pass = 0; pass < passes; ++pass)
    for (int y = 0; y < image.height; ++y)
      png_read_row(png_, image.pixels.data() + static_cast<size_t>(y) * stride, nullptr);
  // Reads on to IEND: only then is it known that nothing is missing.
  png_read_end(png_, nullptr);
  return true;
}

}  // namespace

ObjectResult<DecodedImage> DecodePng(Bytes bytes, const ImageLimits& limits) {
  const PngChunks chunks = WalkPng(bytes);
  if (!chunks.unknown_critical.empty())
    return tl::unexpected(
        ObjectError{ObjectErrorCode::kUnsupportedFormat,
                    fmt::format("PNG variant with a `{}` chunk", chunks.unknown_critical)});
  PngDecoder decoder(bytes);
  if (!decoder.ReadHeader()) return tl::unexpected(decoder.error());
  if (auto header = decoder.CheckHeader(chunks.pixel_bytes, limits); !header)
    return tl::unexpected(header.error());
  DecodedImage decoded;
  decoded.image = AllocateImage(decoder.width(), decoder.height(), decoder.channels());
  if (!decoder.ReadPixels(decoded.image)) return tl::unexpected(decoder.error());
  decoded.orientation = ExifOrientation(chunks.exif);
  return decoded;
}

}  // namespace trawl::worker
