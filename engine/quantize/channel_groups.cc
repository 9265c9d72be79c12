#include "engine/quantize/channel_groups.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "engine/quantize/plan.h"

namespace trawl::engine {
namespace {

bool IsOneOf(std::string_view op, std::initializer_list<std::string_view> ops) {
  return std::ranges::find(ops, op) != ops.end();
}

/// Whether a node gives [n, channels] of [n, channels, 1, …].
bool DropsSpace(const Graph& graph, const Node& node) {
  if (!IsOneOf(node.op, {"Flatten", "Reshape", "Squeeze"})) return false;
  const Shape& from = *graph.value(node.inputs[0]).shape;
  return from.size() >= 2 && *graph.value(node.outputs[0]).shape == Shape{from[0], from[1]} &&
         std::all_of(from.begin() + 2, from.end(), [](int64_t dim) { return dim == 1; });
}

/// Whether a node's result scales with its inputs, channel by channel.
bool KeepsScales(const Graph& graph, const Node& node) {
  if (node.op == "Add") {
    return ActivationInputs(graph, node).size() == 2 &&
           graph.value(node.inputs[0]).shape == graph.value(node.inputs[1]).shape;
  }
  return DropsSpace(graph, node) ||
         IsOneOf(node.op, {"AveragePool", "GlobalAveragePool", "LeakyRelu", "MaxPool", "Relu"});
}

/// Sets of values that scale together; some cannot at all.
class Partition {
 public:
  explicit Partition(const Graph& graph) : parents_(graph.value_count()), fixed_(parents_.size()) {
    std::iota(parents_.begin(), parents_.end(), ValueId{0});
    for (const auto* ids : {&graph.inputs(), &graph.outputs()}) {
      for (const ValueId id : *ids) Fix(id);
    }
    for (const Node& node : graph.nodes()) Add(graph, node);
  }

  ValueId Of(ValueId id) const {
    while (parents_[At(id)] != id) id = parents_[At(id)];
    return id;
  }
  bool IsFixed(ValueId id) const { return fixed_[At(Of(id))]; }

 private:
  static size_t At(ValueId id) { return static_cast<size_t>(id); }

  void Add(const Graph& graph, const Node& node) {
    if (IsProduct(graph, node)) return;
    const bool keeps = KeepsScales(graph, node);
    for (const auto* ids : {&node.inputs, &node.outputs}) {
      for (const ValueId id : *ids) {
        if (id == kNoValue || graph.value(id).constant) continue;
        if (keeps) {
          Join(Of(id), Of(node.outputs[0]));
        } else {
          Fix(id);
        }
      }
    }
  }

  void Fix(ValueId id) { fixed_[At(Of(id))] = true; }
  void Join(ValueId a, ValueId b) {
    fixed_[At(a)] = fixed_[At(a)] || fixed_[At(b)];
    parents_[At(b)] = a;
  }

  std::vector<ValueId> parents_;
  std::vector<bool> fixed_;  // by a set's first
};

}  // namespace

WeightLayout::WeightLayout(const Graph& graph, const Node& product) {
  const Tensor& weights = *graph.value(product.inputs[1]).constant;
  transposed = product.op == "Gemm" && product.attributes.Int("transB", 0) == int64_t{0};
  outputs = static_cast<size_t>(weights.shape()[transposed ? 1 : 0]);
  inputs = static_cast<size_t>(weights.shape()[transposed ? 0 : 1]);
  taps = static_cast<size_t>(weights.size()) / (outputs * inputs);
  group = static_cast<size_t>(product.attributes.Int("group", 1).value_or(1));
}

std::vector<ChannelGroup> FindChannelGroups(const Graph& graph) {
  const Partition partition(graph);
  std::map<ValueId, ChannelGroup> groups;
  for (size_t i = 0; i < graph.nodes().size(); ++i) {
    const Node& node = graph.nodes()[i];
    if (IsProduct(graph, node) && !partition.IsFixed(node.inputs[0])) {
      groups[partition.Of(node.inputs[0])].readers.push_back(i);
    }
    for (const ValueId id : node.outputs) {
      if (id == kNoValue || partition.IsFixed(id)) continue;
      ChannelGroup& group = groups[partition.Of(id)];
      group.values.push_back(id);
      group.channels = static_cast<size_t>(graph.value(id).shape->at(1));
    }
  }
  std::vector<ChannelGroup> read;
  for (auto& [id, group] : groups) {
    if (!group.readers.empty()) read.push_back(std::move(group));
  }
  return read;
}

Graph ScaleChannels(const Graph& graph, const std::vector<ChannelScales>& scales) {
  std::map<ValueId, const std::vector<float>*> by_value;
  for (const ChannelScales& one : scales) {
    for (const ValueId id : one.group.values) by_value[id] = &one.scales;
  }
  const auto scales_of = [&](ValueId id) {
    const auto found = by_value.find(id);
    return found == by_value.end() ? nullptr : found->second;
  };
  Graph result = graph;
  for (Node& node : result.nodes()) {
    if (!IsProduct(graph, node)) continue;
    const auto *input = scales_of(node.inputs[0]), *output = scales_of(node.outputs[0]);
    if (input == nullptr && output == nullptr) continue;
    const auto replace = [&](size_t i, const auto& scale) {
      // The source keeps its own.
      Tensor tensor = Tensor(*graph.value(node.inputs[i]).constant).Unshared();
      const auto numbers = tensor.mutable_data<float>();
      for (size_t k = 0; k < numbers.size(); ++k) numbers[k] = scale(numbers[k], k);
      const std::string name = graph.value(node.inputs[i]).name + "_scaled_for_" + node.name;
      node.inputs[i] = result.AddConstant(name, std::move(tensor));
    };
    const WeightLayout layout(graph, node);
    replace(1, [&](float weight, size_t i) {
      if (input != nullptr) weight *= (*input)[layout.Input(i)];
      return output != nullptr ? weight / (*output)[layout.Output(i)] : weight;
    });
    if (output != nullptr && node.inputs.size() > 2 && node.inputs[2] != kNoValue) {
      replace(2, [&](float bias, size_t i) { return bias / (*output)[i]; });
    }
  }
  return result;
}

}  // namespace trawl::engine
