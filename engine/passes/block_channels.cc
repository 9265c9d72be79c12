// Gives values the blocked layout (Layout::kBlocked) as far as there are kernels for it. A
// convolution gains so much by it that it is worth reordering its input; what else has a blocked
// kernel takes it when most of what it reads has that layout already.
#include <algorithm>
#include <map>

#include "engine/blocked.h"
#include "engine/kernels/kernel.h"
#include "engine/ops/dims.h"
#include "engine/passes/pass.h"

namespace trawl::engine {
namespace {

bool IsConvolution(const Node& node) { return node.op == "Conv" || node.op == "FusedConv"; }

/// Rank 4, f32, only the first dimension the batch's, nothing empty.
bool CanBeBlocked(const Value& value) {
  if (value.dtype != DType::kF32 || value.constant || !value.shape || value.shape->size() != 4) {
    return false;
  }
  return value.shape->at(0) != 0 &&
         std::all_of(value.shape->begin() + 1, value.shape->end(), [](int64_t d) { return d > 0; });
}

class Blocker {
 public:
  Blocker(Graph& graph, const ContentsTable& contents) : graph_(graph), contents_(contents) {}

  int Run() {
    for (Node& node : graph_.nodes()) {
      const KernelDef* kernel = Choose(node);
      for (size_t i = 0; i < node.inputs.size(); ++i) {
        if (node.inputs[i] == kNoValue || graph_.value(node.inputs[i]).constant) continue;
        const bool plain = kernel == nullptr || (i == 0 && kernel->plain_input);
        node.inputs[i] = InLayout(node.inputs[i], plain ? Layout::kPlain : Layout::kBlocked);
      }
      if (kernel != nullptr) {
        graph_.value(node.outputs[0]).layout = Layout::kBlocked;
        ++changes_;
      }
      nodes_.push_back(std::move(node));
    }
    for (ValueId& id : graph_.outputs()) id = InLayout(id, Layout::kPlain);
    graph_.nodes() = std::move(nodes_);
    return changes_;
  }

 private:
  bool IsBlocked(ValueId id) const { return graph_.value(id).layout == Layout::kBlocked; }

  /// The blocked kernel that the node is to have, or nullptr.
  const KernelDef* Choose(const Node& node) const {
    if (node.outputs.size() != 1 || !CanBeBlocked(graph_.value(node.outputs[0]))) return nullptr;
    int64_t blocked = 0, plain = 0;  // elements per image of what it reads
    for (const ValueId id : node.inputs) {
      if (id == kNoValue || graph_.value(id).constant) continue;
      if (!CanBeBlocked(graph_.value(id))) return nullptr;
      (IsBlocked(id) ? blocked : plain) += BlockedImageSize(*graph_.value(id).shape);
    }
    if (!IsConvolution(node) && blocked <= plain) return nullptr;
    return FindKernel(NodeView(graph_, node, contents_), Layout::kBlocked);
  }

  /// The value itself, or its copy in the other layout, which is made once.
  ValueId InLayout(ValueId id, Layout layout) {
    if (graph_.value(id).layout == layout) return id;
    const auto [it, is_new] = copies_.try_emplace(id, kNoValue);
    if (!is_new) return it->second;
    Value copy;
    copy.name = graph_.value(id).name + (layout == Layout::kBlocked ? "/blocked" : "/plain");
    copy.shape = graph_.value(id).shape;
    copy.layout = layout;
    Node reorder{copy.name, "Reorder", {id}, {graph_.AddValue(std::move(copy))}, {}};
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

Result<int> BlockChannels(Graph& graph, const ContentsTable& contents) {
  return Blocker(graph, contents).Run();
}

}  // namespace trawl::engine
