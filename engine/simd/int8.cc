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
/// How far ahead weights are fetched, beyond their end too, where the next panel's begin: those of
/// deep layers come from the third-level cache, and panels are too short for the processor to see
/// them coming.
constexpr ptrdiff_t kWeightsAhead = 2048;

[[gnu::always_inline]] inline Ints Repeat4(const uint8_t* p) {
  Ints v;
  // volatile: loads that two pixels share are not kept in a register, of which none is left.
  asm volatile("vpbroadcastd %1, %0" : "=v"(v) : "m"(*reinterpret_cast<const int32_t*>(p)));
  return v;
}
[[gnu::always_inline]] inline void Multiply4(Ints& sum, Ints x, Ints w) {
  asm volatile("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w));
}
/// The sums of one pixel.
struct Sums {
  Ints part[2];
};

/// The first `count` of 32 or of 64 bytes.
[[gnu::always_inline]] inline __mmask32 First32(ptrdiff_t count) {
  return count >= 32 ? ~__mmask32{0} : (__mmask32{1} << count) - 1;
}
[[gnu::always_inline]] inline __mmask64 First64(ptrdiff_t count) {
  return count >= 64 ? ~__mmask64{0} : (__mmask64{1} << count) - 1;
}

/// 16 sums, scaled and shifted.
[[gnu::always_inline]] inline Floats Scaled(const Int8Epilogue& e, Ints sum, int part) {
  return _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_load_ps(e.multiplier + 16 * part),
                         _mm512_load_ps(e.shift + 16 * part));
}

/// 16 results, rounded, and 16 numbers of the residual.
[[gnu::always_inline]] inline Ints AddResidual(const Int8Epilogue& e, Ints v, Ints residual) {
  v = _mm512_min_epi32(_mm512_max_epi32(v, _mm512_set1_epi32(e.low)), _mm512_set1_epi32(e.high));
  const Floats rest = _mm512_fmadd_ps(
      _mm512_cvtepi32_ps(residual), _mm512_set1_ps(e.residual_scale), _mm512_set1_ps(e.sum_shift));
  return _mm512_cvtps_epi32(
      _mm512_fmadd_ps(_mm512_cvtepi32_ps(v), _mm512_set1_ps(e.own_scale), rest));
}

/// 16 sums and numbers of the residual, rounded together.
[[gnu::always_inline]] inline Ints JoinResidual(const Int8Epilogue& e, Floats v, Ints residual) {
  return _mm512_cvtps_epi32(
      _mm512_fmadd_ps(_mm512_cvtepi32_ps(residual), _mm512_set1_ps(e.residual_scale), v));
}

/// 16 results of sums and numbers of the residual.
[[gnu::always_inline]] inline Ints WithResidual(const Int8Epilogue& e, Ints sum, int part,
                                                Ints residual) {
  const Floats v = Scaled(e, sum, part);
  return e.joins ? JoinResidual(e, v, residual) : AddResidual(e, _mm512_cvtps_epi32(v), residual);
}

/// The epilogue's parameters in registers.
class Finisher {
 public:
  [[gnu::always_inline]] Finisher(const Int8Epilogue& e, int stored)
      : e_(e),
        mask_(First32(stored)),
        clamps_(LowOf(e) != 0 || HighOf(e) != 255),
        low_(_mm512_set1_epi8(static_cast<char>(LowOf(e)))),
        high_(_mm512_set1_epi8(static_cast<char>(HighOf(e)))) {}

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
  static uint8_t LowOf(const Int8Epilogue& e) { return e.has_residual ? e.sum_low : e.low; }
  static uint8_t HighOf(const Int8Epilogue& e) { return e.has_residual ? e.sum_high : e.high; }

  /// Packing has bounded the bytes already, mostly as tightly as is asked for.
  [[gnu::always_inline]] Ints Clamp(Ints bytes) const {
    if (!clamps_) return bytes;
    return _mm512_min_epu8(_mm512_max_epu8(bytes, low_), high_);
  }

