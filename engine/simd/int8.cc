// The products are written as instructions: from intrinsics GCC 12 moves the sums, which the
// instruction overwrites, to and fro between registers, which costs a third of the speed.
#include "engine/simd/int8.h"

#include <immintrin.h>

#include "engine/simd/tables.h"

namespace trawl::engine::simd {
namespace {

using Ints = __m512i;
using Floats = __m512;

/// Pixels of a group; two groups are a tile, whose sums and operands fill the 32 registers.
constexpr int kGroup = 7;

[[gnu::always_inline]] inline Ints Repeat4(const uint8_t* p) {
  Ints v;
  // volatile: loads that two pixels share are not kept in a register, of which none is left.
  asm volatile("vpbroadcastd %1, %0" : "=v"(v) : "m"(*reinterpret_cast<const int32_t*>(p)));
  return v;
}
[[gnu::always_inline]] inline void Multiply4(Ints& sum, Ints x, Ints w) {
  asm volatile("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w));
}
[[gnu::always_inline]] inline void Multiply2(Ints& sum, Ints x, Ints w) {
  asm volatile("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w));
}

/// The sums of one pixel.
struct Sums {
  Ints part[2];
};

/// The epilogue's parameters in registers.
class Finisher {
 public:
  [[gnu::always_inline]] Finisher(const Int8Epilogue& e, int stored)
      : e_(e),
        mask_(stored >= 32 ? ~__mmask32{0} : (__mmask32{1} << stored) - 1),
        low_(_mm512_set1_epi8(static_cast<char>(e.has_residual ? e.sum_low : e.low))),
        high_(_mm512_set1_epi8(static_cast<char>(e.has_residual ? e.sum_high : e.high))) {}

  /// Stores two pixels, or (y1 == nullptr) one.
  [[gnu::always_inline]] void Store(const Sums& s0, const Sums& s1, const uint8_t* r0,
                                    const uint8_t* r1, uint8_t* y0, uint8_t* y1) const {
    if (e_.to_float) {
      StoreFloats(s0, y0);
      if (y1 != nullptr) StoreFloats(s1, y1);
      return;
    }
    const Ints order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
    const Ints bytes = _mm512_packus_epi16(Words(s0, r0), Words(s1, r1));
    const Ints y = _mm512_permutexvar_epi64(order, Clamp(bytes));
    _mm256_mask_storeu_epi8(y0, mask_, _mm512_castsi512_si256(y));
    if (y1 != nullptr) _mm256_mask_storeu_epi8(y1, mask_, _mm512_extracti64x4_epi64(y, 1));
  }

 private:
  [[gnu::always_inline]] Ints Clamp(Ints bytes) const {
    return _mm512_min_epu8(_mm512_max_epu8(bytes, low_), high_);
  }

  [[gnu::always_inline]] Floats Scaled(const Sums& sums, int part) const {
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums.part[part]),
                           _mm512_load_ps(e_.multiplier + 16 * part),
                           _mm512_load_ps(e_.shift + 16 * part));
  }

  [[gnu::always_inline]] void StoreFloats(const Sums& sums, uint8_t* y) const {
    const Floats a = Scaled(sums, 0), b = Scaled(sums, 1);
    // Quarters of both registers in turn are the channels in their order.
    const Ints first = _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
    const Ints second = _mm512_add_epi32(first, _mm512_set1_epi32(8));
    auto* to = reinterpret_cast<float*>(y);
    _mm512_mask_storeu_ps(to, static_cast<__mmask16>(mask_), _mm512_permutex2var_ps(a, first, b));
    _mm512_mask_storeu_ps(to + 16, static_cast<__mmask16>(mask_ >> 16),
                          _mm512_permutex2var_ps(a, second, b));
  }

  [[gnu::always_inline]] Ints Words(const Sums& sums, const uint8_t* residual) const {
    Ints v[2];
    for (int j = 0; j < 2; ++j) v[j] = _mm512_cvtps_epi32(Scaled(sums, j));
    if (e_.has_residual) {
      const Ints r = _mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(mask_, residual));
      const Ints zero = _mm512_setzero_si512();
      v[0] = AddResidual(v[0], _mm512_unpacklo_epi16(r, zero));
      v[1] = AddResidual(v[1], _mm512_unpackhi_epi16(r, zero));
    }
    return _mm512_packs_epi32(v[0], v[1]);
  }

  [[gnu::always_inline]] Ints AddResidual(Ints v, Ints residual) const {
    v = _mm512_min_epi32(_mm512_max_epi32(v, _mm512_set1_epi32(e_.low)),
                         _mm512_set1_epi32(e_.high));
    const Floats rest =
        _mm512_fmadd_ps(_mm512_cvtepi32_ps(residual), _mm512_set1_ps(e_.residual_scale),
                        _mm512_set1_ps(e_.sum_shift));
    return _mm512_cvtps_epi32(
        _mm512_fmadd_ps(_mm512_cvtepi32_ps(v), _mm512_set1_ps(e_.own_scale), rest));
  }

