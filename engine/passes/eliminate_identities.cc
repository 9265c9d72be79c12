// Removes nodes whose output is their first input: readers are redirected to it.
#include <algorithm>
#include <numeric>

#include "engine/ops/operands.h"
#include "engine/passes/pass.h"
#include "engine/passes/uses.h"

namespace trawl::engine {
namespace {

bool IsOneOf(std::string_view op, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), op) != names.end();
}

bool IsIdentity(const NodeView& node) {
  const std::string_view op = node.node().op;
  if (op == "Identity") return true;
  if (op == "Dropout") return !node.WantsOutput(1);
  if (IsOneOf(op, {"Concat", "Sum", "Mean", "Max", "Min"})) return node.input_count() == 1;
  if (op == "Cast") return node.dtype(0) == node.graph().value(node.node().outputs[0]).dtype;
  if (node.shape(0) != node.output_shape(0)) return false;
  if (op == "Slice") {
    const auto ranges = SliceRanges(node);
    return ranges && std::all_of(ranges->begin(), ranges->end(), [](const SliceRange& range) {
             return range.step > 0 || range.count <= 1;
           });
  }
  if (op == "Transpose") {
    const auto perm = Permutation(node);
    return perm && std::is_sorted(perm->begin(), perm->end());
  }
  return IsOneOf(op, {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Expand", "Pad"});
}

}  // namespace

Result<int> EliminateIdentities(Graph& graph, const ContentsTable& contents) {
  std::vector<ValueId> target(graph.value_count());
  std::iota(target.begin(), target.end(), 0);
  const auto redirect = [&](ValueId& id) {
    if (id != kNoValue) id = target[static_cast<size_t>(id)];
  };
  std::vector<bool> dead(graph.nodes().size(), false);
  int changes = 0;
  for (size_t i = 0; i < graph.nodes().size(); ++i) {
    Node& node = graph.nodes()[i];
    // Nodes are in topological order, so a chain of identities resolves to its start in one walk.
    std::for_each(node.inputs.begin(), node.inputs.end(), redirect);
    if (!IsIdentity(NodeView(graph, node, contents))) continue;
    target[static_cast<size_t>(node.outputs[0])] = node.inputs[0];
    dead[i] = true;
    ++changes;
  }
  std::for_each(graph.outputs().begin(), graph.outputs().end(), redirect);
  RemoveNodes(graph, dead);
  return changes;
}

}  // namespace trawl::engine
