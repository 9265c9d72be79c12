#pragma once
// WinogradTiles: how an image is cut into tiles of 4 and of 3 pixels, or of 2, and which of them
// pass through a convolution together.

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/simd/winograd.h"

namespace trawl::engine {

/// Neighbouring output pixels in one dimension.
struct WinogradSpan {
  int64_t start = 0;
  int size = 4;  // or 3, or 2; the last one may reach beyond the image
};

/// The spans that cover `length` pixels with the fewest products: 14 = 4 + 4 + 3 + 3.
std::vector<WinogradSpan> CutIntoSpans(const simd::WinogradScheme& scheme, int64_t length);

struct WinogradTile {
  WinogradSpan rows, columns;
};

/// Tiles by class. Smaller tiles have fewer points; in this order of classes, those that have a
/// point are neighbours, whatever the point.
class WinogradTiles {
 public:
  static constexpr int kClasses = 5;

  /// Of 4 and 3.
  WinogradTiles(const simd::WinogradScheme& scheme, int64_t height, int64_t width);
  /// Of 2: more products, but fewer weights to read. For stride 1.
  static WinogradTiles Of2(int64_t height, int64_t width);

  /// 3 × 4, 4 × 4, 4 × 3, 3 × 3, 2 × 2, rows by columns.
  const std::vector<WinogradTile>& InClass(int c) const { return classes_[static_cast<size_t>(c)]; }
  int64_t count() const { return count_; }
  /// Products of one block of channels with one, all tiles together.
  int64_t products() const { return products_; }
  /// Points, row by row, that some tile has.
  int64_t points() const { return points_; }
  /// Classes [first, last) have the point in row `row` and column `column` of points.
  static std::array<int, 2> ClassesWithPoint(const simd::WinogradScheme& scheme, int row,
                                             int column);

 private:
  WinogradTiles() = default;

  std::array<std::vector<WinogradTile>, kClasses> classes_;
  int64_t count_ = 0, products_ = 0, points_ = 0;
};

}  // namespace trawl::engine
