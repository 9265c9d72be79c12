#pragma once
// Channels of activations that a graph's weights can scale: what makes a channel divides it by a
// number, what reads it multiplies by the same, and the graph's function stays what it was.

#include <vector>

#include "engine/graph.h"

namespace trawl::engine {

/// How a product's weights lie: [outputs, inputs of a group, taps], or [inputs, outputs].
struct WeightLayout {
  size_t outputs = 0, inputs = 0, taps = 1, group = 1;  // inputs: of a group
  bool transposed = false;

  /// `product`: of QuantizableProducts, or the last one (engine/quantize/plan.h).
  WeightLayout(const Graph& graph, const Node& product);
  /// The channels that weight `i` makes and reads.
  size_t Output(size_t i) const { return transposed ? i % outputs : i / (inputs * taps); }
  size_t Input(size_t i) const {
    if (transposed) return i / outputs;
    return Output(i) / (outputs / group) * inputs + i / taps % inputs;
  }
};

/// Values whose channels can only be scaled together, and the products that read them.
struct ChannelGroup {
  std::vector<ValueId> values;
  std::vector<size_t> readers;  // nodes
  size_t channels = 0;
};

/// All groups between products, with nothing in between but what scales with its input: ReLU,
/// pooling, sums.
std::vector<ChannelGroup> FindChannelGroups(const Graph& graph);

/// A group, and what its channels are divided by, each above 0.
struct ChannelScales {
  ChannelGroup group;
  std::vector<float> scales;
};

/// The same function, and the same nodes, with other weights.
Graph ScaleChannels(const Graph& graph, const std::vector<ChannelScales>& scales);

}  // namespace trawl::engine