  const Int8Epilogue& e_;
  __mmask32 mask_;
  Ints low_, high_;
};

/// A few neighbouring pixels of a row.
struct Group {
  const uint8_t* x;
  uint8_t* y;
  const uint8_t* residual;
  const int32_t* start;
};

/// kFirst pixels at `a` and kSecond at `b`.
template <int kFirst, int kSecond>
[[gnu::noinline]] void ConvTile(const Int8Layer& layer, const int8_t* weights,
                                const Int8Epilogue& epilogue, const Group& a, const Group& b) {
  constexpr int kPixels = kFirst + kSecond;
  Sums sums[kPixels];
#pragma GCC unroll 14
  for (int p = 0; p < kPixels; ++p) {
    const int32_t* start = p < kFirst ? a.start : b.start;
    const Ints first = start == nullptr ? _mm512_setzero_si512()
                                        : _mm512_set1_epi32(start[p < kFirst ? p : p - kFirst]);
    sums[p].part[0] = sums[p].part[1] = first;
  }
  const ptrdiff_t step = layer.x_step;
  ptrdiff_t step3 = 3 * step, step5 = 5 * step;
  // Unknown to the compiler, which would keep a pointer for each pixel otherwise.
  asm volatile("" : "+r"(step3), "+r"(step5));
  const auto at = [&](const uint8_t* x, int p) __attribute__((always_inline)) {
    return p == 3 ? x + step3 : p == 5 ? x + step5 : p == 6 ? x + 2 * step3 : x + p * step;
  };
  for (ptrdiff_t t = 0; t < layer.tap_count; ++t) {
    const uint8_t* xa = a.x + layer.taps[t];
    const uint8_t* xb = kSecond > 0 ? b.x + layer.taps[t] : xa;
    const uint8_t* end = xa + layer.depth;
#pragma GCC unroll 1
    while (xa != end) {
      const Ints w0 = _mm512_load_si512(weights), w1 = _mm512_load_si512(weights + 64);
      weights += 2 * 64;
#pragma GCC unroll 14
      for (int p = 0; p < kPixels; ++p) {
        const Ints x = Repeat4(p < kFirst ? at(xa, p) : at(xb, p - kFirst));
        Multiply4(sums[p].part[0], x, w0);
        Multiply4(sums[p].part[1], x, w1);
      }
      xa += kInt8Depth;
      xb += kInt8Depth;
    }
  }
  const Finisher finisher(epilogue, layer.stored);
#pragma GCC unroll 14
  for (int p = 0; p < kPixels; p += 2) {
    const auto group = [&](int q) -> const Group& { return q < kFirst ? a : b; };
    const auto offset = [&](int q) { return (q < kFirst ? q : q - kFirst) * layer.y_step; };
    const int q = p + 1 < kPixels ? p + 1 : p;
    finisher.Store(sums[p], sums[q], group(p).residual + offset(p), group(q).residual + offset(q),
                   group(p).y + offset(p), q == p ? nullptr : group(q).y + offset(q));
  }
}

using Tile = void (*)(const Int8Layer&, const int8_t*, const Int8Epilogue&, const Group&,
                      const Group&);
constexpr Tile kSingles[] = {nullptr,        ConvTile<1, 0>, ConvTile<2, 0>, ConvTile<3, 0>,
                             ConvTile<4, 0>, ConvTile<5, 0>, ConvTile<6, 0>, ConvTile<7, 0>};

void Conv(const Int8Layer& layer, const int8_t* weights, const Int8Epilogue& epilogue,
          const Int8Row* rows, ptrdiff_t count) {
  Group waiting{};
  bool has_waiting = false;
  for (ptrdiff_t r = 0; r < count; ++r) {
    const Int8Row& row = rows[r];
    for (ptrdiff_t p = 0; p < row.pixels; p += kGroup) {
      const Group group{row.x + p * layer.x_step, row.y + p * layer.y_step,
                        // Never read where there is no residual.
                        (row.residual == nullptr ? row.y : row.residual) + p * layer.y_step,
                        row.start == nullptr ? nullptr : row.start + p};
      const ptrdiff_t left = row.pixels - p;
      if (left < kGroup) {
        kSingles[left](layer, weights, epilogue, group, group);
      } else if (has_waiting) {
        // Whole groups pair up across rows: a map of 7 × 7 has one a row.
        ConvTile<kGroup, kGroup>(layer, weights, epilogue, waiting, group);
        has_waiting = false;
      } else {
        waiting = group;
        has_waiting = true;
      }
    }
  }
  if (has_waiting) ConvTile<kGroup, 0>(layer, weights, epilogue, waiting, waiting);
}

/// The sums of one pixel of a depthwise convolution.
[[gnu::always_inline]] inline Sums SumWindow(const Int8Layer& layer, const int16_t* weights,
                                             __mmask32 mask, const uint8_t* x) {
  Sums sums{_mm512_setzero_si512(), _mm512_setzero_si512()};
  for (ptrdiff_t t = 0; t < layer.tap_count; t += 2, weights += 2 * 32) {
    const Ints first = _mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(mask, x + layer.taps[t]));
    const Ints second = _mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(mask, x + layer.taps[t + 1]));
    Multiply2(sums.part[0], _mm512_unpacklo_epi16(first, second), _mm512_load_si512(weights));
    Multiply2(sums.part[1], _mm512_unpackhi_epi16(first, second), _mm512_load_si512(weights + 32));
  }
  return sums;
}

