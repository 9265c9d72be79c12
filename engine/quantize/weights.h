#pragma once
// Weights of products as s8, a scale for each output channel.

#include "engine/quantize/quantize.h"

namespace trawl::engine {

/// Scales of a product's s8 weights, one per output channel, and how the weights lie.
struct WeightScales {
  int64_t axis = 0;
  size_t inner = 1;  // elements from one channel to the next
  std::vector<float> scales;

  size_t ChannelOf(size_t element) const { return element / inner % scales.size(); }
};

/// The greatest weight of a channel becomes 127, unless the bias would then leave what s32 holds.
/// `input`: the mapping of what the product reads.
WeightScales ScalesOf(const Graph& graph, const Node& node, const Quantization& input);

/// Each weight by itself.
Tensor RoundToNearest(const Tensor& weights, const WeightScales& scales);

}  // namespace trawl::engine
