// Goal: images are cut into Winograd tiles that cover them once, with the fewest products; tiles
// that share a point are neighbours. Method: all lengths up to 64 against every other way to cut.
#include "engine/kernels/winograd_tiles.h"

#include <algorithm>
#include <limits>

#include "gtest/gtest.h"

namespace trawl::engine {
namespace {

TEST(WinogradTiles, SpansCoverALengthWithTheFewestProducts) {
  for (const int stride : {1, 2}) {
    const simd::WinogradScheme scheme{stride};
    for (int64_t length = 1; length <= 64; ++length) {
      SCOPED_TRACE(length);
      int64_t covered = 0, products = 0;
      for (const WinogradSpan& span : CutIntoSpans(scheme, length)) {
        EXPECT_EQ(span.start, covered);
        EXPECT_LT(span.start, length);
        covered += span.size;
        products += scheme.products(span.size);
      }
      EXPECT_GE(covered, length);
      int64_t fewest = std::numeric_limits<int64_t>::max();
      for (int64_t fours = 0; fours * 4 < length + 4; ++fours) {
        const int64_t rest = std::max<int64_t>(0, length - fours * 4);
        fewest = std::min(fewest, fours * scheme.products(4) + (rest + 2) / 3 * scheme.products(3));
      }
      EXPECT_EQ(products, fewest);
    }
  }
}

TEST(WinogradTiles, ClassesWithAPointAreNeighbours) {
  const WinogradTiles tiles({1}, 14, 7);  // 4 + 4 + 3 + 3 by 4 + 3
  EXPECT_EQ(tiles.count(), 8);
  EXPECT_EQ(tiles.products(), 22 * 11);
  for (const bool tall : {false, true}) {
    for (const bool wide : {false, true}) {
      const auto [first, last] = WinogradTiles::ClassesWithPoint(tall, wide);
      for (int c = 0; c < WinogradTiles::kClasses; ++c) {
        for (const WinogradTile& tile : tiles.InClass(c)) {
          const bool has = (!tall || tile.rows.size == 4) && (!wide || tile.columns.size == 4);
          EXPECT_EQ(c >= first && c < last, has) << c;
        }
      }
    }
  }
}

/// What a product of a tile is must not depend on the tile's size: tiles share weights.
TEST(WinogradScheme, PointsOfSmallTilesAreAmongThoseOfLargeOnes) {
  for (const int stride : {1, 2}) {
    const simd::WinogradScheme scheme{stride};
    for (int i = 0; i < scheme.products(3); ++i) {
      const auto small = scheme.product(3, i);
      EXPECT_NE(small.point, scheme.four_only());
      bool found = false;
      for (int k = 0; k < scheme.products(4); ++k) {
        const auto large = scheme.product(4, k);
        found = found || (large.point == small.point && large.odd == small.odd);
      }
      EXPECT_TRUE(found) << i;
    }
  }
}

}  // namespace
}  // namespace trawl::engine
