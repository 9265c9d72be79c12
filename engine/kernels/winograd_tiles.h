#pragma once
// WinogradTiles: how an image is cut into tiles of 4 and of 3 pixels, and which of them pass
// through a convolution together.

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/simd/winograd.h"

namespace trawl::engine {

/// Neighbouring output pixels in one dimension.
struct WinogradSpan {
  int64_t start = 0;
  int size = 4;  // or 3; the last one may reach beyond the image
};

/// The spans that cover `length` pixels with the fewest products: 14 = 4 + 4 + 3 + 3.
std::vector<WinogradSpan> CutIntoSpans(const simd::WinogradScheme& scheme, int64_t length);

struct WinogradTile {
  WinogradSpan rows, columns;
};

/// Tiles by class. Tiles of 3 have fewer points than tiles of 4; in this order of classes, those
/// that have a point are neighbours, whatever the point.
class WinogradTiles {
 public:
  static constexpr int kClasses = 4;

  WinogradTiles(const simd::WinogradScheme& scheme, int64_t height, int64_t width);

  /// 3 × 4, 4 × 4, 4 × 3, 3 × 3, rows by columns.
  const std::vector<WinogradTile>& InClass(int c) const { return classes_[static_cast<size_t>(c)]; }
  int64_t count() const { return count_; }
  /// Products of one block of channels with one, all tiles together.
  int64_t products() const { return products_; }
  /// Classes [first, last) have a point that is for tiles of 4 only in its row, or its column.
  static std::array<int, 2> ClassesWithPoint(bool tall, bool wide);

 private:
  std::array<std::vector<WinogradTile>, kClasses> classes_;
  int64_t count_ = 0, products_ = 0;
};

}  // namespace trawl::engine
