// Compiled once per instruction set. As the tiles of conv.cc, for panels of half a block of output
// channels: a 512-bit register holds those of two pixels.
#include "engine/simd/conv_narrow.h"

#include "engine/simd/tables.h"
#include "engine/simd/vector.h"

namespace trawl::engine::simd {
namespace {

/// Pixels that share a register of kNarrow channels each, their lanes in turn: such a pair is one
/// broadcast of twice the width.
constexpr int kNarrowPixels = kWidth / kNarrow > 1 ? kWidth / kNarrow : 1;
static_assert(kNarrowPixels <= 2);
/// Registers of a tile's pixel, or pair of pixels.
constexpr int kNarrowParts = kNarrow * kNarrowPixels / kWidth;

#if TRAWL_SIMD_WIDTH == 16
[[gnu::always_inline]] inline Vector BroadcastPixels(const float* x) {
  using Pair [[gnu::may_alias, gnu::aligned(4)]] = uint64_t;
  using Pairs [[gnu::vector_size(sizeof(Vector))]] = uint64_t;
  return reinterpret_cast<Vector>(Pairs{} + *reinterpret_cast<const Pair*>(x));
}
/// The channels of one pixel of a pair in the lower lanes, zeros in the others.
[[gnu::always_inline]] inline Vector OfPixel(Vector pair, int pixel) {
  using Lanes [[gnu::vector_size(sizeof(Vector))]] = int32_t;
  constexpr Lanes kFirst{0, 2, 4, 6, 8, 10, 12, 14, 16, 16, 16, 16, 16, 16, 16, 16};
  constexpr Lanes kSecond{1, 3, 5, 7, 9, 11, 13, 15, 16, 16, 16, 16, 16, 16, 16, 16};
  return __builtin_shuffle(pair, Vector{}, pixel == 0 ? kFirst : kSecond);
}
[[gnu::always_inline]] inline Vector EvenLanes(Vector a, Vector b) {
  return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
}
[[gnu::always_inline]] inline Vector OddLanes(Vector a, Vector b) {
  return __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
}
#else
[[gnu::always_inline]] inline Vector BroadcastPixels(const float* x) { return Broadcast(*x); }
[[gnu::always_inline]] inline Vector OfPixel(Vector sum, int) { return sum; }
#if TRAWL_SIMD_WIDTH == 8
[[gnu::always_inline]] inline Vector EvenLanes(Vector a, Vector b) {
  return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14);
}
[[gnu::always_inline]] inline Vector OddLanes(Vector a, Vector b) {
  return __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15);
}
#else
[[gnu::always_inline]] inline Vector EvenLanes(Vector a, Vector b) {
  return __builtin_shufflevector(a, b, 0, 2, 4, 6);
}
[[gnu::always_inline]] inline Vector OddLanes(Vector a, Vector b) {
  return __builtin_shufflevector(a, b, 1, 3, 5, 7);
}
#endif
#endif

/// Pixels, or pairs of them, whose sums stay in registers.
constexpr int kMaxItems = kWidth == 16 ? 14 : kWidth == 8 ? 9 : 6;

/// A run of at most kItems · kNarrowPixels pixels.
template <int kItems>
[[gnu::noinline]] void RunTile(const ConvRun& run, const Epilogue& e) {
  Vector sums[kItems][kNarrowParts] = {};
  const float* weights = run.weights;
#pragma GCC unroll 1
  for (ptrdiff_t t = 0; t < run.tap_count; ++t, weights += kNarrow * kNarrowPixels) {
    const float* x = run.x + run.taps[t];
    Vector row[kNarrowParts];
#pragma GCC unroll 2
    for (int j = 0; j < kNarrowParts; ++j) row[j] = Load(weights + j * kWidth);
#pragma GCC unroll 14
    for (int i = 0; i < kItems; ++i) {
      const Vector element = BroadcastPixels(x + i * kNarrowPixels);
#pragma GCC unroll 2
      for (int j = 0; j < kNarrowParts; ++j) sums[i][j] += element * row[j];
    }
  }
  const Vector low = Broadcast(e.bounded ? e.low : -__builtin_inff());
  const Vector high = Broadcast(e.bounded ? e.high : __builtin_inff());
#pragma GCC unroll 14
  for (int i = 0; i < kItems; ++i) {
#pragma GCC unroll 2
    for (int pixel = 0; pixel < kNarrowPixels; ++pixel) {
      if (i * kNarrowPixels + pixel == run.pixels) return;
#pragma GCC unroll 4
      for (int j = 0; j < kParts; ++j) {
        const ptrdiff_t at = (i * kNarrowPixels + pixel) * kBlock + j * kWidth;
        Vector y = j < kNarrowParts ? OfPixel(sums[i][j], pixel) : Vector{};
        if (e.bias != nullptr) y += Load(e.bias + j * kWidth);
        if (e.residual != nullptr) y += Load(e.residual + at);
        if (e.scale != nullptr) y *= Load(e.scale + j * kWidth);
        y = y < low ? low : y;  // a NaN stays
        Store(run.y + at, y > high ? high : y);
      }
    }
  }
}

void EverySecond(const float* x, ptrdiff_t count, float* y) {
  if (count <= kWidth) {
    for (ptrdiff_t i = 0; i < count; ++i) y[i] = x[2 * i];
    return;
  }
  ptrdiff_t i = 0;
  for (; i + kWidth < count; i += kWidth) {
    const float* from = x + 2 * i;
    StoreUnaligned(y + i, EvenLanes(LoadUnaligned(from), LoadUnaligned(from + kWidth)));
  }
  // The last register ends with the last element, which is an odd one from there.
  const float* from = x + 2 * (count - kWidth) - 1;
  StoreUnaligned(y + count - kWidth, OddLanes(LoadUnaligned(from), LoadUnaligned(from + kWidth)));
}

/// A tile of `count` items, 1 to kItems.
template <int kItems>
void DispatchTile(ptrdiff_t count, const ConvRun& run, const Epilogue& epilogue) {
  if constexpr (kItems > 1) {
    if (count < kItems) return DispatchTile<kItems - 1>(count, run, epilogue);
  }
  RunTile<kItems>(run, epilogue);
}

void RunTiles(const ConvRun& run, const Epilogue& epilogue) {
  ConvRun part = run;
  Epilogue e = epilogue;
  ptrdiff_t left = (run.pixels + kNarrowPixels - 1) / kNarrowPixels;
  for (ptrdiff_t tiles = (left + kMaxItems - 1) / kMaxItems; tiles > 0; --tiles) {  // even tiles
    const ptrdiff_t items = (left + tiles - 1) / tiles, pixels = items * kNarrowPixels;
    DispatchTile<kMaxItems>(items, part, e);
    left -= items;
    part.pixels -= pixels;
    part.x += pixels;
    part.y += pixels * kBlock;
    if (e.residual != nullptr) e.residual += pixels * kBlock;
  }
}

}  // namespace

namespace TRAWL_ISA {
const NarrowConvMicrokernels kNarrowConv = {
    .pixels = kNarrowPixels, .run = RunTiles, .every_second = EverySecond};
}  // namespace TRAWL_ISA

}  // namespace trawl::engine::simd
