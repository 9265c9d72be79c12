// Gives values the blocked layout (Layout::kBlocked) as far as there are kernels for it. A
// convolution gains so much by it that it is worth reordering its input; what else has a blocked
// kernel takes it when most of what it reads has that layout already.
#include <vector>

#include "engine/blocked.h"
#include "engine/kernels/kernel.h"
#include "engine/ops/dims.h"
#include "engine/passes/layout_copies.h"
#include "engine/passes/pass.h"

namespace trawl::engine {
namespace {

bool IsConvolution(const Node& node) { return node.op == "Conv" || node.op == "FusedConv"; }

constexpr ImageLayout kTarget{Layout::kBlocked, DType::kF32, "Reorder", "/blocked"};

class Blocker {
 public:
  Blocker(Graph& graph, const ContentsTable& contents) : graph_(graph), contents_(contents) {}

  int Run() {
    for (Node& node : graph_.nodes()) {
      const KernelDef* kernel = Choose(node);
      for (size_t i = 0; i < node.inputs.size(); ++i) {
        if (node.inputs[i] == kNoValue || graph_.value(node.inputs[i]).constant) continue;
        const bool plain = kernel == nullptr || (i == 0 && kernel->plain_input);
        node.inputs[i] =
            copies_.InLayout(node.inputs[i], plain ? Layout::kPlain : Layout::kBlocked);
      }
      if (kernel != nullptr) {
        graph_.value(node.outputs[0]).layout = Layout::kBlocked;
        ++changes_;
      }
      nodes_.push_back(std::move(node));
    }
    for (ValueId& id : graph_.outputs()) id = copies_.InLayout(id, Layout::kPlain);
    graph_.nodes() = std::move(nodes_);
    return changes_ + copies_.count();
  }

 private:
  bool IsBlocked(ValueId id) const { return graph_.value(id).layout == Layout::kBlocked; }

  /// The blocked kernel that the node is to have, or nullptr.
  const KernelDef* Choose(const Node& node) const {
    if (node.outputs.size() != 1 || !copies_.CanHaveLayout(graph_.value(node.outputs[0])))
      return nullptr;
    int64_t blocked = 0, plain = 0;  // elements per image of what it reads
    for (const ValueId id : node.inputs) {
      if (id == kNoValue || graph_.value(id).constant) continue;
      if (!copies_.CanHaveLayout(graph_.value(id))) return nullptr;
      (IsBlocked(id) ? blocked : plain) += BlockedImageSize(*graph_.value(id).shape);
    }
    if (!IsConvolution(node) && blocked <= plain) return nullptr;
    return FindKernel(NodeView(graph_, node, contents_), Layout::kBlocked);
  }

  Graph& graph_;
  const ContentsTable& contents_;
  std::vector<Node> nodes_;  // of the new graph
  LayoutCopies copies_{graph_, nodes_, kTarget};
  int changes_ = 0;
};

}  // namespace

Result<int> BlockChannels(Graph& graph, const ContentsTable& contents) {
  return Blocker(graph, contents).Run();
}

}  // namespace trawl::engine
