#pragma once
// Rounding to quantised numbers, as all kernels do it.

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "engine/ops/quantized.h"

namespace trawl::engine {

/// Nearest integer, ties to even, for |x| <= 2^22: adding 1.5·2^23 leaves no bits for the fraction.
/// Unlike nearbyint it needs no call, so the loops around it vectorise.
inline float RoundHalfEven(float x) {
  constexpr float kShift = 12582912.0f;
  return (x + kShift) - kShift;
}

/// saturate(round(x / scale) + zero_point) - zero_point, where `low` and `high` are the least and
/// the greatest result. They are integers, so clamping may come first.
inline float QuantizedOffset(float x, float scale, float low, float high) {
  const float ratio = x / scale;
  // A NaN falls to the lower bound: a comparison with it is false.
  return RoundHalfEven(std::min(ratio > low ? ratio : low, high));
}

/// clamp(round(x), low, high). The bounds are integers, so clamping may come first.
inline uint8_t RoundToByte(float x, int low, int high) {
  const float bounded = std::min(std::max(x, static_cast<float>(low)), static_cast<float>(high));
  return static_cast<uint8_t>(RoundHalfEven(bounded));
}

inline uint8_t AddQuantized(const QuantizedSum& sum, int a, int b) {
  const float rest = std::fma(static_cast<float>(b), sum.b_scale, sum.shift);
  return RoundToByte(std::fma(static_cast<float>(a), sum.a_scale, rest), sum.low, sum.high);
}

/// As AddQuantized, of a result `a` on the sum's own grid that is not rounded yet.
inline uint8_t JoinQuantized(const QuantizedSum& sum, float a, int b) {
  return RoundToByte(std::fma(static_cast<float>(b), sum.b_scale, a), sum.low, sum.high);
}

/// The mean of `count` numbers whose sum is `total`, before it is rounded.
inline float MeanOf(const QuantizedSum& sum, int32_t total, int64_t count) {
  return std::fma(static_cast<float>(total), sum.a_scale / static_cast<float>(count), sum.shift);
}

}  // namespace trawl::engine
