// What stands between convolutions of bytes, and the table of all that there is for bytes.
#include "engine/simd/int8.h"

#include "engine/simd/int8_convs.h"
#include "engine/simd/int8_epilogue.h"
#include "engine/simd/tables.h"

namespace trawl::engine::simd {
namespace {

void Sum(const Int8Layer& layer, const int8_t* ones, int32_t factor, const uint8_t* x,
         ptrdiff_t pixels, int32_t* sums) {
  for (ptrdiff_t p = 0; p < pixels; ++p, x += layer.x_step) {
    Ints sum = Zero();
    for (ptrdiff_t t = 0; t < layer.tap_count; ++t) {
      for (ptrdiff_t d = 0; d < layer.depth; d += kBytes) {
        const FirstBytes first(layer.depth - d);
        Multiply4(sum, first.Load(x + layer.taps[t] + d), first.Load(ones + d));
      }
    }
    sums[p] = factor * SumOf(sum);
  }
}

void AddBytes(const Int8Epilogue& epilogue, const uint8_t* a, const uint8_t* b, uint8_t* y,
              ptrdiff_t count) {
  const Bounds bounds(epilogue.sum_low, epilogue.sum_high);
  for (ptrdiff_t i = 0; i < count; i += kBytes) {
    const FirstBytes first(count - i);
    const Wide own = Widen(first.Load(a + i)), residual = Widen(first.Load(b + i));
    Wide v;
    for (int j = 0; j < 4; ++j) v.part[j] = AddGrids(epilogue, own.part[j], residual.part[j]);
    first.Store(y + i, bounds.Of(PackWide(v)));
  }
}

/// Quantised numbers, bounded before the zero point is added, as QuantizedOffset does.
[[gnu::always_inline]] inline Ints Quantized(Floats x, Floats scale, Floats zero_point) {
  const Floats low = Repeat(0.0f) - zero_point, high = Repeat(255.0f) - zero_point;
  // Of a NaN and a number, the greater is the second operand.
  return Add(Round(Min(Max(x / scale, low), high)), Round(zero_point));
}

void Quantize(const float* const planes[kInt8Depth], ptrdiff_t pixels, float scale,
              float zero_point, uint8_t* y) {
  const Floats scales = Repeat(scale), zeros = Repeat(zero_point);
  for (ptrdiff_t p = 0; p < pixels; p += kLanes) {
    const FirstLanes first(pixels - p);
    Ints pixel = Zero();
    for (int i = kInt8Depth - 1; i >= 0; --i) {
      pixel = ShiftByte(pixel);
      if (planes[i] != nullptr) pixel |= Quantized(first.Load(planes[i] + p), scales, zeros);
    }
    first.Store(y + kInt8Depth * p, pixel);
  }
}

void Narrow(const uint8_t* x, ptrdiff_t pixels, ptrdiff_t channels, uint8_t* y) {
  alignas(16) uint8_t order[16] = {}, last[16] = {};
  for (ptrdiff_t i = 0; i < 4 * channels; ++i) {
    order[i] = static_cast<uint8_t>(4 * (i / channels) + i % channels);
  }
  const ptrdiff_t whole = pixels / 4 * 4;
  for (ptrdiff_t i = 0; i < 4 * (pixels - whole); ++i) last[i] = x[4 * whole + i];
  const __m128i indices = _mm_load_si128(reinterpret_cast<const __m128i*>(order));
  for (ptrdiff_t p = 0; p < pixels; p += 4) {
    const uint8_t* from = p < whole ? x + 4 * p : last;
    const __m128i four = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(y + channels * p), _mm_shuffle_epi8(four, indices));
  }
}

void Maximum(const uint8_t* x, ptrdiff_t rows, ptrdiff_t row_step, ptrdiff_t columns,
             ptrdiff_t column_step, uint8_t* y, ptrdiff_t count) {
  for (ptrdiff_t i = 0; i < count; i += kBytes) {
    const FirstBytes first(count - i);
    Ints greatest = Zero();
    for (ptrdiff_t r = 0; r < rows; ++r) {
      for (ptrdiff_t c = 0; c < columns; ++c) {
        greatest = MaxBytes(greatest, first.Load(x + r * row_step + c * column_step + i));
      }
    }
    first.Store(y + i, greatest);
  }
}

}  // namespace

namespace TRAWL_ISA {
const Int8Microkernels kInt8 = {.conv = Int8Conv,
                                .depthwise = Int8Depthwise,
                                .depthwise3 = Int8Depthwise3,
                                .sum = Sum,
                                .add = AddBytes,
                                .quantize = Quantize,
                                .narrow = Narrow,
                                .maximum = Maximum};
}  // namespace TRAWL_ISA

}  // namespace trawl::engine::simd
