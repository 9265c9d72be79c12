// Computes, at load and by the reference kernels, the nodes all of whose inputs are constants. What
// that may add to the file's own constants is limited, so that a few bytes of ConstantOfShape
// cannot fill the memory.
#include <algorithm>

#include "engine/kernels/kernel.h"
#include "engine/limits.h"
#include "engine/passes/pass.h"
#include "engine/passes/uses.h"

namespace trawl::engine {
namespace {

size_t ConstantBytes(const Graph& graph) {
  size_t bytes = 0;
  for (size_t i = 0; i < graph.value_count(); ++i) {
    const Value& value = graph.value(static_cast<ValueId>(i));
    if (value.constant) bytes += value.constant->byte_size();
  }
  return bytes;
}

/// Products and windows over constants are left to run time: their cost has no bound in the size of
/// their results.
bool IsFoldable(const Graph& graph, const Node& node) {
  for (const std::string_view heavy : {"Conv", "Gemm", "MatMul", "MaxPool", "AveragePool", "LRN"}) {
    if (node.op == heavy) return false;
  }
  const auto known = [&](ValueId id) {
    return id == kNoValue || graph.value(id).constant.has_value();
  };
  return std::all_of(node.inputs.begin(), node.inputs.end(), known);
}

/// Bytes of the node's outputs; nullopt when one has the batch in it.
std::optional<size_t> OutputBytes(const Graph& graph, const Node& node) {
  size_t bytes = 0;
  for (const ValueId id : node.outputs) {
    if (id == kNoValue) continue;
    const Value& value = graph.value(id);
    const auto count = CheckedElementCount(*value.shape);
    if (!count) return std::nullopt;
    bytes += static_cast<size_t>(*count) * ByteSize(value.dtype);
  }
  return bytes;
}

Status FoldNode(Graph& graph, const Node& node, const ContentsTable& contents) {
  TRAWL_ASSIGN(const BoundKernel bound, BindKernel(NodeView(graph, node, contents), nullptr));
  std::vector<ConstTensorView> inputs;
  for (const ValueId id : node.inputs) {
    if (id == kNoValue) {
      inputs.push_back({});
      continue;
    }
    const Tensor& tensor = *graph.value(id).constant;
    inputs.push_back({tensor.dtype(), tensor.shape(), tensor.bytes()});
  }
  std::vector<Tensor> results(node.outputs.size());
  std::vector<TensorView> outputs(node.outputs.size());
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (node.outputs[i] == kNoValue) continue;
    const Value& value = graph.value(node.outputs[i]);
    results[i] = Tensor(value.dtype, *value.shape);
    outputs[i] = {value.dtype, results[i].shape(), results[i].mutable_bytes()};
  }
  ThreadTeam alone;
  Tensor scratch(DType::kU8, {static_cast<int64_t>(bound.kernel->ScratchBytes(1, alone.size()))});
  TRAWL_TRY(bound.kernel->Run({.batch = 1,
                               .inputs = inputs,
                               .outputs = outputs,
                               .scratch = scratch.mutable_bytes(),
                               .team = &alone}));
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (node.outputs[i] != kNoValue) graph.value(node.outputs[i]).constant = std::move(results[i]);
  }
  return OkStatus();
}

}  // namespace

Result<int> FoldConstants(Graph& graph, const ContentsTable& contents) {
  size_t budget = kFoldFreeBytes + kFoldGrowth * ConstantBytes(graph);
  std::vector<bool> dead(graph.nodes().size(), false);
  int changes = 0;
  for (size_t i = 0; i < graph.nodes().size(); ++i) {
    const Node& node = graph.nodes()[i];
    if (!IsFoldable(graph, node)) continue;
    const auto bytes = OutputBytes(graph, node);
    if (!bytes || *bytes > budget) continue;
    if (const Status status = FoldNode(graph, node, contents); !status.ok()) {
      return Annotate(status, "node '{}' ({})", node.name, node.op);
    }
    budget -= *bytes;
    dead[i] = true;
    ++changes;
  }
  RemoveNodes(graph, dead);
  return changes;
}

}  // namespace trawl::engine
