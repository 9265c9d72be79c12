// The sums of a tile, some pixels by a panel of output channels, stay in registers over all
// channels; each step multiplies the panel's weights of two channels by one broadcast pair of each
// pixel.
#include "engine/simd/bf16.h"

#include <immintrin.h>

#include "engine/simd/conv_tile.h"
#include "engine/simd/tables.h"

namespace trawl::engine::simd {
namespace {

/// Steps that weights are fetched ahead.
constexpr int kPrefetchSteps = 16;

using Pairs = __m512i;

// The products are written as instructions: from intrinsics GCC 12 moves the sums, which the
// instruction overwrites, to and fro between registers.
[[gnu::always_inline]] inline void MultiplyPairs(Vector& sum, Pairs x, Pairs w) {
  asm volatile("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w));
}
[[gnu::always_inline]] inline Pairs RepeatPair(const uint16_t* p) {
  Pairs v;
  asm volatile("vpbroadcastd %1, %0" : "=v"(v) : "m"(*reinterpret_cast<const uint16_t(*)[2]>(p)));
  return v;
}

template <int kPixels, int kBlocks>
[[gnu::noinline]] void PointwiseTile(const Bf16Run& run, const Epilogue& epilogue) {
  constexpr int kPanel = kBlocks * kBlock * kBf16Pair;
  Sums<kPixels, kBlocks> tile;
  PrefetchResidual<kPixels, kBlocks>(epilogue);
  tile.Start(epilogue.bias);
  const uint16_t* weights = run.weights;
  const uint16_t* block = run.x;
  for (ptrdiff_t left = run.channels; left > 0; left -= kBlock, block += run.block_stride) {
    const ptrdiff_t channels = left < kBlock ? (left + 1) / kBf16Pair * kBf16Pair : kBlock;
    // The next block's pixels, one line a step: they lie too far apart for the processor to guess.
    const uint16_t* next = block + run.block_stride;
#pragma GCC unroll 1
    for (const uint16_t *x = block, *end = block + channels; x != end;
         x += kBf16Pair, weights += kPanel, next += 2 * kBlock) {
      __builtin_prefetch(next);
      Pairs row[kBlocks];
#pragma GCC unroll 3
      for (int j = 0; j < kBlocks; ++j) {
        row[j] = _mm512_load_si512(weights + j * kBlock * kBf16Pair);
        __builtin_prefetch(weights + kPrefetchSteps * kPanel + j * kBlock * kBf16Pair);
      }
#pragma GCC unroll 14
      for (int i = 0; i < kPixels; ++i) {
        const Pairs pair = RepeatPair(x + i * kBlock);
#pragma GCC unroll 3
        for (int j = 0; j < kBlocks; ++j) MultiplyPairs(tile.sums[i][j], pair, row[j]);
      }
    }
  }
  tile.Finish(run.y, run.y_block_stride, epilogue);
}

void RunPointwise(const Bf16Run& run, const Epilogue& epilogue) {
  using Tile = void (*)(const Bf16Run&, const Epilogue&);
  static constexpr Tile kTiles[kMaxBlocks][kMaxPixels] = {TRAWL_TILES(PointwiseTile)};
  const Tile* tiles = kTiles[run.blocks - 1];
  ForEachTile(run, epilogue, TilePixels(run.blocks), kBlock,
              [tiles](ptrdiff_t pixels, const Bf16Run& some, const Epilogue& e) {
                tiles[pixels - 1](some, e);
              });
}

void Round(const float* x, ptrdiff_t pixel_step, ptrdiff_t pixels, ptrdiff_t channels,
           uint16_t* y) {
  const auto first = static_cast<__mmask16>((1 << channels) - 1);
  for (ptrdiff_t p = 0; p < pixels; ++p, x += pixel_step, y += kBlock) {
    const __m256bh rounded = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(first, x));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(y), (__m256i)rounded);
  }
}

}  // namespace

namespace TRAWL_ISA {
const Bf16Microkernels kBf16 = {
    .max_blocks = kMaxBlocks, .pointwise = RunPointwise, .round = Round};
}  // namespace TRAWL_ISA

}  // namespace trawl::engine::simd
