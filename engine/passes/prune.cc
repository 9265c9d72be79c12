// What is asked of the graph: inputs that are known, the output that is wanted, and nothing that
// does not lead to it.
#include <algorithm>

#include "config/suggest.h"
#include "engine/passes/pass.h"
#include "engine/passes/uses.h"

namespace trawl::engine {

Status BindInputs(Graph& graph, const CompileOptions& options) {
  for (const auto& [name, tensor] : options.bound_inputs) {
    auto& inputs = graph.inputs();
    const auto it = std::find_if(inputs.begin(), inputs.end(), [&, &wanted = name](ValueId id) {
      return graph.value(id).name == wanted;
    });
    if (it == inputs.end())
      return Error(Code::kInvalidArgument, "there is no input '{}' to bind", name);
    Value& value = graph.value(*it);
    const Shape& given = tensor.shape();
    const bool fits =
        value.shape && value.dtype == tensor.dtype() &&
        std::equal(value.shape->begin(), value.shape->end(), given.begin(), given.end(),
                   [](int64_t want, int64_t have) { return want < 0 || want == have; });
    if (!fits) {
      return Error(Code::kInvalidArgument, "input '{}' cannot be {} {}", name,
                   ToString(tensor.dtype()), ToString(given));
    }
    value.shape = given;
    value.constant = tensor;
    inputs.erase(it);
  }
  return OkStatus();
}

Status SelectOutput(Graph& graph, std::string_view name) {
  if (name.empty()) return OkStatus();
  std::vector<std::string> names;
  for (const Node& node : graph.nodes()) {
    for (const ValueId id : node.outputs) {
      if (id == kNoValue) continue;
      if (graph.value(id).name == name) {
        graph.outputs() = {id};
        return OkStatus();
      }
      names.push_back(graph.value(id).name);
    }
  }
  for (const Node& node : graph.nodes()) {
    if (node.name == name && !node.outputs.empty() && node.outputs[0] != kNoValue) {
      graph.outputs() = {node.outputs[0]};
      return OkStatus();
    }
    names.push_back(node.name);
  }
  return Error(Code::kInvalidArgument, "no node or value is called '{}'{}", name,
               DidYouMean(name, names));
}

int RemoveDeadNodes(Graph& graph) {
  std::vector<bool> needed(graph.value_count(), false);
  for (const ValueId id : graph.outputs()) needed[static_cast<size_t>(id)] = true;
  std::vector<bool> dead(graph.nodes().size(), true);
  int removed = 0;
  for (size_t i = graph.nodes().size(); i-- > 0;) {
    Node& node = graph.nodes()[i];
    for (ValueId& id : node.outputs) {
      if (id == kNoValue) continue;
      if (needed[static_cast<size_t>(id)]) dead[i] = false;
    }
    if (dead[i]) {
      ++removed;
      continue;
    }
    for (const ValueId id : node.inputs) {
      if (id != kNoValue) needed[static_cast<size_t>(id)] = true;
    }
  }
  // The first output carries a node's identity; further ones that nobody reads are not computed.
  for (Node& node : graph.nodes()) {
    for (size_t i = 1; i < node.outputs.size(); ++i) {
      ValueId& id = node.outputs[i];
      if (node.op != "Split" && id != kNoValue && !needed[static_cast<size_t>(id)]) id = kNoValue;
    }
  }
  RemoveNodes(graph, dead);
  std::erase_if(graph.inputs(), [&](ValueId id) { return !needed[static_cast<size_t>(id)]; });
  for (size_t i = 0; i < needed.size(); ++i) {
    if (!needed[i]) graph.value(static_cast<ValueId>(i)).constant.reset();
  }
  return removed;
}

}  // namespace trawl::engine
