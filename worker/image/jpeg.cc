// JPEG, through libjpeg-turbo's libjpeg interface: it alone tells warnings apart, and lets a scan
// limit in. libjpeg reports errors by a callback that must not return, so every call into it runs
// below a setjmp; between the setjmp and the library there are no objects with destructors, which a
// longjmp would skip.

#include <fmt/format.h>

#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <utility>
#include <vector>

// jpeglib.h needs what <cstdio> declares, and jerror.h what jpeglib.h does.
#include <jpeglib.h>
// clang-format off
#include <jerror.h>
// clang-format on

#include "worker/image/decoders.h"
#include "worker/image/exif.h"
#include "worker/image/geometry.h"
#include "worker/image/jpeg_segments.h"

namespace trawl::worker {
namespace {

/// Rubbish between the last scan and the end of the picture up to this many bytes is how some
/// cameras pad. Beyond it, the decoder came out of step with the data: two thirds of the bit
/// flips that are noticed in photos are noticed here.
constexpr int kPaddingBytesMax = 4;

/// Warnings that say nothing about the pixels; all others mean that some were lost or guessed, and
/// a guessed picture gets no prediction.
bool IsHarmless(const jpeg_decompress_struct& info) {
  switch (info.err->msg_code) {
    case JWRN_JFIF_MAJOR:      // a newer JFIF header
    case JWRN_ADOBE_XFORM:     // an unknown colour transform code: YCbCr is assumed, as everywhere
    case JWRN_NOT_SEQUENTIAL:  // spectral selection filled in wrongly in a scan that has none
    case JWRN_BOGUS_ICC:       // the colour profile is not used
      return true;
    case JWRN_EXTRANEOUS_DATA: {
      const auto [bytes, marker] = std::pair(info.err->msg_parm.i[0], info.err->msg_parm.i[1]);
      const bool before_pixels = info.input_scan_number == 0;
      return before_pixels || (marker == JPEG_EOI && bytes <= kPaddingBytesMax);
    }
    default:
      return false;
  }
}

/// Variants that libjpeg names as such: a picture, but not one for this decoder.
bool IsUnsupported(int error) {
  return error == JERR_BAD_PRECISION || error == JERR_SOF_UNSUPPORTED ||
         error == JERR_FRACT_SAMPLE_NOTIMPL || error == JERR_CCIR601_NOTIMPL ||
         error == JERR_CONVERSION_NOTIMPL || error == JERR_COMPONENT_COUNT;
}

class JpegDecoder {
 public:
  explicit JpegDecoder(const ImageLimits& limits) : limits_(limits) {
    info_.err = jpeg_std_error(&error_manager_);
    info_.client_data = this;
    error_manager_.error_exit = OnError;
    error_manager_.emit_message = OnMessage;
    progress_.progress_monitor = OnProgress;
  }
  ~JpegDecoder() { jpeg_destroy_decompress(&info_); }
  JpegDecoder(const JpegDecoder&) = delete;
  JpegDecoder& operator=(const JpegDecoder&) = delete;

  bool ReadHeader(Bytes bytes);
  /// After ReadHeader, before pixels are allocated.
  ObjectResult<void> CheckHeader(Bytes bytes) const;
  /// After CheckHeader: decode for `spec` no more than it needs. `orientation`: EXIF's.
  void Fit(const engine::PreprocessSpec& spec, int orientation);
  /// A picture of the size that ReadPixels will give.
  Image Allocate() const;
  /// Fills `image`, as allocated.
  bool ReadPixels(Image& image);

  int channels() const { return info_.num_components == 1 ? 1 : 3; }
  /// Why the last call returned false.
  ObjectError error() const { return {code_, message_}; }

 private:
  static JpegDecoder& Of(j_common_ptr info) {
    return *static_cast<JpegDecoder*>(info->client_data);
  }
  [[noreturn]] static void OnError(j_common_ptr info);
  static void OnMessage(j_common_ptr info, int level);
  static void OnProgress(j_common_ptr info);
  [[noreturn]] void Fail(ObjectErrorCode code);

  int64_t width() const { return info_.image_width; }
  int64_t height() const { return info_.image_height; }
  void ReadRows(Image& image);
  void ReadPart(Image& image);
  void ReadCmykRows(Image& image);

