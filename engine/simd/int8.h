#pragma once
// Products of unsigned activations with signed weights of eight bits, summed in 32 bits: the inner
// loops of quantised networks. Activations are interleaved, one pixel's channels behind another's.
//
// There are none for instruction sets without VNNI, whose dot products of bytes either saturate or
// are slower than Winograd's tiles are in f32.

#include <cstddef>
#include <cstdint>

namespace trawl::engine::simd {

/// Output channels of a panel: two registers of sums.
inline constexpr int kInt8Panel = 32;
/// Bytes that one product sums.
inline constexpr int kInt8Depth = 4;

/// The channel of a panel whose sum is at `lane` of both registers, counted through: packing the
/// registers to bytes then gives the channels in their order, with no other shuffle.
constexpr int Int8Channel(int lane) {
  const int part = lane / 16, i = lane % 16;
  return 8 * (i / 4) + 4 * part + i % 4;
}

/// y = clamp(round(sum · multiplier + shift), low, high), ties to even, one rounding before it.
/// With a residual r, y = clamp(round(y · own_scale + (r · residual_scale + sum_shift)), sum_low,
/// sum_high).
struct Int8Epilogue {
  const float* multiplier = nullptr;  // [kInt8Panel] by lane, 64-byte aligned
  const float* shift = nullptr;       // likewise
  uint8_t low = 0, high = 255;
  bool has_residual = false;
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
  /// A panel of channels with windows of their own. Tap 2i and tap 2i + 1 share weights
  /// [tap_count / 2][2][16][2]; tap_count is even. `depth` means nothing.
  void (*depthwise)(const Int8Layer& layer, const int16_t* weights, const Int8Epilogue& epilogue,
                    const Int8Row* rows, ptrdiff_t count) = nullptr;
  /// sums[pixel] = factor · Σ x over all taps, where `ones` is 1, not 0: [depth].
  void (*sum)(const Int8Layer& layer, const int8_t* ones, int32_t factor, const uint8_t* x,
              ptrdiff_t pixels, int32_t* sums) = nullptr;
  /// y = clamp(round(a · own_scale + (b · residual_scale + sum_shift)), sum_low, sum_high).
  void (*add)(const Int8Epilogue& epilogue, const uint8_t* a, const uint8_t* b, uint8_t* y,
              ptrdiff_t count) = nullptr;
};

}  // namespace trawl::engine::simd
