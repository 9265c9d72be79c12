#pragma once
// What quantisation changes on average, so that biases can take it back.

#include <vector>

#include "engine/quantize/quantize.h"

namespace trawl::engine {

/// Sums means by channel of a value [n, channels, …] and of the numbers that stand for it.
class MeansCounter {
 public:
  void Add(const ConstTensorView& x, const Quantization& mapping);
  ChannelMeans Means() const;

 private:
  double count_ = 0;  // of numbers in a channel
  std::vector<double> exact_, rounded_;
};

/// By how much a product's results move on average when its weights [outputs, …] become `rounded`
/// and its inputs become numbers of the mapping: one by output channel, in real numbers. A window
/// is taken to see the mean of each channel everywhere, which is not so at the borders.
std::vector<double> MeanErrors(const Node& node, const Tensor& weights,
                               std::span<const double> rounded, const ChannelMeans& inputs);

}  // namespace trawl::engine
