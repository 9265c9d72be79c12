// Gives quantised values the layout that their kernels share (Layout::kInterleaved); ReorderBytes
// nodes stand where layouts meet.
#include <map>

#include "engine/kernels/kernel.h"
#include "engine/passes/pass.h"

namespace trawl::engine {
namespace {

/// Rank 4, u8, only the first dimension the batch's, nothing empty.
bool CanBeInterleaved(const Value& value) {
  if (value.dtype != DType::kU8 || value.constant || !value.shape || value.shape->size() != 4) {
    return false;
  }
  return value.shape->at(0) != 0 &&
         std::all_of(value.shape->begin() + 1, value.shape->end(), [](int64_t d) { return d > 0; });
}

class Interleaver {
 public:
  Interleaver(Graph& graph, const ContentsTable& contents) : graph_(graph), contents_(contents) {}

  int Run() {
    for (Node& node : graph_.nodes()) {
      const KernelDef* kernel = Choose(node);
      for (ValueId& id : node.inputs) {
        if (id == kNoValue || graph_.value(id).dtype != DType::kU8) continue;
        const bool plain = kernel == nullptr || graph_.value(id).constant.has_value();
        id = InLayout(id, plain ? Layout::kPlain : Layout::kInterleaved);
      }
      if (kernel != nullptr) {
        graph_.value(node.outputs[0]).layout = Layout::kInterleaved;
        ++changes_;
      }
      nodes_.push_back(std::move(node));
    }
    for (ValueId& id : graph_.outputs()) {
      if (graph_.value(id).dtype == DType::kU8) id = InLayout(id, Layout::kPlain);
    }
    graph_.nodes() = std::move(nodes_);
    return changes_;
  }

 private:
  /// The kernel on interleaved values that the node is to have, or nullptr.
  const KernelDef* Choose(const Node& node) const {
    if (node.outputs.size() != 1 || !CanBeInterleaved(graph_.value(node.outputs[0]))) {
      return nullptr;
    }
    for (const ValueId id : node.inputs) {
      if (id == kNoValue || graph_.value(id).constant) continue;
      if (graph_.value(id).dtype == DType::kU8 && !CanBeInterleaved(graph_.value(id))) {
        return nullptr;
      }
    }
    return FindKernel(NodeView(graph_, node, contents_), Layout::kInterleaved);
  }

  /// The value itself, or its copy in the other layout, which is made once.
  ValueId InLayout(ValueId id, Layout layout) {
    if (graph_.value(id).layout == layout) return id;
    const auto [it, is_new] = copies_.try_emplace(id, kNoValue);
    if (!is_new) return it->second;
    Value copy;
    copy.name =
        graph_.value(id).name + (layout == Layout::kInterleaved ? "/interleaved" : "/plain");
    copy.dtype = DType::kU8;
    copy.shape = graph_.value(id).shape;
    copy.layout = layout;
    Node reorder{copy.name, "ReorderBytes", {id}, {graph_.AddValue(std::move(copy))}, {}, ""};
    it->second = reorder.outputs[0];
    nodes_.push_back(std::move(reorder));
    ++changes_;
    return it->second;
  }

  Graph& graph_;
  const ContentsTable& contents_;
  std::vector<Node> nodes_;  // of the new graph
  std::map<ValueId, ValueId> copies_;
  int changes_ = 0;
};

}  // namespace

Result<int> InterleavePixels(Graph& graph, const ContentsTable& contents) {
  return Interleaver(graph, contents).Run();
}

}  // namespace trawl::engine