  [[gnu::always_inline]] void StoreFloats(const Sums& sums, uint8_t* y) const {
    const Floats a = Scaled(e_, sums.part[0], 0), b = Scaled(e_, sums.part[1], 1);
    // Quarters of both registers in turn are the channels in their order.
    const Ints first = _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
    const Ints second = _mm512_add_epi32(first, _mm512_set1_epi32(8));
    auto* to = reinterpret_cast<float*>(y);
    _mm512_mask_storeu_ps(to, static_cast<__mmask16>(mask_), _mm512_permutex2var_ps(a, first, b));
    _mm512_mask_storeu_ps(to + 16, static_cast<__mmask16>(mask_ >> 16),
                          _mm512_permutex2var_ps(a, second, b));
  }

  [[gnu::always_inline]] Ints Words(const Sums& sums, const uint8_t* residual) const {
    if (e_.has_residual) {
      const Ints r = _mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(mask_, residual));
      const Ints zero = _mm512_setzero_si512();
      return _mm512_packs_epi32(WithResidual(e_, sums.part[0], 0, _mm512_unpacklo_epi16(r, zero)),
                                WithResidual(e_, sums.part[1], 1, _mm512_unpackhi_epi16(r, zero)));
    }
    return _mm512_packs_epi32(_mm512_cvtps_epi32(Scaled(e_, sums.part[0], 0)),
                              _mm512_cvtps_epi32(Scaled(e_, sums.part[1], 1)));
  }

  const Int8Epilogue& e_;
  __mmask32 mask_;
  bool clamps_;
  Ints low_, high_;
};

/// A few neighbouring pixels of a row.
struct Group {
  const uint8_t* x;
  uint8_t* y;
  const uint8_t* residual;
  const int32_t* start;
};

/// Fetches what the epilogue adds while the sums are made: a residual lies a whole row of channels
/// from one pixel to the next, which no hardware prefetcher follows.
template <int kPixels>
[[gnu::always_inline]] inline void FetchResidual(const Int8Layer& layer, const Group& group) {
#pragma GCC unroll 7
  for (int p = 0; p < kPixels; ++p) {
    _mm_prefetch(group.residual + p * layer.y_step, _MM_HINT_T0);
  }
}

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
  if (epilogue.has_residual) {
    FetchResidual<kFirst>(layer, a);
    FetchResidual<kSecond>(layer, b);
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
      _mm_prefetch(weights + kWeightsAhead, _MM_HINT_T0);
      _mm_prefetch(weights + kWeightsAhead + 64, _MM_HINT_T0);
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

/// 64 channels as sums, or four bytes of each.
struct Wide {
  Ints part[4];
};

/// The bytes that four registers have of each channel, side by side, in lanes of Int8WideChannel.
[[gnu::always_inline]] inline Wide Transpose(Ints a, Ints b, Ints c, Ints d) {
  const Ints ab0 = _mm512_unpacklo_epi8(a, b), ab1 = _mm512_unpackhi_epi8(a, b);
  const Ints cd0 = _mm512_unpacklo_epi8(c, d), cd1 = _mm512_unpackhi_epi8(c, d);
  return {{_mm512_unpacklo_epi16(ab0, cd0), _mm512_unpackhi_epi16(ab0, cd0),
           _mm512_unpacklo_epi16(ab1, cd1), _mm512_unpackhi_epi16(ab1, cd1)}};
}

[[gnu::always_inline]] inline void MultiplyWide(Wide& sums, const Wide& x, const int8_t* weights) {
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    Multiply4(sums.part[j], x.part[j], _mm512_load_si512(weights + 64 * j));
  }
}

[[gnu::always_inline]] inline Wide NoSums() {
  const Ints zero = _mm512_setzero_si512();
  return {{zero, zero, zero, zero}};
}

