#include "engine/kernels/winograd_cost.h"

#include <algorithm>

#include "engine/blocked.h"
#include "engine/kernels/caches.h"
#include "engine/kernels/winograd_tiles.h"

namespace trawl::engine {
namespace {

/// Transforming one block of channels of one tile there or back; twice that for stride 2.
constexpr double kTransform = 200;
/// Weights from beyond the second-level cache arrive at some 10 bytes a cycle.
constexpr double kBytes = 5;
/// Tiles must save one part in so many.
constexpr double kWorthHaving = 8;

}  // namespace

WinogradCost::WinogradCost(const Window& window, int64_t inputs, int64_t outputs) {
  const simd::WinogradScheme scheme{static_cast<int>(window.stride[1])};
  const auto depth = static_cast<double>(inputs);
  const auto blocks = static_cast<double>(BlockCount(outputs));
  const auto weights = [&](int64_t products) {
    const double bytes =
        sizeof(float) * depth * blocks * simd::kBlock * static_cast<double>(products);
    return bytes > static_cast<double>(SecondLevelCacheBytes()) ? bytes / kBytes : 0;
  };
  const auto cost = [&](const WinogradTiles& tiles) {
    return static_cast<double>(tiles.products()) * depth * blocks +
           kTransform * static_cast<double>(scheme.stride * tiles.count()) *
               (depth / simd::kBlock + blocks);
  };
  const int64_t height = window.output[1], width = window.output[2];
  const int most = scheme.products(4);
  direct_ = {9 * static_cast<double>(window.OutputSize()) * depth * blocks, weights(9)};
  of_4_ = {cost({scheme, height, width}), weights(int64_t{most} * most)};
  has_2_ = scheme.stride == 1;
  if (has_2_) {
    const WinogradTiles tiles = WinogradTiles::Of2(height, width);
    of_2_ = {cost(tiles), weights(tiles.points())};
  }
}

std::optional<int64_t> WinogradCost::Line::Beats(const Line& other) const {
  if (image * kWorthHaving + weights >= other.image * kWorthHaving + other.weights) {
    return std::nullopt;
  }
  return static_cast<int64_t>((weights - other.weights) / (other.image - image)) + 1;
}

std::optional<WinogradCost::Batches> WinogradCost::SmallestBatches() const {
  const auto of_4 = of_4_.Beats(direct_);
  if (!of_4) return std::nullopt;
  const auto of_2 = has_2_ ? of_2_.Beats(direct_) : std::nullopt;
  if (!of_2 || *of_2 >= *of_4) return Batches{*of_4, *of_4};
  return Batches{*of_2, std::max(*of_4, of_4_.Beats(of_2_).value_or(*of_4))};
}

}  // namespace trawl::engine
