#pragma once
// WinogradCost: what a 3 × 3 convolution costs by Winograd's tiles and without them, and so which
// batches go which way.

#include <cstdint>
#include <optional>

#include "engine/ops/window.h"

namespace trawl::engine {

/// Transformed weights are four to nine times as large as plain ones, and reading them takes as
/// long for one image as for many. So a small batch of small images with many channels is cheapest
/// without tiles, or by tiles of 2 × 2, which need less than half of the weights.
class WinogradCost {
 public:
  /// `window`: 3 × 3, of stride 1 or 2 in both dimensions.
  WinogradCost(const Window& window, int64_t inputs, int64_t outputs);

  /// The smallest batches that go by tiles of 2 × 2, and by those of 4 and 3; the first is not the
  /// larger, and no batch goes by 2 × 2 where they are equal. Smaller batches go without tiles.
  struct Batches {
    int64_t of_2 = 1, of_4 = 1;
  };
  /// nullopt when tiles are not worth having at any batch.
  std::optional<Batches> SmallestBatches() const;

 private:
  /// Multiplications of registers, two of which take a cycle.
  struct Line {
    double image = 0, weights = 0;

    double At(double batch) const { return batch * image + weights; }
    /// The smallest batch from which on this costs less than `other`, which has smaller weights;
    /// nullopt when there is none worth having.
    std::optional<int64_t> Beats(const Line& other) const;
  };

  Line direct_, of_2_, of_4_;
  bool has_2_ = false;
};

}  // namespace trawl::engine
