// Compiled once per instruction set. The sums of a tile, some pixels by a panel of output channels,
// stay in registers over all taps and channels; each step multiplies the panel's weights by one
// broadcast element of each pixel.
#include "engine/simd/conv.h"

#include "engine/simd/conv_tile.h"
#include "engine/simd/tables.h"

namespace trawl::engine::simd {
namespace {

/// Steps that weights are fetched ahead.
constexpr int kPrefetchSteps = 32;

template <int kPixels, int kBlocks>
struct Tile : Sums<kPixels, kBlocks> {
  using Sums<kPixels, kBlocks>::kRegisters, Sums<kPixels, kBlocks>::sums;
  static constexpr int kPanel = kBlocks * kBlock;

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
};

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
  tile.Finish(run.y, run.y_block_stride, epilogue);
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
  tile.Finish(run.y, run.y_block_stride, epilogue);
}

using TileFunction = void (*)(const ConvRun&, const Epilogue&);

void RunTiles(const ConvRun& all, const Epilogue& epilogue, const TileFunction* tiles,
              ptrdiff_t pixel_step) {
  const ptrdiff_t lines = all.channels * all.tap_count;
  ptrdiff_t passed = 0;
  ForEachTile(all, epilogue, TilePixels(all.blocks), pixel_step,
              [&](ptrdiff_t pixels, ConvRun& run, const Epilogue& e) {
                tiles[pixels - 1](run, e);
                // A tile fetches a line of the next weights a step, so that as many tiles as there
                // are blocks fetch all; what is left when there are fewer tiles, the next run
                // fetches for itself.
                if (run.next_weights != nullptr) {
                  run.next_weights =
                      ++passed < run.blocks ? run.next_weights + lines * kBlock : nullptr;
                }
              });
}

void RunBlocked(const ConvRun& run, const Epilogue& epilogue) {
  static constexpr TileFunction kTiles[kMaxBlocks][kMaxPixels] = {TRAWL_TILES(BlockedTile)};
  RunTiles(run, epilogue, kTiles[run.blocks - 1], kBlock);
}

void RunPlanar(const ConvRun& run, const Epilogue& epilogue) {
  static constexpr TileFunction kTiles[kMaxBlocks][kMaxPixels] = {TRAWL_TILES(PlanarTile)};
  RunTiles(run, epilogue, kTiles[run.blocks - 1], 1);
}

}  // namespace

namespace TRAWL_ISA {
const ConvMicrokernels kConv = {
    .max_blocks = kMaxBlocks, .blocked = RunBlocked, .planar = RunPlanar};
}  // namespace TRAWL_ISA

}  // namespace trawl::engine::simd
