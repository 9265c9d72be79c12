// Compiled once per instruction set. A tile of C stays in registers over the whole depth; each step
// multiplies one row of the panel of B by one broadcast element of each of A's rows.
#include "engine/simd/gemm.h"

#include "engine/simd/tables.h"
#include "engine/simd/vector.h"

namespace trawl::engine::simd {
namespace {

// Tile sizes: accumulators, one row of B and a broadcast fill the register file (32 registers with
// AVX-512, 16 before).
constexpr int kTileRows = kWidth == 4 ? 2 : 6;
constexpr int kTileColumns = kWidth == 8 ? 2 : 4;  // registers
constexpr int kPanelWidth = kTileColumns * kWidth;
/// Rows of B that are fetched ahead.
constexpr int kPrefetchRows = 16;

template <int kRows>
[[gnu::noinline]] void MultiplyTile(const float* a, ptrdiff_t lda, const float* b, float* c,
                                    ptrdiff_t ldc, ptrdiff_t depth) {
  Vector sums[kRows][kTileColumns] = {};
#pragma GCC unroll 1
  for (ptrdiff_t k = 0; k < depth; ++k, b += kPanelWidth) {
    Vector row[kTileColumns];
#pragma GCC unroll 4
    for (int j = 0; j < kTileColumns; ++j) row[j] = Load(b + j * kWidth);
#pragma GCC unroll 4
    for (int j = 0; j < kPanelWidth; j += kBlock) {
      __builtin_prefetch(b + kPrefetchRows * kPanelWidth + j);
    }
#pragma GCC unroll 6
    for (int i = 0; i < kRows; ++i) {
      const Vector element = Broadcast(a[i * lda + k]);
#pragma GCC unroll 4
      for (int j = 0; j < kTileColumns; ++j) sums[i][j] += element * row[j];
    }
  }
#pragma GCC unroll 6
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < kTileColumns; ++j) Store(c + i * ldc + j * kWidth, sums[i][j]);
  }
}

using Tile = void (*)(const float*, ptrdiff_t, const float*, float*, ptrdiff_t, ptrdiff_t);

void Multiply(const float* a, ptrdiff_t lda, const float* b, float* c, ptrdiff_t ldc,
              ptrdiff_t rows, ptrdiff_t depth) {
  constexpr Tile kTiles[] = {MultiplyTile<1>, MultiplyTile<2>, MultiplyTile<3>,
                             MultiplyTile<4>, MultiplyTile<5>, MultiplyTile<6>};
  // Even tiles: 16 rows are 6 + 5 + 5, not 6 + 6 + 4, since a small tile waits for its operands.
  for (ptrdiff_t tiles = (rows + kTileRows - 1) / kTileRows; tiles > 0; --tiles) {
    const ptrdiff_t count = (rows + tiles - 1) / tiles;
    kTiles[count - 1](a, lda, b, c, ldc, depth);
    a += count * lda;
    c += count * ldc;
    rows -= count;
  }
}

}  // namespace

namespace TRAWL_ISA {
const GemmMicrokernels kGemm = {.panel_width = kPanelWidth, .multiply = Multiply};
}  // namespace TRAWL_ISA

}  // namespace trawl::engine::simd