  const ImageLimits& limits_;
  jpeg_decompress_struct info_{};
  jpeg_error_mgr error_manager_{};
  jpeg_progress_mgr progress_{};
  std::jmp_buf on_failure_{};
  ObjectErrorCode code_ = ObjectErrorCode::kInternal;
  char message_[JMSG_LENGTH_MAX] = "";
  Size output_;                      // of the whole picture, as reduced
  PixelRange rows_{}, columns_{};    // which of its pixels are wanted; empty: all
  std::vector<uint8_t> row_buffer_;  // a member, so that a longjmp skips no destructor
};

void JpegDecoder::Fail(ObjectErrorCode code) {
  code_ = code;
  std::longjmp(on_failure_, 1);
}

void JpegDecoder::OnError(j_common_ptr info) {
  JpegDecoder& self = Of(info);
  info->err->format_message(info, self.message_);
  const int error = info->err->msg_code;
  if (IsUnsupported(error)) self.Fail(ObjectErrorCode::kUnsupportedFormat);
  if (error == JERR_IMAGE_TOO_BIG || error == JERR_WIDTH_OVERFLOW || error == JERR_NO_BACKING_STORE)
    self.Fail(ObjectErrorCode::kTooLarge);
  if (error == JERR_OUT_OF_MEMORY) self.Fail(ObjectErrorCode::kInternal);
  self.Fail(ObjectErrorCode::kCorruptImage);
}

void JpegDecoder::OnMessage(j_common_ptr info, int level) {
  JpegDecoder& self = Of(info);
  if (level >= 0 || IsHarmless(self.info_)) return;
  info->err->format_message(info, self.message_);
  self.Fail(info->err->msg_code == JWRN_JPEG_EOF ? ObjectErrorCode::kTruncated
                                                 : ObjectErrorCode::kCorruptImage);
}

/// The walk over the markers has counted the scans already; this is the limit that holds even where
/// libjpeg should see more of them.
void JpegDecoder::OnProgress(j_common_ptr info) {
  JpegDecoder& self = Of(info);
  if (self.info_.input_scan_number <= self.limits_.max_jpeg_scans) return;
  std::snprintf(self.message_, sizeof self.message_, "more scans than max-jpeg-scans allows");
  self.Fail(ObjectErrorCode::kTooManyScans);
}

bool JpegDecoder::ReadHeader(Bytes bytes) {
  if (setjmp(on_failure_)) return false;
  jpeg_create_decompress(&info_);
  info_.progress = &progress_;
  jpeg_mem_src(&info_, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  jpeg_read_header(&info_, TRUE);
  output_ = {height(), width()};
  return true;
}

ObjectResult<void> JpegDecoder::CheckHeader(Bytes bytes) const {
  if (auto size = CheckSize(width(), height(), limits_); !size) return size;
  const int components = info_.num_components;
  if (components != 1 && components != 3 && components != 4)
    return tl::unexpected(
        ObjectError{ObjectErrorCode::kUnsupportedFormat,
                    fmt::format("{} colour components; 1, 3 and 4 are decoded", components)});
  if (info_.arith_code) return {};
  // A block takes a bit at the least under Huffman coding. A header that promises more than the
  // bytes can hold must not cost its pixels. The smallest component is counted, since the others
  // may legally lack their scans.
  uint64_t blocks = UINT64_MAX;
  for (int i = 0; i < components; ++i)
    blocks = std::min(
        blocks, uint64_t{info_.comp_info[i].width_in_blocks} * info_.comp_info[i].height_in_blocks);
  if (blocks / 8 > bytes.size())
    return tl::unexpected(
        ObjectError{ObjectErrorCode::kTruncated,
                    fmt::format("{} bytes cannot hold the {}×{} pixels that the header promises",
                                bytes.size(), width(), height())});
  return {};
}

void JpegDecoder::Fit(const engine::PreprocessSpec& spec, int orientation) {
  const bool turned = orientation >= 5;  // the stored rows are the upright columns
  const Size upright = turned ? Size{width(), height()} : Size{height(), width()};
  const int reduction = limits_.full_size ? 1 : ReductionFor(upright, spec);
  info_.scale_num = 1;
  info_.scale_denom = static_cast<unsigned>(reduction);
  output_ = {(height() + reduction - 1) / reduction, (width() + reduction - 1) / reduction};
  // Rows can be passed over, and still be read for errors, in what is decoded as it is read.
  const bool sequential = !info_.progressive_mode && !info_.arith_code && info_.num_components < 4;
  if (orientation != 1 || !sequential || !CheckFits(output_, spec)) return;
  rows_ = InputOf(RowsOf(output_, spec).window, spec.filter);
  columns_ = InputOf(ColumnsOf(output_, spec).window, spec.filter);
}

Image JpegDecoder::Allocate() const {
  const int channels = info_.num_components == 1 ? 1 : 3;
  if (rows_.end == 0) return AllocateImage(output_.width, output_.height, channels);
  Image part = AllocateImage(columns_.end - columns_.first, rows_.end - rows_.first, channels);
  part.top = rows_.first;
  part.left = columns_.first;
  part.whole_height = static_cast<int>(output_.height);
  part.whole_width = static_cast<int>(output_.width);
  return part;
}

bool JpegDecoder::ReadPixels(Image& image) {
  row_buffer_.resize(static_cast<size_t>(output_.width) * 4);
  if (setjmp(on_failure_)) return false;
  // The slow accurate transform and smooth chroma: what Pillow and OpenCV use, so that pixels are
  // the same everywhere.
  info_.dct_method = JDCT_ISLOW;
  info_.do_fancy_upsampling = TRUE;
  info_.out_color_space = info_.num_components == 1   ? JCS_GRAYSCALE
                          : info_.num_components == 3 ? JCS_RGB
                                                      : JCS_CMYK;
  // Progressive pictures keep two bytes a coefficient until their last scan; nothing needs more
  // than this.
  info_.mem->max_memory_to_use = static_cast<long>(limits_.max_pixels * 16 + (64L << 20));
  jpeg_start_decompress(&info_);
  if (rows_.end > 0) {
    ReadPart(image);
  } else if (info_.num_components == 4) {
    ReadCmykRows(image);
  } else {
    ReadRows(image);
  }
  // Reads on to EOI: only then is it known that nothing is missing.
  jpeg_finish_decompress(&info_);
  return true;
}

void JpegDecoder::ReadRows(Image& image) {
  const size_t stride = static_cast<size_t>(image.width) * static_cast<size_t>(image.channels);
  while (info_.output_scanline < info_.output_height) {
    JSAMPROW row = image.pixels.data() + info_.output_scanline * stride;
    jpeg_read_scanlines(&info_, &row, 1);
  }
}

/// Pixels outside the part are decoded no further than their Huffman codes, of which each is still
/// read: what is damaged or missing there is noticed.
void JpegDecoder::ReadPart(Image& image) {
  // Chroma is interpolated from the neighbours, which the edges of what is decoded do not have.
  constexpr int kMargin = 2;
  const int left = std::max(columns_.first - kMargin, 0);
  const auto right = std::min<int64_t>(columns_.end + kMargin, output_.width);
  JDIMENSION decoded_left = static_cast<JDIMENSION>(left);
  JDIMENSION decoded_width = static_cast<JDIMENSION>(right - left);
  jpeg_crop_scanline(&info_, &decoded_left, &decoded_width);
  const ptrdiff_t skipped =
      (columns_.first - static_cast<ptrdiff_t>(decoded_left)) * image.channels;
  const size_t kept = static_cast<size_t>(image.width) * static_cast<size_t>(image.channels);
  JSAMPROW row = row_buffer_.data();
  uint8_t* to = image.pixels.data();
  if (rows_.first > 0) jpeg_skip_scanlines(&info_, static_cast<JDIMENSION>(rows_.first));
  for (int y = rows_.first; y < rows_.end; ++y, to += kept) {
    jpeg_read_scanlines(&info_, &row, 1);
    std::memcpy(to, row + skipped, kept);
  }
  // The last row is read, since a skip to the very end would end the reading, too.
  const JDIMENSION below = info_.output_height - info_.output_scanline;
  if (below > 1) jpeg_skip_scanlines(&info_, below - 1);
  if (below > 0) jpeg_read_scanlines(&info_, &row, 1);
}

/// a × b / 255, rounded, for a and b in 0–255.
uint8_t Scaled(int a, int b) {
  const int product = a * b + 128;
  return static_cast<uint8_t>(((product >> 8) + product) >> 8);
}

/// Four-component JPEGs come from Adobe's programs, which store ink inverted; every reader takes
/// them so, marker or not. What is stored is thus the light that each ink lets through.
void JpegDecoder::ReadCmykRows(Image& image) {
  const size_t stride = static_cast<size_t>(image.width) * 3;
  while (info_.output_scanline < info_.output_height) {
    uint8_t* rgb = image.pixels.data() + info_.output_scanline * stride;
    JSAMPROW row = row_buffer_.data();
    jpeg_read_scanlines(&info_, &row, 1);
    for (int x = 0; x < image.width; ++x, row += 4, rgb += 3)
      for (int c = 0; c < 3; ++c)
        rgb[c] = static_cast<uint8_t>(row[3] - Scaled(255 - row[c], row[3]));
  }
}

}  // namespace

ObjectResult<DecodedImage> DecodeJpeg(Bytes bytes, const ImageLimits& limits,
                                      const engine::PreprocessSpec* spec) {
  const JpegSegments segments = WalkJpeg(bytes);
  if (segments.scans > limits.max_jpeg_scans)
    return tl::unexpected(ObjectError{ObjectErrorCode::kTooManyScans,
                                      fmt::format("{} scans; {} are allowed (max-jpeg-scans)",
                                                  segments.scans, limits.max_jpeg_scans)});
  JpegDecoder decoder(limits);
  const auto failure = [&] {
    ObjectError error = decoder.error();
    error.message.insert(0, "decoding JPEG: ");
    return tl::unexpected(std::move(error));
  };
  if (!decoder.ReadHeader(bytes)) return failure();
  if (auto header = decoder.CheckHeader(bytes); !header) return tl::unexpected(header.error());
  DecodedImage decoded;
  decoded.orientation = ExifOrientation(segments.exif);
  if (spec != nullptr) decoder.Fit(*spec, decoded.orientation);
  decoded.image = decoder.Allocate();
  if (!decoder.ReadPixels(decoded.image)) return failure();
  return decoded;
}

}  // namespace trawl::worker
