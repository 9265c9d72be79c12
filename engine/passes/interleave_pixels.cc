// Gives quantised values the layout that their kernels share (Layout::kInterleaved); ReorderBytes
// nodes stand where layouts meet.
#include <vector>

#include "engine/kernels/kernel.h"
#include "engine/passes/layout_copies.h"
#include "engine/passes/pass.h"

namespace trawl::engine {
namespace {

constexpr ImageLayout kTarget{Layout::kInterleaved, DType::kU8, "ReorderBytes", "/interleaved"};

class Interleaver {
 public:
  Interleaver(Graph& graph, const ContentsTable& contents) : graph_(graph), contents_(contents) {}

  int Run() {
    for (Node& node : graph_.nodes()) {
      const KernelDef* kernel = Choose(node);
      const bool reads = kernel == nullptr && ReadsInterleaved(node);
      for (ValueId& id : node.inputs) {
        if (id == kNoValue || graph_.value(id).dtype != DType::kU8) continue;
        const bool plain = (kernel == nullptr && !reads) || graph_.value(id).constant.has_value();
        id = copies_.InLayout(id, plain ? Layout::kPlain : Layout::kInterleaved);
      }
      if (kernel != nullptr) {
        graph_.value(node.outputs[0]).layout = Layout::kInterleaved;
        ++changes_;
      }
      nodes_.push_back(std::move(node));
    }
    for (ValueId& id : graph_.outputs()) {
      if (graph_.value(id).dtype == DType::kU8) id = copies_.InLayout(id, Layout::kPlain);
    }
    graph_.nodes() = std::move(nodes_);
    return changes_ + copies_.count();
  }

 private:
  /// The kernel on interleaved values that the node is to have, or nullptr.
  const KernelDef* Choose(const Node& node) const {
    if (node.outputs.size() != 1 || !copies_.CanHaveLayout(graph_.value(node.outputs[0]))) {
      return nullptr;
    }
    for (const ValueId id : node.inputs) {
      if (id == kNoValue || graph_.value(id).constant) continue;
      if (graph_.value(id).dtype == DType::kU8 && !copies_.CanHaveLayout(graph_.value(id))) {
        return nullptr;
      }
    }
    return FindKernel(NodeView(graph_, node, contents_), Layout::kInterleaved);
  }

  /// Whether a kernel with a plain output takes interleaved bytes.
  bool ReadsInterleaved(const Node& node) const {
    const KernelDef* kernel = FindKernel(NodeView(graph_, node, contents_), Layout::kPlain);
    return kernel != nullptr && kernel->interleaved_input;
  }

  Graph& graph_;
  const ContentsTable& contents_;
  std::vector<Node> nodes_;  // of the new graph
  LayoutCopies copies_{graph_, nodes_, kTarget};
  int changes_ = 0;
};

}  // namespace

Result<int> InterleavePixels(Graph& graph, const ContentsTable& contents) {
  return Interleaver(graph, contents).Run();
}

}  // namespace trawl::engine