void Depthwise(const Int8Layer& layer, const int16_t* weights, const Int8Epilogue& epilogue,
               const Int8Row* rows, ptrdiff_t count) {
  const Finisher finisher(epilogue, layer.stored);
  const __mmask32 mask = layer.stored >= 32 ? ~__mmask32{0} : (__mmask32{1} << layer.stored) - 1;
  for (ptrdiff_t r = 0; r < count; ++r) {
    const Int8Row& row = rows[r];
    for (ptrdiff_t p = 0; p < row.pixels; p += 2) {
      const bool two = p + 1 < row.pixels;
      const ptrdiff_t q = two ? p + 1 : p;
      const uint8_t* residual = row.residual == nullptr ? row.y : row.residual;
      finisher.Store(SumWindow(layer, weights, mask, row.x + p * layer.x_step),
                     SumWindow(layer, weights, mask, row.x + q * layer.x_step),
                     residual + p * layer.y_step, residual + q * layer.y_step,
                     row.y + p * layer.y_step, two ? row.y + q * layer.y_step : nullptr);
    }
  }
}

void Sum(const Int8Layer& layer, const int8_t* ones, int32_t factor, const uint8_t* x,
         ptrdiff_t pixels, int32_t* sums) {
  for (ptrdiff_t p = 0; p < pixels; ++p, x += layer.x_step) {
    Ints sum = _mm512_setzero_si512();
    for (ptrdiff_t t = 0; t < layer.tap_count; ++t) {
      for (ptrdiff_t d = 0; d < layer.depth; d += 64) {
        const ptrdiff_t left = layer.depth - d;
        const __mmask64 mask = left >= 64 ? ~__mmask64{0} : (__mmask64{1} << left) - 1;
        Multiply4(sum, _mm512_maskz_loadu_epi8(mask, x + layer.taps[t] + d),
                  _mm512_maskz_loadu_epi8(mask, ones + d));
      }
    }
    sums[p] = factor * _mm512_reduce_add_epi32(sum);
  }
}

/// 16 results as bytes.
[[gnu::always_inline]] inline __m128i AddSixteen(const Int8Epilogue& e, __m128i a, __m128i b) {
  const Floats rest =
      _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(b)), _mm512_set1_ps(e.residual_scale),
                      _mm512_set1_ps(e.sum_shift));
  const Ints y = _mm512_cvtps_epi32(_mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(a)),
                                                    _mm512_set1_ps(e.own_scale), rest));
  const Ints bounded = _mm512_min_epi32(_mm512_max_epi32(y, _mm512_set1_epi32(e.sum_low)),
                                        _mm512_set1_epi32(e.sum_high));
  return _mm512_cvtepi32_epi8(bounded);
}

void Add(const Int8Epilogue& epilogue, const uint8_t* a, const uint8_t* b, uint8_t* y,
         ptrdiff_t count) {
  for (ptrdiff_t i = 0; i < count; i += 16) {
    const ptrdiff_t left = count - i;
    const __mmask16 mask =
        static_cast<__mmask16>(left >= 16 ? 0xFFFF : (1U << static_cast<unsigned>(left)) - 1);
    _mm_mask_storeu_epi8(
        y + i, mask,
        AddSixteen(epilogue, _mm_maskz_loadu_epi8(mask, a + i), _mm_maskz_loadu_epi8(mask, b + i)));
  }
}

}  // namespace

namespace avx512vnni {
const Int8Microkernels kInt8 = {.conv = Conv, .depthwise = Depthwise, .sum = Sum, .add = Add};
}  // namespace avx512vnni

}  // namespace trawl::engine::simd
