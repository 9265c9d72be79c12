#pragma once
// Weights rounded so that a layer's results move least, which is not each weight to the nearest:
// errors of weights whose inputs vary together can make up for each other.
//
// Frantar et al., "GPTQ: accurate post-training quantization for generative pre-trained
// transformers", 2022, in the form of Chee et al., "QuIP", 2023, which needs no inverse.

#include <span>
#include <vector>

#include "engine/ops/window.h"
#include "engine/tensor_view.h"
#include "engine/thread_team.h"

namespace trawl::engine {

/// How what a convolution's windows see varies together, over pictures: the mean square by which
/// errors of its weights move its results is a quadratic form of it.
class WindowStatistics {
 public:
  /// `weights`: the shape of the convolution's, [outputs, inputs of a group, …].
  WindowStatistics(const Window& window, const Shape& weights, int64_t group);

  /// Weights of one output: inputs of a group · taps.
  int64_t depth() const { return depth_; }
  static size_t Bytes(int64_t depth, int64_t group);

  /// `x`: [n, channels, height, width]. What is no finite number counts as 0.
  void Add(const ConstTensorView& x, ThreadTeam& team);
  /// Of a group, [depth, depth], on and below the diagonal: products on average, or covariances,
  /// which leave out what a bias can take back.
  std::vector<float> Products(int64_t group, bool has_bias) const;

 private:
  void FillRow(const float* x, int64_t position, float* row) const;

  const Window window_;
  const int64_t group_, inputs_, depth_;
  int64_t rows_ = 0;             // of windows, added so far
  std::vector<float> products_;  // [group, depth, depth], on and below the diagonal
  std::vector<double> sums_;     // [group, depth]
  std::vector<float> windows_;   // of one batch
};

/// Added to variances, as a share of their mean: pictures that were not seen vary in other ways.
inline constexpr double kUnseenVariance = 0.01;

/// Rounds `weights` [outputs, depth], which are in units of 1, to -127 … 127. Each gets what the
/// errors of those behind it ask it to make up for, and is rounded then. `products` as above, and
/// used up.
void RoundTogether(std::span<float> weights, std::vector<float>& products, ThreadTeam& team);

}  // namespace trawl::engine
