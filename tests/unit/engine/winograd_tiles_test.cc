// Goal: images are cut into Winograd tiles that cover them once, with the fewest products; tiles
// that share a point are neighbours. Method: all lengths up to 64 against every other way to cut.
#include "engine/kernels/winograd_tiles.h"

#include <algorithm>
#include <limits>
#include <vector>

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
  const simd::WinogradScheme scheme{1};
  for (int row = 0; row < scheme.points(); ++row) {
    for (int column = 0; column < scheme.points(); ++column) {
      const bool tall = row == scheme.four_only(), wide = column == scheme.four_only();
      const auto [first, last] = WinogradTiles::ClassesWithPoint(scheme, row, column);
      for (int c = 0; c < WinogradTiles::kClasses; ++c) {
        for (const WinogradTile& tile : tiles.InClass(c)) {
          const bool has = (!tall || tile.rows.size == 4) && (!wide || tile.columns.size == 4);
          EXPECT_EQ(c >= first && c < last, has) << c;
        }
      }
    }
  }
}

TEST(WinogradTiles, TilesOf2CoverAnImageOnceAndHave16Points) {
  const simd::WinogradScheme scheme{1};
  const WinogradTiles tiles = WinogradTiles::Of2(5, 4);
  std::vector<int> covered(6 * 4);
  int count = 0, points = 0;
  for (int c = 0; c < WinogradTiles::kClasses; ++c) {
    for (const WinogradTile& tile : tiles.InClass(c)) {
      EXPECT_EQ(tile.rows.size, 2);
      EXPECT_EQ(tile.columns.size, 2);
      for (int64_t i = 0; i < 4; ++i) {
        ++covered.at(
            static_cast<size_t>((tile.rows.start + i / 2) * 4 + tile.columns.start + i % 2));
      }
      ++count;
    }
  }
  EXPECT_EQ(covered, std::vector<int>(6 * 4, 1));
  EXPECT_EQ(tiles.count(), count);
  EXPECT_EQ(tiles.products(), 16 * count);
  for (int row = 0; row < scheme.points(); ++row) {
    for (int column = 0; column < scheme.points(); ++column) {
      points += WinogradTiles::ClassesWithPoint(scheme, row, column)[1] == WinogradTiles::kClasses;
    }
  }
  EXPECT_EQ(points, tiles.points());
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
  const simd::WinogradScheme scheme{1};
  for (int i = 0; i < scheme.products(2); ++i) {
    EXPECT_TRUE(scheme.InTiles2(scheme.product(2, i).point)) << i;
    EXPECT_NE(scheme.product(2, i).point, scheme.four_only());
  }
}

}  // namespace
}  // namespace trawl::engine
