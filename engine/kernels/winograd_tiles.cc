#include "engine/kernels/winograd_tiles.h"

#include <algorithm>
#include <limits>

namespace trawl::engine {

std::vector<WinogradSpan> CutIntoSpans(const simd::WinogradScheme& scheme, int64_t length) {
  // Spans of 4 first, then as many of 3 as are cheapest. Three spans of 4 cover as much as four of
  // 3 with fewer products, so that more than three spans of 3 never pay.
  int64_t best = std::numeric_limits<int64_t>::max(), threes = 0;
  for (int64_t candidate = 0; candidate <= 3; ++candidate) {
    const int64_t rest = std::max<int64_t>(0, length - 3 * candidate);
    const int64_t cost = (rest + 3) / 4 * scheme.products(4) + candidate * scheme.products(3);
    if (cost < best) {
      best = cost;
      threes = candidate;
    }
  }
  std::vector<WinogradSpan> spans;
  const int64_t fours = (std::max<int64_t>(0, length - 3 * threes) + 3) / 4;
  for (int64_t i = 0; i < fours; ++i) spans.push_back({i * 4, 4});
  for (int64_t i = 0; i < threes; ++i) spans.push_back({fours * 4 + i * 3, 3});
  return spans;
}

WinogradTiles::WinogradTiles(const simd::WinogradScheme& scheme, int64_t height, int64_t width)
    : points_(scheme.points() * scheme.points()) {
  for (const WinogradSpan& rows : CutIntoSpans(scheme, height)) {
    for (const WinogradSpan& columns : CutIntoSpans(scheme, width)) {
      const size_t c = rows.size == 4 ? (columns.size == 4 ? 1 : 2) : (columns.size == 4 ? 0 : 3);
      classes_[c].push_back({rows, columns});
      ++count_;
      products_ += scheme.products(rows.size) * scheme.products(columns.size);
    }
  }
}

WinogradTiles WinogradTiles::Of2(int64_t height, int64_t width) {
  constexpr simd::WinogradScheme kScheme{1};
  constexpr int kProducts = kScheme.products(2) * kScheme.products(2);
  WinogradTiles tiles;
  for (int64_t y = 0; y < height; y += 2) {
    for (int64_t x = 0; x < width; x += 2) tiles.classes_.back().push_back({{y, 2}, {x, 2}});
  }
  tiles.count_ = static_cast<int64_t>(tiles.classes_.back().size());
  tiles.products_ = tiles.count_ * kProducts;
  tiles.points_ = kProducts;
  return tiles;
}

std::array<int, 2> WinogradTiles::ClassesWithPoint(const simd::WinogradScheme& scheme, int row,
                                                   int column) {
  const bool tall = row == scheme.four_only(), wide = column == scheme.four_only();
  if (tall || wide) return {tall ? 1 : 0, wide ? 2 : 3};
  const bool all = scheme.InTiles2(row) && scheme.InTiles2(column);
  return {0, all ? kClasses : kClasses - 1};
}

}  // namespace trawl::engine
