#pragma once
// bf16: the upper half of an f32. Rounding as AVX-512 BF16 does it.

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace trawl::engine {

/// The nearest, ties to even; 0 for a denormal number, and a quiet NaN for a NaN.
inline uint16_t ToBf16(float x) {
  const auto bits = std::bit_cast<uint32_t>(x);
  if (std::isnan(x)) return static_cast<uint16_t>(bits >> 16 | 0x40);
  if (std::fabs(x) < std::numeric_limits<float>::min()) return bits >> 31 == 0 ? 0 : 0x8000;
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

inline float FromBf16(uint16_t x) { return std::bit_cast<float>(uint32_t{x} << 16); }

}  // namespace trawl::engine
