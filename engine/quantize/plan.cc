#include "engine/quantize/plan.h"

#include <algorithm>
#include <string_view>

#include "engine/passes/uses.h"

namespace trawl::engine {
namespace {

bool IsOneOf(std::string_view op, std::initializer_list<std::string_view> ops) {
  return std::ranges::find(ops, op) != ops.end();
}

const Tensor* ConstantInput(const Graph& graph, const Node& node, size_t i) {
  if (i >= node.inputs.size() || node.inputs[i] == kNoValue) return nullptr;
  const auto& constant = graph.value(node.inputs[i]).constant;
  return constant ? &*constant : nullptr;
}

bool IsPlainGemm(const Node& node) {
  const auto& a = node.attributes;
  return a.Float("alpha", 1) == 1.0f && a.Float("beta", 1) == 1.0f && a.Int("transA", 0) == 0;
}

/// Whether one image's output is as small as its number of channels.
bool IsHead(const Graph& graph, const Node& node) {
  const Shape& shape = *graph.value(node.outputs[0]).shape;
  return std::all_of(shape.begin() + 2, shape.end(), [](int64_t dim) { return dim == 1; });
}

bool IsFollower(const Graph& graph, const Node& node) {
  if (node.outputs.size() != 1) return false;
  if (node.op == "Add") {
    return graph.value(node.inputs[0]).shape == graph.value(node.inputs[1]).shape;
  }
  return IsOneOf(node.op, {"AveragePool", "Concat", "GlobalAveragePool", "MaxPool"});
}

/// Walks back over what convolutions apply when they store their result.
std::optional<size_t> ProducerBehindActivation(const Graph& graph, const Uses& uses, ValueId id) {
  auto producer = uses.Producer(id);
  while (producer && IsOneOf(graph.nodes()[*producer].op, {"Clip", "LeakyRelu", "Relu"})) {
    producer = uses.Producer(graph.nodes()[*producer].inputs[0]);
  }
  return producer;
}

void AddFollowers(const Graph& graph, std::vector<bool>& quantized) {
  const Uses uses(graph);
  for (size_t i = 0; i < graph.nodes().size(); ++i) {
    const Node& node = graph.nodes()[i];
    if (!IsFollower(graph, node)) continue;
    const auto inputs = ActivationInputs(graph, node);
    quantized[i] =
        inputs.size() == node.inputs.size() && std::ranges::all_of(inputs, [&](ValueId id) {
          const auto producer = ProducerBehindActivation(graph, uses, id);
          return producer && quantized[*producer];
        });
  }
}

/// The operands of a sum whose convolutions could add the other operand before they round, so that
/// a range of its own would only cost accuracy.
std::vector<ValueId> JoiningOperands(const Graph& graph, const Uses& uses,
                                     const std::vector<bool>& quantized, const Node& add) {
  std::vector<ValueId> operands;
  for (const ValueId id : add.inputs) {
    const auto producer = uses.Producer(id);
    const bool joins = producer && quantized[*producer] && graph.nodes()[*producer].op == "Conv" &&
                       uses.OnlyReader(id);
    if (joins) operands.push_back(id);
  }
  return operands;
}

ValueId RangeOf(const std::map<ValueId, ValueId>& ranges, ValueId id) {
  for (auto found = ranges.find(id); found != ranges.end() && found->second != id;
       found = ranges.find(id)) {
    id = found->second;
  }
  return id;
}

}  // namespace

bool IsProduct(const Graph& graph, const Node& node) {
  const bool conv = node.op == "Conv";
  if (!conv && !(node.op == "Gemm" && IsPlainGemm(node))) return false;
  const Tensor* weights = ConstantInput(graph, node, 1);
  const size_t rank = conv ? 4 : 2;
  if (graph.value(node.inputs[0]).constant || weights == nullptr || weights->size() == 0 ||
      weights->dtype() != DType::kF32 || weights->shape().size() != rank) {
    return false;
  }
  if (node.inputs.size() < 3 || node.inputs[2] == kNoValue) return true;
  const Tensor* bias = ConstantInput(graph, node, 2);
  return bias != nullptr && bias->shape() == Shape{graph.value(node.outputs[0]).shape->at(1)};
}

std::vector<ValueId> ActivationInputs(const Graph& graph, const Node& node) {
  std::vector<ValueId> ids;
  const bool product = node.op == "Conv" || node.op == "Gemm";
  for (size_t i = 0; i < (product ? 1 : node.inputs.size()); ++i) {
    const ValueId id = node.inputs[i];
    if (id != kNoValue && !graph.value(id).constant) ids.push_back(id);
  }
  return ids;
}

std::vector<size_t> QuantizableProducts(const Graph& graph) {
  std::vector<size_t> products;
  for (size_t i = 0; i < graph.nodes().size(); ++i) {
    if (IsProduct(graph, graph.nodes()[i])) products.push_back(i);
  }
  if (!products.empty() && IsHead(graph, graph.nodes()[products.back()])) products.pop_back();
  return products;
}

QuantizationPlan PlanQuantization(const Graph& graph, const std::vector<size_t>& products,
                                  bool followers) {
  QuantizationPlan plan;
  plan.nodes.resize(graph.nodes().size());
  for (const size_t i : products) plan.nodes[i] = true;
  if (followers) AddFollowers(graph, plan.nodes);
  for (size_t i = 0; i < plan.nodes.size(); ++i) {
    if (!plan.nodes[i]) continue;
    for (const ValueId id : ActivationInputs(graph, graph.nodes()[i])) plan.ranges.emplace(id, id);
  }
  const Uses uses(graph);
  for (size_t i = 0; i < plan.nodes.size(); ++i) {
    if (!plan.nodes[i] || graph.nodes()[i].op != "Add") continue;
    const auto operands = JoiningOperands(graph, uses, plan.nodes, graph.nodes()[i]);
    if (operands.size() == 1) plan.ranges.erase(operands[0]);
  }
  for (size_t i = 0; i < plan.nodes.size(); ++i) {
    const Node& node = graph.nodes()[i];
    if (!plan.nodes[i] || !IsOneOf(node.op, {"Concat", "MaxPool"})) continue;
    const ValueId output = node.outputs[0];
    for (const ValueId id : ActivationInputs(graph, node)) {
      const ValueId a = RangeOf(plan.ranges, id), b = RangeOf(plan.ranges, output);
      if (plan.ranges.contains(output) && a != b) plan.ranges[std::max(a, b)] = std::min(a, b);
    }
  }
  for (auto& [id, range] : plan.ranges) range = RangeOf(plan.ranges, id);
  return plan;
}

void LeaveUnrounded(const Graph& graph, const Mappings& mappings, QuantizationPlan& plan) {
  const Uses uses(graph);
  for (size_t i = 0; i < plan.nodes.size(); ++i) {
    if (!plan.nodes[i] || graph.nodes()[i].op != "Add") continue;
    const auto operands = JoiningOperands(graph, uses, plan.nodes, graph.nodes()[i]);
    if (operands.size() < 2) continue;
    plan.ranges.erase(
        *std::ranges::max_element(operands, {}, [&](ValueId id) { return mappings.at(id).scale; }));
  }
}

}  // namespace trawl::engine
