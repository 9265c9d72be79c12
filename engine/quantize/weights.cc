#include "engine/quantize/weights.h"

#include <algorithm>
#include <cmath>

#include "engine/quantize/rounding.h"

namespace trawl::engine {
namespace {

/// Of statistics at a time, and of one layer's at most: 8192 weights an output.
constexpr size_t kStatisticsBytes = 256 << 20;

/// What is known of one convolution.
struct Layer {
  const Node* node = nullptr;
  int64_t group = 1;
  WindowStatistics statistics;
};

bool HasBias(const Node& node) { return node.inputs.size() > 2 && node.inputs[2] != kNoValue; }

std::vector<float> InUnits(const Tensor& weights, const WeightScales& scales) {
  std::vector<float> units;
  for (const float weight : weights.data<float>()) {
    units.push_back(weight / scales.scales[scales.ChannelOf(units.size())]);
  }
  return units;
}

Tensor ToBytes(const Shape& shape, std::span<const float> units) {
  Tensor bytes(DType::kI8, shape);
  std::ranges::transform(units, bytes.mutable_data<int8_t>().begin(), [](float x) {
    return static_cast<int8_t>(std::clamp(std::nearbyint(x), -127.0f, 127.0f));
  });
  return bytes;
}

/// The next convolutions whose statistics fit into memory together. Products of matrices see one
/// window a picture, which tells nothing.
Result<std::vector<Layer>> NextLayers(const Graph& graph, std::span<const size_t>& products) {
  std::vector<Layer> layers;
  size_t bytes = 0;
  for (; !products.empty(); products = products.subspan(1)) {
    const Node& node = graph.nodes()[products[0]];
    if (node.op != "Conv") continue;
    const Shape& weights = graph.value(node.inputs[1]).constant->shape();
    TRAWL_ASSIGN(const int64_t group, node.attributes.Int("group", 1));
    TRAWL_ASSIGN(const Window window, ConvWindow(graph, node));
    const size_t more = WindowStatistics::Bytes(weights[1] * window.KernelSize(), group);
    if (more > kStatisticsBytes) continue;
    if (bytes + more > kStatisticsBytes) break;
    bytes += more;
    layers.push_back({&node, group, WindowStatistics(window, weights, group)});
  }
  return layers;
}

Status Measure(const Graph& graph, std::vector<Layer>& layers, const Pictures& pictures,
               const RunOptions& options, ThreadTeam& team) {
  std::map<ValueId, std::vector<Layer*>> readers;
  for (Layer& layer : layers) readers[layer.node->inputs[0]].push_back(&layer);
  std::vector<ValueId> values;
  for (const auto& [id, some] : readers) values.push_back(id);
  TRAWL_ASSIGN(const auto runner, GraphRunner::Create(graph, values, options));
  return runner->Run(pictures, [&](size_t i, const ConstTensorView& x) {
    for (Layer* layer : readers.at(values[i])) layer->statistics.Add(x, team);
  });
}

}  // namespace

WeightScales ScalesOf(const Graph& graph, const Node& node, const Quantization& input) {
  const Tensor& weights = *graph.value(node.inputs[1]).constant;
  WeightScales result;
  const bool innermost = node.op == "Gemm" && node.attributes.Int("transB", 0) == int64_t{0};
  result.axis = innermost ? 1 : 0;
  const auto channels = static_cast<size_t>(weights.shape()[innermost ? 1 : 0]);
  const auto values = weights.data<float>();
  result.inner = innermost ? 1 : values.size() / channels;
  std::vector<float> greatest(channels);
  result.scales = greatest;
  for (size_t i = 0; i < values.size(); ++i) {
    float& most = greatest[result.ChannelOf(i)];
    most = std::max(most, std::fabs(values[i]));
  }
  constexpr float kSmallest = 1e-9f;     // of a channel without weights
  constexpr float kGreatestBias = 1e9f;  // an eighth of what s32 holds is left to the sums
  for (size_t c = 0; c < channels; ++c) {
    result.scales[c] = std::max(greatest[c] / 127, kSmallest);
    if (!HasBias(node)) continue;
    const float bias = graph.value(node.inputs[2]).constant->data<float>()[c];
    const float least = std::fabs(bias) / (input.scale * kGreatestBias);
    result.scales[c] = std::max(result.scales[c], least);
  }
  return result;
}

Tensor RoundToNearest(const Tensor& weights, const WeightScales& scales) {
  return ToBytes(weights.shape(), InUnits(weights, scales));
}

Result<RoundedWeights> RoundWeights(const Graph& graph, const std::vector<size_t>& products,
                                    const Mappings& mappings, const Pictures& pictures,
                                    const RunOptions& options) {
  RoundedWeights rounded;
  ThreadTeam team(options.threads);
  std::span<const size_t> left = products;
  while (!left.empty()) {
    TRAWL_ASSIGN(std::vector<Layer> layers, NextLayers(graph, left));
    if (layers.empty()) break;
    TRAWL_TRY(Measure(graph, layers, pictures, options, team));
    for (const Layer& layer : layers) {
      if (options.stopped && options.stopped()) return Error(Code::kCancelled, "interrupted");
      const Tensor& weights = *graph.value(layer.node->inputs[1]).constant;
      const ValueId input = layer.node->inputs[0];
      std::vector<float> units = InUnits(weights, ScalesOf(graph, *layer.node, mappings.at(input)));
      const size_t size = units.size() / static_cast<size_t>(layer.group);
      for (int64_t g = 0; g < layer.group; ++g) {
        std::vector<float> moments = layer.statistics.Products(g, HasBias(*layer.node));
        RoundTogether(std::span(units).subspan(static_cast<size_t>(g) * size, size), moments, team);
      }
      rounded[layer.node->outputs[0]] = ToBytes(weights.shape(), units);
    }
  }
  return rounded;
}

}  // namespace trawl::engine
