#pragma once
// The sums of some pixels by a panel of output channels, in registers: what the inner loops of
// dense convolutions share. Included only by files that are compiled once per instruction set, for
// which vector.h's rules hold.

#include "engine/simd/epilogue.h"
#include "engine/simd/vector.h"

namespace trawl::engine::simd {
namespace {

// Tiles: sums, weights and a broadcast fill the register file (32 registers with AVX-512, 16
// before). Many pixels by few registers read the fewest weights; SSE, whose broadcast takes two
// instructions, wants it the other way round.
constexpr int kMaxBlocks = kWidth == 16 ? 3 : 1;
constexpr int kMaxPixels = kWidth == 16 ? 14 : kWidth == 8 ? 6 : 3;
constexpr int TilePixels(int blocks) { return blocks == 3 ? 9 : kMaxPixels; }

template <int kPixels, int kBlocks>
struct Sums {
  static constexpr int kRegisters = kBlocks * kParts;

  Vector sums[kPixels][kRegisters];

  [[gnu::always_inline]] void Start(const float* bias) {
#pragma GCC unroll 6
    for (int j = 0; j < kRegisters; ++j) {
      const Vector first = bias == nullptr ? Vector{} : Load(bias + j * kWidth);
#pragma GCC unroll 14
      for (int i = 0; i < kPixels; ++i) sums[i][j] = first;
    }
  }

  template <class Change>
  [[gnu::always_inline]] void Each(Change change) {
#pragma GCC unroll 6
    for (int j = 0; j < kRegisters; ++j) {
#pragma GCC unroll 14
      for (int i = 0; i < kPixels; ++i) change(sums[i][j], i, j);
    }
  }

  [[gnu::always_inline]] void Finish(float* y, ptrdiff_t y_block_stride, const Epilogue& e) {
    if (e.residual != nullptr) {
      Each([&](Vector& sum, int i, int j) [[gnu::always_inline]] {
        sum += Load(e.residual + Offset(i, j, e.residual_block_stride));
      });
    }
    if (e.scale != nullptr) {
      Each([&](Vector& sum, int, int j)
               [[gnu::always_inline]] { sum *= Load(e.scale + j * kWidth); });
    }
    if (e.bounded) {
      const Vector low = Broadcast(e.low), high = Broadcast(e.high);
      Each([&](Vector& sum, int, int) [[gnu::always_inline]] {
        sum = sum < low ? low : sum;  // a NaN stays
        sum = sum > high ? high : sum;
      });
    }
    Each([&](Vector& sum, int i, int j)
             [[gnu::always_inline]] { Store(y + Offset(i, j, y_block_stride), sum); });
  }

  [[gnu::always_inline]] static ptrdiff_t Offset(int pixel, int j, ptrdiff_t block_stride) {
    return j / kParts * block_stride + pixel * kBlock + j % kParts * kWidth;
  }
};

/// The residual is fetched while the sums are made.
template <int kPixels, int kBlocks>
[[gnu::always_inline]] inline void PrefetchResidual(const Epilogue& e) {
  if (e.residual == nullptr) return;
  for (int b = 0; b < kBlocks; ++b) {
    for (int i = 0; i < kPixels; ++i) {
      __builtin_prefetch(e.residual + b * e.residual_block_stride + i * kBlock);
    }
  }
}

/// Calls `tile(pixels, run, epilogue)` for a run's pixels, at most `most` at a time, whose inputs
/// are `pixel_step` apart. Even tiles: 16 pixels are 8 + 8, not 14 + 2, since a small tile waits
/// for its operands.
template <class Run, class Tile>
[[gnu::always_inline]] inline void ForEachTile(Run run, Epilogue epilogue, int most,
                                               ptrdiff_t pixel_step, Tile tile) {
  ptrdiff_t left = run.pixels;
  for (ptrdiff_t count = (left + most - 1) / most; count > 0; --count) {
    const ptrdiff_t pixels = (left + count - 1) / count;
    tile(pixels, run, epilogue);
    run.x += pixels * pixel_step;
    run.y += pixels * kBlock;
    if (epilogue.residual != nullptr) epilogue.residual += pixels * kBlock;
    left -= pixels;
  }
}

#define TRAWL_TILES_3(kind, blocks) kind<1, blocks>, kind<2, blocks>, kind<3, blocks>
#define TRAWL_TILES_6(kind, blocks) \
  TRAWL_TILES_3(kind, blocks), kind<4, blocks>, kind<5, blocks>, kind<6, blocks>
#define TRAWL_TILES_9(kind, blocks) \
  TRAWL_TILES_6(kind, blocks), kind<7, blocks>, kind<8, blocks>, kind<9, blocks>
#define TRAWL_TILES_14(kind, blocks)                                                 \
  TRAWL_TILES_9(kind, blocks), kind<10, blocks>, kind<11, blocks>, kind<12, blocks>, \
      kind<13, blocks>, kind<14, blocks>
/// The functions of all tiles: [kMaxBlocks][kMaxPixels].
#if TRAWL_SIMD_WIDTH == 16
#define TRAWL_TILES(kind) \
  {TRAWL_TILES_14(kind, 1)}, {TRAWL_TILES_14(kind, 2)}, { TRAWL_TILES_9(kind, 3) }
#elif TRAWL_SIMD_WIDTH == 8
#define TRAWL_TILES(kind) \
  { TRAWL_TILES_6(kind, 1) }
#else
#define TRAWL_TILES(kind) \
  { TRAWL_TILES_3(kind, 1) }
#endif

}  // namespace
}  // namespace trawl::engine::simd
