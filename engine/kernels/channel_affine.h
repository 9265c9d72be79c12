#pragma once
// BatchNormalization as what it is at inference: y = x · scale + shift, by channel.

#include <optional>
#include <vector>

#include "engine/graph.h"

namespace trawl::engine {

struct ChannelAffine {
  std::vector<double> scale, shift;
};

/// Input `i` of `node` when it is a f32 constant, else nullptr.
const Tensor* ConstantF32(const Graph& graph, const Node& node, size_t i);

/// Of a BatchNormalization; nullopt when its parameters are computed.
std::optional<ChannelAffine> BatchNormAffine(const Graph& graph, const Node& node);

}  // namespace trawl::engine
