#pragma once
// Products of unsigned activations with signed weights of eight bits, summed in 32 bits: the inner
// loops of quantised networks. Activations are interleaved, one pixel's channels behind another's.
//
// They are for AVX-512 VNNI and AVX-VNNI. Without, dot products of bytes either saturate or are
// slower than Winograd's tiles are in f32.
//
// Bytes are read and written up to the given counts only, but for what is said below. Counts of
// bytes are multiples of kInt8Depth, to which pixels are filled up; only `stored` of a convolution
// without a residual may be any number.

#include <cstddef>
#include <cstdint>

namespace trawl::engine::simd {

/// Output channels of a panel: two registers of sums, or four of half the size.
inline constexpr int kInt8Panel = 32;
/// Bytes that one product sums.
inline constexpr int kInt8Depth = 4;

/// The channel of a panel whose sum is at `lane` of two registers of 16, counted through: packing
/// them to bytes then gives the channels in their order, with no other shuffle. So do the first
/// halves of both, and the second ones.
constexpr int Int8Channel(int lane) {
  const int part = lane / 16, i = lane % 16;
  return 8 * (i / 4) + 4 * part + i % 4;
}

/// Channels of a panel of a depthwise convolution: a register of 64 bytes, four of sums.
inline constexpr int kInt8WidePanel = 64;

/// As Int8Channel, for the four registers of 16 of a wide panel.
constexpr int Int8WideChannel(int lane) {
  const int part = lane / 16, i = lane % 16;
  return 16 * (i / 4) + 4 * part + i % 4;
}

/// y = clamp(round(sum · multiplier + shift), low, high), ties to even, one rounding before it.
/// With a residual r, y = clamp(round(y · own_scale + (r · residual_scale + sum_shift)), sum_low,
/// sum_high), or, where it joins, y = clamp(round(r · residual_scale + (sum · multiplier + shift)),
/// sum_low, sum_high).
struct Int8Epilogue {
  const float* multiplier = nullptr;  // [panel] by lane, 64-byte aligned
  const float* shift = nullptr;       // likewise
  uint8_t low = 0, high = 255;
  bool has_residual = false, joins = false;
  float own_scale = 0, residual_scale = 0, sum_shift = 0;
  uint8_t sum_low = 0, sum_high = 255;
  /// y is f32 and sum · multiplier + shift as it is; without a residual.
  bool to_float = false;
};

/// Neighbouring output pixels.
struct Int8Row {
  const uint8_t* x = nullptr;         // what the first pixel's taps are relative to
  uint8_t* y = nullptr;               // the panel's first channel of the first pixel
  const uint8_t* residual = nullptr;  // as y
  const int32_t* start = nullptr;     // what the sums of each pixel begin with; nullptr: 0
  ptrdiff_t pixels = 0;
};

/// What all rows have in common.
struct Int8Layer {
  const ptrdiff_t* taps = nullptr;  // offsets from x
  ptrdiff_t tap_count = 0;
  ptrdiff_t depth = 0;               // bytes that are read at each tap, a multiple of kInt8Depth
  ptrdiff_t x_step = 0, y_step = 0;  // bytes from one pixel to the next; of y and residual
  int stored = kInt8Panel;           // channels that are stored at each pixel
};

struct Int8Microkernels {
  /// A panel of a convolution. Weights are [taps][depth / 4][2][16][4] by lane, 64-byte aligned.
  void (*conv)(const Int8Layer& layer, const int8_t* weights, const Int8Epilogue& epilogue,
               const Int8Row* rows, ptrdiff_t count) = nullptr;
  /// A wide panel of channels with windows of their own. Taps come in fours, each with weights
  /// [4][16][4] by lane, the last number being the tap. `depth` means nothing.
  void (*depthwise)(const Int8Layer& layer, const int8_t* weights, const Int8Epilogue& epilogue,
                    const Int8Row* rows, ptrdiff_t count) = nullptr;
  /// The same for windows three wide of neighbouring pixels, which share what they read: each of
  /// `taps` is the first of a row, with weights [4][16][4] whose last tap weighs 0, and the same
  /// weights once more, a tap later.
  void (*depthwise3)(const Int8Layer& layer, const int8_t* weights, const Int8Epilogue& epilogue,
                     const Int8Row* rows, ptrdiff_t count) = nullptr;
  /// sums[pixel] = factor · Σ x over all taps, where `ones` is 1, not 0: [depth].
  void (*sum)(const Int8Layer& layer, const int8_t* ones, int32_t factor, const uint8_t* x,
              ptrdiff_t pixels, int32_t* sums) = nullptr;
  /// y = clamp(round(a · own_scale + (b · residual_scale + sum_shift)), sum_low, sum_high).
  void (*add)(const Int8Epilogue& epilogue, const uint8_t* a, const uint8_t* b, uint8_t* y,
              ptrdiff_t count) = nullptr;
  /// y[4p + i] = saturate(round(planes[i][p] / scale) + zero_point); 0 where there is no plane.
  void (*quantize)(const float* const planes[kInt8Depth], ptrdiff_t pixels, float scale,
                   float zero_point, uint8_t* y) = nullptr;
  /// y[channels · p + c] = x[4p + c] for fewer than four channels. May write 15 bytes beyond.
  void (*narrow)(const uint8_t* x, ptrdiff_t pixels, ptrdiff_t channels, uint8_t* y) = nullptr;
  /// y[i] = max over the window's rows and columns of x[row · row_step + column · column_step + i].
  void (*maximum)(const uint8_t* x, ptrdiff_t rows, ptrdiff_t row_step, ptrdiff_t columns,
                  ptrdiff_t column_step, uint8_t* y, ptrdiff_t count) = nullptr;
};

}  // namespace trawl::engine::simd
