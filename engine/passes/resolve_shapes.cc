// PyTorch exports write Reshape's target as Shape → Gather → Unsqueeze → Concat. Inference has
// followed such arithmetic up to the batch; here its results become constants, so that the nodes
// behind them die. A Reshape's target gets -1 where the batch stands, which also frees files that
// were written for a batch of 1.
#include <algorithm>

#include "engine/ops/dims.h"
#include "engine/passes/pass.h"

namespace trawl::engine {
namespace {

/// The value as a constant, if its contents are plain integers.
std::optional<Tensor> AsTensor(const Value& value, const SymbolicInts& contents) {
  if (value.dtype != DType::kI64 && value.dtype != DType::kI32) return std::nullopt;
  if (!std::all_of(contents.begin(), contents.end(), [](SymbolicInt e) { return e.batch == 0; })) {
    return std::nullopt;
  }
  Tensor tensor(value.dtype, *value.shape);
  for (size_t i = 0; i < contents.size(); ++i) {
    if (value.dtype == DType::kI64) {
      tensor.mutable_data<int64_t>()[i] = contents[i].constant;
    } else {
      tensor.mutable_data<int32_t>()[i] = static_cast<int32_t>(contents[i].constant);
    }
  }
  return tensor;
}

/// The target that makes `shape` at every batch; nullopt where a zero would make its -1 ambiguous.
std::optional<std::vector<int64_t>> StaticTarget(const Shape& shape) {
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return std::nullopt;
  std::vector<int64_t> target = shape;
  std::replace_if(target.begin(), target.end(), IsBatch, -1);
  return target;
}

}  // namespace

Result<int> ResolveShapes(Graph& graph, const ContentsTable& contents) {
  int changes = 0;
  std::vector<ValueId> resolved;
  for (Node& node : graph.nodes()) {
    if (node.op == "Reshape") {
      const auto target = StaticTarget(*graph.value(node.outputs[0]).shape);
      const Value& operand = graph.value(node.inputs[1]);
      const bool same = operand.constant && operand.dtype == DType::kI64 && target &&
                        std::ranges::equal(operand.constant->data<int64_t>(), *target);
      if (target && !same) {
        const auto rank = static_cast<int64_t>(target->size());
        node.inputs[1] = graph.AddConstant(
            node.name + "/target", Tensor::Of<int64_t>({rank}, std::span<const int64_t>(*target)));
        ++changes;
      }
    }
    for (const ValueId id : node.outputs) {
      if (id == kNoValue || !contents[static_cast<size_t>(id)]) continue;
      if (auto tensor = AsTensor(graph.value(id), *contents[static_cast<size_t>(id)])) {
        graph.value(id).constant = std::move(*tensor);
        resolved.push_back(id);
      }
    }
  }
  // A node whose value is a constant now has nothing left to compute.
  const auto is_resolved = [&](const Node& node) {
    return node.outputs.size() == 1 &&
           std::binary_search(resolved.begin(), resolved.end(), node.outputs[0]);
  };
  std::sort(resolved.begin(), resolved.end());
  for (const Node& node : graph.nodes()) {
    if (is_resolved(node)) continue;
    for (const ValueId id : node.outputs) {
      if (id != kNoValue) graph.value(id).constant.reset();
    }
  }
  changes += static_cast<int>(std::erase_if(graph.nodes(), is_resolved));
  return changes;
}

}  // namespace trawl::engine
