#include "engine/kernels/channel_affine.h"

#include <cmath>

namespace trawl::engine {

const Tensor* ConstantF32(const Graph& graph, const Node& node, size_t i) {
  if (i >= node.inputs.size() || node.inputs[i] == kNoValue) return nullptr;
  const Value& value = graph.value(node.inputs[i]);
  return value.constant && value.dtype == DType::kF32 ? &*value.constant : nullptr;
}

std::optional<ChannelAffine> BatchNormAffine(const Graph& graph, const Node& node) {
  const Tensor *scale = ConstantF32(graph, node, 1), *bias = ConstantF32(graph, node, 2);
  const Tensor *mean = ConstantF32(graph, node, 3), *variance = ConstantF32(graph, node, 4);
  if (!scale || !bias || !mean || !variance) return std::nullopt;
  const double epsilon = node.attributes.Float("epsilon", 1e-5f).value_or(1e-5f);
  ChannelAffine affine;
  for (size_t c = 0; c < scale->data<float>().size(); ++c) {
    const double factor = scale->data<float>()[c] / std::sqrt(variance->data<float>()[c] + epsilon);
    affine.scale.push_back(factor);
    affine.shift.push_back(bias->data<float>()[c] - mean->data<float>()[c] * factor);
  }
  return affine;
}

}  // namespace trawl::engine