[[gnu::always_inline]] inline void StoreWide(const Int8Epilogue& e, __mmask64 mask,
                                             const Wide& sums, const uint8_t* residual,
                                             uint8_t* y) {
  Ints v[4];
  if (e.has_residual) {
    const Ints zero = _mm512_setzero_si512();
    const Wide r = Transpose(_mm512_maskz_loadu_epi8(mask, residual), zero, zero, zero);
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) v[j] = WithResidual(e, sums.part[j], j, r.part[j]);
  } else {
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) v[j] = _mm512_cvtps_epi32(Scaled(e, sums.part[j], j));
  }
  const Ints bytes =
      _mm512_packus_epi16(_mm512_packs_epi32(v[0], v[1]), _mm512_packs_epi32(v[2], v[3]));
  const Ints low = _mm512_set1_epi8(static_cast<char>(e.has_residual ? e.sum_low : e.low));
  const Ints high = _mm512_set1_epi8(static_cast<char>(e.has_residual ? e.sum_high : e.high));
  _mm512_mask_storeu_epi8(y, mask, _mm512_min_epu8(_mm512_max_epu8(bytes, low), high));
}

void Depthwise(const Int8Layer& layer, const int8_t* weights, const Int8Epilogue& epilogue,
               const Int8Row* rows, ptrdiff_t count) {
  const __mmask64 mask = First64(layer.stored);
  for (ptrdiff_t r = 0; r < count; ++r) {
    const Int8Row& row = rows[r];
    const uint8_t* residual = row.residual == nullptr ? row.y : row.residual;
    for (ptrdiff_t p = 0; p < row.pixels; ++p) {
      const uint8_t* x = row.x + p * layer.x_step;
      const auto load = [&](ptrdiff_t t) __attribute__((always_inline)) {
        return _mm512_maskz_loadu_epi8(mask, x + layer.taps[t]);
      };
      Wide sums = NoSums();
      const int8_t* w = weights;
      for (ptrdiff_t t = 0; t < layer.tap_count; t += 4, w += 4 * 64) {
        MultiplyWide(sums, Transpose(load(t), load(t + 1), load(t + 2), load(t + 3)), w);
      }
      const ptrdiff_t at = p * layer.y_step;
      StoreWide(epilogue, mask, sums, residual + at, row.y + at);
    }
  }
}

void Depthwise3(const Int8Layer& layer, const int8_t* weights, const Int8Epilogue& epilogue,
                const Int8Row* rows, ptrdiff_t count) {
  const __mmask64 mask = First64(layer.stored);
  const ptrdiff_t step = layer.x_step;
  for (ptrdiff_t r = 0; r < count; ++r) {
    const Int8Row& row = rows[r];
    const uint8_t* residual = row.residual == nullptr ? row.y : row.residual;
    for (ptrdiff_t p = 0; p < row.pixels; p += 2) {
      const bool two = p + 1 < row.pixels;
      // What only the second pixel sees is not there behind the last of an odd number.
      const __mmask64 last = two ? mask : 0;
      Wide first = NoSums(), second = NoSums();
      const int8_t* w = weights;
      for (ptrdiff_t t = 0; t < layer.tap_count; ++t, w += 8 * 64) {
        const uint8_t* x = row.x + p * step + layer.taps[t];
        const Wide seen =
            Transpose(_mm512_maskz_loadu_epi8(mask, x), _mm512_maskz_loadu_epi8(mask, x + step),
                      _mm512_maskz_loadu_epi8(mask, x + 2 * step),
                      _mm512_maskz_loadu_epi8(last, x + 3 * step));
        MultiplyWide(first, seen, w);
        MultiplyWide(second, seen, w + 4 * 64);
      }
      const ptrdiff_t at = p * layer.y_step;
      StoreWide(epilogue, mask, first, residual + at, row.y + at);
      const ptrdiff_t next = at + layer.y_step;
      if (two) StoreWide(epilogue, mask, second, residual + next, row.y + next);
    }
  }
}

