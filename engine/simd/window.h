#pragma once
// Windows that slide over one block of channels: depthwise convolution and pooling.

#include <cstddef>

namespace trawl::engine::simd {

/// A run of neighbouring output pixels of one block whose windows see the same taps: all of them in
/// the middle of the plane, fewer at its edges. Addresses are 64-byte aligned; steps are in floats.
struct WindowRun {
  const float* x = nullptr;  // what the first pixel's first tap sees
  float* y = nullptr;        // [pixels][kBlock]
  ptrdiff_t pixels = 0;
  ptrdiff_t rows = 0, columns = 0;  // taps
  ptrdiff_t row_step = 0;           // from one row of taps to the next, in x
  ptrdiff_t column_step = 0;        // from one tap to the next, in x
  ptrdiff_t pixel_step = 0;         // from one pixel to the next, in x
};

/// What a depthwise convolution needs besides: y = bounded((Σ weights · x + bias + residual) ·
/// scale).
struct DepthwiseEpilogue {
  const float* weights = nullptr;   // of the first tap; [rows][columns][kBlock]
  ptrdiff_t weights_row = 0;        // from one row of weights to the next
  const float* bias = nullptr;      // [kBlock]
  const float* scale = nullptr;     // [kBlock]
  const float* residual = nullptr;  // as y, or none
  float low = 0, high = 0;          // bounds; infinite where there is none
};

/// Output rows [first, last) of one block of a depthwise convolution whose kernel has 3 or 5
/// columns, next to each other, and moves by 1 or 2: zeros are read where it hangs over the plane,
/// so that tiles begin at the first pixel and end at the last. All windows see some of the plane's
/// columns.
struct DepthwiseRows {
  const float* x = nullptr;  // [height][width][kBlock]
  float* y = nullptr;        // [rows][y_width][kBlock], the first of all rows
  ptrdiff_t height = 0, width = 0;
  ptrdiff_t kernel_rows = 0, kernel_columns = 0;
  ptrdiff_t row_stride = 1, column_stride = 1;
  ptrdiff_t pad_top = 0, pad_left = 0;
  ptrdiff_t y_width = 0;
  ptrdiff_t first = 0, last = 0;
};

struct WindowMicrokernels {
  void (*depthwise)(const WindowRun& run, const DepthwiseEpilogue& epilogue) = nullptr;
  /// `epilogue`: the weights are of the kernel's first tap, the residual of the first row of all.
  void (*depthwise_rows)(const DepthwiseRows& rows, const DepthwiseEpilogue& epilogue) = nullptr;
  /// The greatest; `floor` where there are no taps.
  void (*max)(const WindowRun& run, float floor) = nullptr;
  /// The sum, divided.
  void (*average)(const WindowRun& run, float divisor) = nullptr;
  /// y[kBlock] = the mean of x[pixels][kBlock].
  void (*mean)(const float* x, ptrdiff_t pixels, float* y) = nullptr;
};

}  // namespace trawl::engine::simd
