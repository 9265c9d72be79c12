// Compiled once per instruction set. The sums of a tile of neighbouring pixels stay in registers
// over all taps.
#include "engine/simd/conv_grouped.h"

#include "engine/simd/tables.h"
#include "engine/simd/vector.h"

namespace trawl::engine::simd {
namespace {

/// Registers for sums; the others take pixels, a weight and, with SSE, a product.
constexpr int kSumRegisters = kWidth == 16 ? 24 : kWidth == 8 ? 12 : 8;

/// Lane m of the result is lane m ^ kBit.
template <int kBit>
[[gnu::always_inline]] inline Vector Exchange(Vector v) {
#define TRAWL_4(lane) (lane) ^ kBit, (lane + 1) ^ kBit, (lane + 2) ^ kBit, (lane + 3) ^ kBit
#if TRAWL_SIMD_WIDTH == 16
  return __builtin_shufflevector(v, v, TRAWL_4(0), TRAWL_4(4), TRAWL_4(8), TRAWL_4(12));
#elif TRAWL_SIMD_WIDTH == 8
  return __builtin_shufflevector(v, v, TRAWL_4(0), TRAWL_4(4));
#else
  return __builtin_shufflevector(v, v, TRAWL_4(0));
#endif
#undef TRAWL_4
}

/// Adds up sums r, of lanes m ^ r, for all r: those that differ in one bit, then in the next.
template <int kSums, int kBit = 1>
[[gnu::always_inline]] inline Vector Collect(Vector* sums) {
  if constexpr (kBit < kSums) {
#pragma GCC unroll 8
    for (int r = 0; r < kSums; r += 2 * kBit) sums[r] += Exchange<kBit>(sums[r + kBit]);
    return Collect<kSums, 2 * kBit>(sums);
  } else {
    return sums[0];
  }
}

/// One register of the output pixels from `first` on: `part` of the block.
template <int kSums, int kSources, int kPixels>
[[gnu::noinline]] void Tile(const WindowRun& run, const DepthwiseEpilogue& e, ptrdiff_t first,
                            int part) {
  constexpr int kTapFloats = kSources * kSums * kBlock;
  Vector sums[kPixels][kSums] = {};
  const float* x_row = run.x + first * run.pixel_step + part / kSources * kSources * kWidth;
  const float* weights_row = e.weights + part * kWidth;
#pragma GCC unroll 1
  for (ptrdiff_t row = 0; row < run.rows; ++row) {
    const float *x = x_row, *weights = weights_row;
#pragma GCC unroll 1
    for (ptrdiff_t column = 0; column < run.columns; ++column) {
#pragma GCC unroll 2
      for (int s = 0; s < kSources; ++s) {
        Vector pixels[kPixels];
#pragma GCC unroll 12
        for (int i = 0; i < kPixels; ++i) pixels[i] = Load(x + i * run.pixel_step + s * kWidth);
#pragma GCC unroll 8
        for (int r = 0; r < kSums; ++r) {
          const Vector weight = Load(weights + (s * kSums + r) * kBlock);
#pragma GCC unroll 12
          for (int i = 0; i < kPixels; ++i) sums[i][r] += pixels[i] * weight;
        }
      }
      x += run.column_step;
      weights += kTapFloats;
    }
    x_row += run.row_step;
    weights_row += e.weights_row;
  }
  const Vector bias = Load(e.bias + part * kWidth), scale = Load(e.scale + part * kWidth);
  const Vector low = Broadcast(e.low), high = Broadcast(e.high);
#pragma GCC unroll 12
  for (int i = 0; i < kPixels; ++i) {
    const ptrdiff_t at = (first + i) * kBlock + part * kWidth;
    Vector y = Collect<kSums>(sums[i]) + bias;
    if (e.residual != nullptr) y += Load(e.residual + at);
    y *= scale;
    y = y < low ? low : y;  // a NaN stays
    Store(run.y + at, y > high ? high : y);
  }
}

/// A tile of `count` pixels, 1 to kPixels.
template <int kSums, int kSources, int kPixels>
void Dispatch(const WindowRun& run, const DepthwiseEpilogue& e, ptrdiff_t first, ptrdiff_t count) {
  if constexpr (kPixels > 1) {
    if (count < kPixels) return Dispatch<kSums, kSources, kPixels - 1>(run, e, first, count);
  }
  for (int part = 0; part < kParts; ++part) Tile<kSums, kSources, kPixels>(run, e, first, part);
}

template <int kGroup>
void RunTiles(const WindowRun& run, const DepthwiseEpilogue& e) {
  constexpr int kSums = kGroup < kWidth ? kGroup : kWidth;
  constexpr int kMost = kSumRegisters / kSums;
  ptrdiff_t first = 0;
  // Even tiles: small ones wait for their additions.
  for (ptrdiff_t tiles = (run.pixels + kMost - 1) / kMost; tiles > 0; --tiles) {
    const ptrdiff_t count = (run.pixels - first + tiles - 1) / tiles;
    Dispatch<kSums, kGroup / kSums, kMost>(run, e, first, count);
    first += count;
  }
}

void Run(const WindowRun& run, ptrdiff_t width, const DepthwiseEpilogue& epilogue) {
  (width == 2 ? RunTiles<2> : width == 4 ? RunTiles<4> : RunTiles<8>)(run, epilogue);
}

}  // namespace

namespace TRAWL_ISA {
const GroupedConvMicrokernels kGroupedConv = {.register_width = kWidth, .run = Run};
}  // namespace TRAWL_ISA

}  // namespace trawl::engine::simd
