// act(conv(x) + bias + residual) in one node: its kernel applies the residual and the activation
// while the result is in the cache, and the result may take the residual's buffer.
#include "engine/kernels/activation.h"
#include "engine/passes/pass.h"
#include "engine/passes/uses.h"

namespace trawl::engine {
namespace {

/// What is behind one Conv or Gemm, as far as it can be fused.
struct Epilogue {
  ValueId residual = kNoValue;
  std::optional<Activation> activation;
  std::vector<size_t> nodes;  // absorbed, in order
};

/// A Conv or Gemm, or a convolution that quantisation fused already and that has no activation yet.
bool IsFusible(const Node& node) {
  return node.op == "Conv" || node.op == "Gemm" ||
         (node.op == "FusedConv" && !node.attributes.Has("activation"));
}

/// The operand that `add` adds to `value`, when it is computed and of the same shape.
ValueId Residual(const Graph& graph, const Node& add, ValueId value) {
  const ValueId other = add.inputs[0] == value ? add.inputs[1] : add.inputs[0];
  const bool fits = graph.value(other).shape == graph.value(value).shape &&
                    graph.value(other).dtype == DType::kF32 && !graph.value(other).constant;
  return fits ? other : kNoValue;
}

Epilogue FindEpilogue(const Graph& graph, const Uses& uses, const Node& node) {
  Epilogue epilogue;
  ValueId value = node.outputs[0];
  while (!epilogue.activation) {
    const auto reader = uses.OnlyReader(value);
    if (!reader) break;
    const Node& next = graph.nodes()[*reader];
    if (next.op == "Add" && node.op == "Conv" && epilogue.residual == kNoValue) {
      epilogue.residual = Residual(graph, next, value);
      if (epilogue.residual == kNoValue) break;
    } else if (next.inputs[0] == value) {
      epilogue.activation = AsActivation(graph, next);
      if (!epilogue.activation) break;
    } else {
      break;
    }
    epilogue.nodes.push_back(*reader);
    value = next.outputs[0];
  }
  return epilogue;
}

}  // namespace

Result<int> FuseEpilogues(Graph& graph, const ContentsTable&) {
  Uses uses(graph);
  std::vector<bool> dead(graph.nodes().size(), false);
  int changes = 0;
  for (size_t i = 0; i < graph.nodes().size(); ++i) {
    if (dead[i] || !IsFusible(graph.nodes()[i])) continue;
    const Epilogue epilogue = FindEpilogue(graph, uses, graph.nodes()[i]);
    if (epilogue.nodes.empty()) continue;
    // The fused node stands where the last absorbed one stood: by then the residual is there.
    const size_t last = epilogue.nodes.back();
    Node fused = std::move(graph.nodes()[i]);
    if (!fused.op.starts_with("Fused")) fused.op = "Fused" + fused.op;
    fused.outputs = graph.nodes()[last].outputs;
    if (epilogue.residual != kNoValue) {
      fused.inputs.resize(4, kNoValue);
      fused.inputs[3] = epilogue.residual;
      uses.MoveReader(epilogue.residual, epilogue.nodes.front(), last);
    }
    if (epilogue.activation) SetActivation(*epilogue.activation, fused.attributes);
    for (size_t k = 0; k < fused.inputs.size(); ++k) uses.MoveReader(fused.inputs[k], i, last);
    dead[i] = true;
    for (const size_t absorbed : epilogue.nodes) dead[absorbed] = absorbed != last;
    graph.nodes()[last] = std::move(fused);
    ++changes;
  }
  RemoveNodes(graph, dead);
  return changes;
}

}  // namespace trawl::engine
