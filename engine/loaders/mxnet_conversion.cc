// MxnetConversion: emitting nodes with their shapes inferred as they come.

#include "engine/loaders/mxnet_operators.h"
#include "engine/ops.h"

namespace trawl::engine {
namespace {

/// Types and shapes of `node`'s outputs from those of its inputs: shape inference over a graph of
/// this one node, so that building a graph stays linear in its size.
Status InferAlone(Graph& graph, const Node& node) {
  Graph alone;
  Node copy = node;
  for (ValueId& id : copy.inputs) {
    if (id == kNoValue) continue;
    const Value& value = graph.value(id);
    id = value.constant ? alone.AddConstant(value.name, *value.constant)
                        : alone.AddInput(value.name, value.dtype, *value.shape);
  }
  for (ValueId& id : copy.outputs) id = alone.AddValue({});
  const std::vector<ValueId> outputs = copy.outputs;
  alone.nodes().push_back(std::move(copy));
  if (const auto inferred = InferShapes(alone, /*from_file=*/true); !inferred) {
    return inferred.error();
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    graph.value(node.outputs[i]).dtype = alone.value(outputs[i]).dtype;
    graph.value(node.outputs[i]).shape = alone.value(outputs[i]).shape;
  }
  return OkStatus();
}

}  // namespace

Result<ValueId> MxnetConversion::Input(size_t i) const {
  if (i < inputs_.size()) return inputs_[i];
  return Error(Code::kInvalidArgument, "it has {} inputs, and needs one more", inputs_.size());
}

Result<Tensor> MxnetConversion::Parameter(size_t i) const {
  TRAWL_ASSIGN(const ValueId id, Input(i));
  const Value& value = graph_.value(id);
  if (value.constant) return *value.constant;
  return Error(Code::kUnimplemented, "its input '{}' is not a parameter", value.name);
}

ValueId MxnetConversion::Constant(Tensor tensor) {
  return graph_.AddConstant(fmt::format("{}/constant{}", node_.name, graph_.value_count()),
                            std::move(tensor));
}

ValueId MxnetConversion::Ints(std::vector<int64_t> values) {
  const Shape shape = {static_cast<int64_t>(values.size())};
  return Constant(Tensor::Of<int64_t>(shape, values));
}

ValueId MxnetConversion::Scalar(float value) {
  return Constant(Tensor::Of<float>({}, std::span<const float>(&value, 1)));
}

Result<std::vector<ValueId>> MxnetConversion::EmitMany(std::string op, std::vector<ValueId> inputs,
                                                       Attributes attributes, size_t outputs) {
  Node node;
  // Nodes are named in the order of emission; LoadMxnet names the last one after the symbol's node.
  node.name = emitted_ == 0 ? node_.name : fmt::format("{}/{}", node_.name, emitted_);
  node.op = std::move(op);
  node.inputs = std::move(inputs);
  node.attributes = std::move(attributes);
  for (size_t i = 0; i < outputs; ++i) {
    Value value;
    value.name = fmt::format("{}/{}", node_.name, graph_.value_count());
    node.outputs.push_back(graph_.AddValue(std::move(value)));
  }
  ++emitted_;
  TRAWL_TRY(InferAlone(graph_, node));
  graph_.nodes().push_back(node);
  return node.outputs;
}

Result<ValueId> MxnetConversion::Emit(std::string op, std::vector<ValueId> inputs,
                                      Attributes attributes) {
  TRAWL_ASSIGN(const std::vector<ValueId> outputs,
               EmitMany(std::move(op), std::move(inputs), std::move(attributes), 1));
  return outputs[0];
}

}  // namespace trawl::engine
