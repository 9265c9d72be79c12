#include "engine/kernels/conv_strip.h"

#include <algorithm>
#include <cstring>

#include "engine/simd/block.h"

namespace trawl::engine {
namespace {

using simd::kBlock;
constexpr size_t kPixelBytes = kBlock * sizeof(float);

}  // namespace

ConvStrip::ConvStrip(const Window& window, int64_t rows) : window_(window) {
  // Kernel row ky of output row y sees input row y · stride + ky · dilation - pad, which is row
  // y + ky · dilation / stride among those of its remainder.
  const int64_t stride = window.stride[1], row_floats = window.output[2] * kBlock;
  for (int64_t ky = 0; ky < window.kernel[1]; ++ky) {
    const int64_t remainder = ky * window.dilation[1] % stride;
    auto phase = std::ranges::find(phases_, remainder, &Phase::remainder);
    if (phase == phases_.end()) phase = phases_.insert(phases_.end(), Phase{remainder, 0, 0});
    phase->extra = ky * window.dilation[1] / stride;
  }
  int64_t stored = 0;
  for (Phase& phase : phases_) {
    phase.start = stored;
    stored += rows + phase.extra;
  }
  column_stride_ = stored * row_floats;
  block_stride_ = column_stride_ * window.kernel[2];
  for (int64_t ky = 0; ky < window.kernel[1]; ++ky) {
    const int64_t shift = ky * window.dilation[1];
    const Phase& phase = *std::ranges::find(phases_, shift % stride, &Phase::remainder);
    for (int64_t kx = 0; kx < window.kernel[2]; ++kx) {
      taps_.push_back(kx * column_stride_ + (phase.start + shift / stride) * row_floats);
    }
  }
}

void ConvStrip::Fill(const float* x, int64_t first, int64_t rows, float* strip) const {
  const Window& w = window_;
  const int64_t row_floats = w.output[2] * kBlock;
  for (int64_t kx = 0; kx < w.kernel[2]; ++kx, strip += column_stride_) {
    const int64_t column = kx * w.dilation[2] - w.pad_begin[2];
    for (const Phase& phase : phases_) {
      float* to = strip + phase.start * row_floats;
      for (int64_t i = 0; i < rows + phase.extra; ++i, to += row_floats) {
        const int64_t row = (first + i) * w.stride[1] + phase.remainder - w.pad_begin[1];
        if (row < 0 || row >= w.input[1]) {
          std::memset(to, 0, static_cast<size_t>(w.output[2]) * kPixelBytes);
        } else {
          FillRow(x + row * w.input[2] * kBlock, column, to);
        }
      }
    }
  }
}

void ConvStrip::FillRow(const float* row, int64_t column, float* to) const {
  const int64_t width = window_.output[2], stride = window_.stride[2];
  // Output pixels [first, last) see the row itself.
  const int64_t room = window_.input[2] - column;
  const int64_t first =
      std::clamp<int64_t>(column >= 0 ? 0 : (-column + stride - 1) / stride, 0, width);
  const int64_t last =
      std::clamp<int64_t>(room <= 0 ? 0 : (room + stride - 1) / stride, first, width);
  std::memset(to, 0, static_cast<size_t>(first) * kPixelBytes);
  if (stride == 1) {
    std::memcpy(to + first * kBlock, row + (column + first) * kBlock,
                static_cast<size_t>(last - first) * kPixelBytes);
  } else {
    for (int64_t i = first; i < last; ++i) {
      std::memcpy(to + i * kBlock, row + (column + i * stride) * kBlock, kPixelBytes);
    }
  }
  std::memset(to + last * kBlock, 0, static_cast<size_t>(width - last) * kPixelBytes);
}

}  // namespace trawl::engine
