#pragma once
// InterleavedRows: what the taps of a window see of an interleaved value, row by row: the value
// itself where nothing is padded, and copies of its rows with padding around them otherwise. Copies
// may be narrow: pixels of one to three channels without the bytes that fill them up to four.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "engine/interleaved.h"
#include "engine/ops/window.h"
#include "engine/simd/int8.h"

namespace trawl::engine {

class InterleavedRows {
 public:
  InterleavedRows() = default;
  using Narrow = void (*)(const uint8_t* x, ptrdiff_t pixels, ptrdiff_t channels, uint8_t* y);

  /// Copies are narrow with `narrow`, simd::Int8Microkernels::narrow, which may be nullptr.
  InterleavedRows(const Window& window, int64_t channels, Narrow narrow = nullptr)
      : window_(window),
        narrow_(narrow),
        step_(narrow != nullptr ? channels : InterleavedStep(channels)),
        from_step_(InterleavedStep(channels)),
        copies_(window.Padded() || narrow != nullptr),
        columns_(!copies_ ? window.input[2]
                          : (window.output[2] - 1) * window.stride[2] +
                                (window.kernel[2] - 1) * window.dilation[2] + 1) {}

  const Window& window() const { return window_; }
  bool copies() const { return copies_; }
  int64_t step() const { return step_; }
  int64_t row_bytes() const { return columns_ * step_; }
  /// Copied rows that `rows` output rows see.
  int64_t CopiedRows(int64_t rows) const {
    return (rows - 1) * window_.stride[1] + (window_.kernel[1] - 1) * window_.dilation[1] + 1;
  }
  /// Of the copies for `rows` output rows; 0 if there are none.
  size_t ScratchBytes(int64_t rows) const {
    return copies_ ? static_cast<size_t>(CopiedRows(rows) * row_bytes() + kBeyond) : 0;
  }

  /// Offsets of the taps from a pixel's first. Neighbouring taps of a row are one where `joined`.
  std::vector<ptrdiff_t> Taps(bool joined) const {
    std::vector<ptrdiff_t> taps;
    for (int64_t y = 0; y < window_.kernel[1]; ++y) {
      for (int64_t x = 0; x < (joined ? 1 : window_.kernel[2]); ++x) {
        taps.push_back(y * window_.dilation[1] * row_bytes() + x * window_.dilation[2] * step_);
      }
    }
    return taps;
  }

  /// Where the windows of output row `first` begin: in image `x`, or in `scratch` after it was
  /// filled for `rows` output rows with `pad` around the image.
  const uint8_t* Fill(const uint8_t* x, int64_t first, int64_t rows, int pad,
                      uint8_t* scratch) const {
    const int64_t from = first * window_.stride[1] - window_.pad_begin[1];
    if (!copies_) return x + from * row_bytes();
    uint8_t* to = scratch;
    for (int64_t row = from; row < from + CopiedRows(rows); ++row, to += row_bytes()) {
      if (row < 0 || row >= window_.input[1]) {
        std::memset(to, pad, static_cast<size_t>(row_bytes()));
      } else {
        FillRow(x + row * window_.input[2] * from_step_, pad, to);
      }
    }
    return scratch;
  }

 private:
  /// What may be written, and read in vain, behind the last row.
  static constexpr int64_t kBeyond = 16;

  void FillRow(const uint8_t* row, int pad, uint8_t* to) const {
    const int64_t begin = std::min(window_.pad_begin[2], columns_);
    const int64_t count = std::min(window_.input[2], columns_ - begin);
    std::memset(to, pad, static_cast<size_t>(begin * step_));
    if (narrow_ != nullptr) {
      narrow_(row, count, step_, to + begin * step_);
    } else {
      std::memcpy(to + begin * step_, row, static_cast<size_t>(count * step_));
    }
    std::memset(to + (begin + count) * step_, pad,
                static_cast<size_t>((columns_ - begin - count) * step_));
  }

  Window window_;
  Narrow narrow_ = nullptr;
  int64_t step_ = 4, from_step_ = 4;  // bytes from one pixel to the next, here and in the value
  bool copies_ = false;
  int64_t columns_ = 0;  // of a row in memory
};

}  // namespace trawl::engine