void Sum(const Int8Layer& layer, const int8_t* ones, int32_t factor, const uint8_t* x,
         ptrdiff_t pixels, int32_t* sums) {
  for (ptrdiff_t p = 0; p < pixels; ++p, x += layer.x_step) {
    Ints sum = _mm512_setzero_si512();
    for (ptrdiff_t t = 0; t < layer.tap_count; ++t) {
      for (ptrdiff_t d = 0; d < layer.depth; d += 64) {
        const __mmask64 mask = First64(layer.depth - d);
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

/// 16 quantised numbers, bounded before the zero point is added, as QuantizedOffset does.
[[gnu::always_inline]] inline Ints QuantizeSixteen(__mmask16 mask, const float* x, Floats scale,
                                                   Floats zero_point) {
  const Floats ratio = _mm512_div_ps(_mm512_maskz_loadu_ps(mask, x), scale);
  const Floats low = _mm512_sub_ps(_mm512_setzero_ps(), zero_point);
  const Floats high = _mm512_sub_ps(_mm512_set1_ps(255), zero_point);
  // Of a NaN and a number, the greater is the second operand.
  const Floats bounded = _mm512_min_ps(_mm512_max_ps(ratio, low), high);
  return _mm512_add_epi32(_mm512_cvtps_epi32(bounded), _mm512_cvtps_epi32(zero_point));
}

void Quantize(const float* const planes[kInt8Depth], ptrdiff_t pixels, float scale,
              float zero_point, uint8_t* y) {
  const Floats scales = _mm512_set1_ps(scale), zeros = _mm512_set1_ps(zero_point);
  for (ptrdiff_t p = 0; p < pixels; p += 16) {
    const auto mask = static_cast<__mmask16>(First32(pixels - p));
    Ints pixel = _mm512_setzero_si512();
    for (int i = kInt8Depth - 1; i >= 0; --i) {
      pixel = _mm512_slli_epi32(pixel, 8);
      if (planes[i] == nullptr) continue;
      pixel = _mm512_or_si512(pixel, QuantizeSixteen(mask, planes[i] + p, scales, zeros));
    }
    _mm512_mask_storeu_epi32(y + kInt8Depth * p, mask, pixel);
  }
}

void Narrow(const uint8_t* x, ptrdiff_t pixels, ptrdiff_t channels, uint8_t* y) {
  alignas(16) uint8_t order[16] = {};
  for (ptrdiff_t i = 0; i < 4 * channels; ++i) {
    order[i] = static_cast<uint8_t>(4 * (i / channels) + i % channels);
  }
  const __m128i indices = _mm_load_si128(reinterpret_cast<const __m128i*>(order));
  for (ptrdiff_t p = 0; p < pixels; p += 4) {
    const auto mask = static_cast<__mmask16>(First32(4 * (pixels - p)));
    const __m128i four = _mm_maskz_loadu_epi8(mask, x + 4 * p);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(y + channels * p), _mm_shuffle_epi8(four, indices));
  }
}

void Maximum(const uint8_t* x, ptrdiff_t rows, ptrdiff_t row_step, ptrdiff_t columns,
             ptrdiff_t column_step, uint8_t* y, ptrdiff_t count) {
  for (ptrdiff_t i = 0; i < count; i += 64) {
    const __mmask64 mask = First64(count - i);
    Ints greatest = _mm512_setzero_si512();
    for (ptrdiff_t r = 0; r < rows; ++r) {
      for (ptrdiff_t c = 0; c < columns; ++c) {
        const uint8_t* from = x + r * row_step + c * column_step + i;
        greatest = _mm512_max_epu8(greatest, _mm512_maskz_loadu_epi8(mask, from));
      }
    }
    _mm512_mask_storeu_epi8(y + i, mask, greatest);
  }
}

}  // namespace

namespace avx512vnni {
const Int8Microkernels kInt8 = {.conv = Conv,
                                .depthwise = Depthwise,
                                .depthwise3 = Depthwise3,
                                .sum = Sum,
                                .add = Add,
                                .quantize = Quantize,
                                .narrow = Narrow,
                                .maximum = Maximum};
}  // namespace avx512vnni

}  // namespace trawl::engine::simd
