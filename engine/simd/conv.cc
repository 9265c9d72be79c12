// Compiled once per instruction set. The sums of a tile, some pixels by a panel of output channels,
// stay in registers over all taps and channels; each step multiplies the panel's weights by one
// broadcast element of each pixel.
#include "engine/simd/conv.h"

#include "engine/simd/tables.h"
#include "engine/simd/vector.h"

namespace trawl::engine::simd {
namespace {

// Tiles: sums, weights and a broadcast fill the register file (32 registers with AVX-512, 16
// before). Many pixels by few registers read the fewest weights; SSE, whose broadcast takes two
// instructions, wants it the other way round.
constexpr int kMaxBlocks = kWidth == 16 ? 3 : 1;
constexpr int kMaxPixels = kWidth == 16 ? 14 : kWidth == 8 ? 6 : 3;
constexpr int TilePixels(int blocks) { return blocks == 3 ? 9 : kMaxPixels; }
/// Steps that weights are fetched ahead.
constexpr int kPrefetchSteps = 32;

template <int kPixels, int kBlocks>
struct Tile {
  static constexpr int kRegisters = kBlocks * kParts;
  static constexpr int kPanel = kBlocks * kBlock;

  Vector sums[kPixels][kRegisters];

  [[gnu::always_inline]] void Start(const float* bias) {
#pragma GCC unroll 6
    for (int j = 0; j < kRegisters; ++j) {
      const Vector first = bias == nullptr ? Vector{} : Load(bias + j * kWidth);
#pragma GCC unroll 14
      for (int i = 0; i < kPixels; ++i) sums[i][j] = first;
    }
  }

  [[gnu::always_inline]] void Step(const float* x, ptrdiff_t pixel_step, const float* weights) {
    Vector row[kRegisters];
#pragma GCC unroll 6
    for (int j = 0; j < kRegisters; ++j) row[j] = Load(weights + j * kWidth);
#pragma GCC unroll 3
    for (int j = 0; j < kPanel; j += kBlock) {
      __builtin_prefetch(weights + kPrefetchSteps * kPanel + j);
    }
#pragma GCC unroll 14
    for (int i = 0; i < kPixels; ++i) {
      const Vector element = Broadcast(x[i * pixel_step]);
#pragma GCC unroll 6
      for (int j = 0; j < kRegisters; ++j) sums[i][j] += element * row[j];
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

  [[gnu::always_inline]] void Finish(const ConvRun& run, const Epilogue& e) {
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
             [[gnu::always_inline]] { Store(run.y + Offset(i, j, run.y_block_stride), sum); });
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

template <int kPixels, int kBlocks>
[[gnu::noinline]] void BlockedTile(const ConvRun& run, const Epilogue& epilogue) {
  Tile<kPixels, kBlocks> tile;
  PrefetchResidual<kPixels, kBlocks>(epilogue);
  tile.Start(epilogue.bias);
  const float* weights = run.weights;
  const float* later = run.next_weights == nullptr ? weights : run.next_weights;
  const ptrdiff_t later_step = run.next_weights == nullptr ? 0 : kBlock;
  const float* block = run.x;
  for (ptrdiff_t left = run.channels; left > 0; left -= kBlock, block += run.block_stride) {
    const ptrdiff_t channels = left < kBlock ? left : kBlock;
    for (ptrdiff_t t = 0; t < run.tap_count; ++t) {
      const float* x = block + run.taps[t];
      // The next tap's pixels, one line a step: they lie too far apart for the processor to guess.
      const float* next =
          t + 1 < run.tap_count ? block + run.taps[t + 1] : block + run.block_stride + run.taps[0];
#pragma GCC unroll 1
      for (const float* end = x + channels; x != end; ++x, weights += tile.kPanel, next += kBlock) {
        __builtin_prefetch(next);
        __builtin_prefetch(later, 0, 2);
        later += later_step;
        tile.Step(x, kBlock, weights);
      }
    }
  }
  tile.Finish(run, epilogue);
}

template <int kPixels, int kBlocks>
[[gnu::noinline]] void PlanarTile(const ConvRun& run, const Epilogue& epilogue) {
  Tile<kPixels, kBlocks> tile;
  tile.Start(epilogue.bias);
  const float* weights = run.weights;
#pragma GCC unroll 1
  for (ptrdiff_t t = 0; t < run.tap_count; ++t, weights += tile.kPanel) {
    tile.Step(run.x + run.taps[t], 1, weights);
  }
  tile.Finish(run, epilogue);
}

using TileFunction = void (*)(const ConvRun&, const Epilogue&);

/// Even tiles: 16 pixels are 8 + 8, not 14 + 2, since a small tile waits for its operands.
void ForEachTile(ConvRun run, Epilogue epilogue, const TileFunction* tiles, ptrdiff_t pixel_step) {
  const int most = TilePixels(run.blocks);
  const ptrdiff_t lines = run.channels * run.tap_count;
  ptrdiff_t left = run.pixels, passed = 0;
  for (ptrdiff_t count = (left + most - 1) / most; count > 0; --count) {
    const ptrdiff_t pixels = (left + count - 1) / count;
    tiles[pixels - 1](run, epilogue);
    // A tile fetches a line of the next weights a step, so that as many tiles as there are blocks
    // fetch all; what is left when there are fewer tiles, the next run fetches for itself.
    if (run.next_weights != nullptr) {
      run.next_weights = ++passed < run.blocks ? run.next_weights + lines * kBlock : nullptr;
    }
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

void RunBlocked(const ConvRun& run, const Epilogue& epilogue) {
  static constexpr TileFunction kTiles[kMaxBlocks][kMaxPixels] = {TRAWL_TILES(BlockedTile)};
  ForEachTile(run, epilogue, kTiles[run.blocks - 1], kBlock);
}

void RunPlanar(const ConvRun& run, const Epilogue& epilogue) {
  static constexpr TileFunction kTiles[kMaxBlocks][kMaxPixels] = {TRAWL_TILES(PlanarTile)};
  ForEachTile(run, epilogue, kTiles[run.blocks - 1], 1);
}

}  // namespace

namespace TRAWL_ISA {
const ConvMicrokernels kConv = {
    .max_blocks = kMaxBlocks, .blocked = RunBlocked, .planar = RunPlanar};
}  // namespace TRAWL_ISA

}  // namespace trawl::engine::simd
