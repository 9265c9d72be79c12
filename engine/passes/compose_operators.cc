// Operators that exporters write as several others, or as more general ones, become what they are:
// those have fast kernels, and convolutions take activations in.
#include <algorithm>
#include <cmath>

#include "engine/kernels/activation.h"
#include "engine/ops/operands.h"
#include "engine/passes/pass.h"
#include "engine/passes/spelled_out.h"
#include "engine/passes/uses.h"

namespace trawl::engine {
namespace {

/// `gate` of x · gate(x) makes the product this operator; "" when none.
std::string_view GatedBy(const Graph& graph, const Node& gate) {
  const auto activation = AsActivation(graph, gate);
  if (!activation) return "";
  if (activation->kind == ActivationKind::kSigmoid) return "Swish";
  const bool is_hard = activation->kind == ActivationKind::kHardSigmoid &&
                       std::abs(activation->alpha - 1.0f / 6) < 1e-6f && activation->beta == 0.5f;
  return is_hard ? "HardSwish" : "";
}

/// x · sigmoid(x), whichever is written first.
bool ComposeGate(const Graph& graph, const Uses& uses, Node& product) {
  if (product.op != "Mul") return false;
  for (const size_t i : {0, 1}) {
    const auto producer = uses.Producer(product.inputs[i]);
    if (!producer || !uses.OnlyReader(product.inputs[i])) continue;
    const Node& gate = graph.nodes()[*producer];
    const std::string_view op = GatedBy(graph, gate);
    if (op.empty() || gate.inputs[0] != product.inputs[1 - i]) continue;
    product.op = op;
    product.inputs = {gate.inputs[0]};
    return true;
  }
  return false;
}

/// The mean of each channel's plane. Where the dimensions go, a Flatten takes them away.
bool ComposePool(Graph& graph, const ContentsTable& contents, Node& mean, std::vector<Node>& to) {
  if (mean.op != "ReduceMean") return false;
  const NodeView view(graph, mean, contents);
  const auto reduced = ReducedDims(view);
  if (!reduced || reduced->size() < 3 || reduced->size() > 5 || (*reduced)[0] || (*reduced)[1] ||
      !std::all_of(reduced->begin() + 2, reduced->end(), [](bool dim) { return dim; }))
    return false;
  if (mean.attributes.Int("keepdims", 1).value_or(1) == 0) {
    Value pooled;
    pooled.name = graph.value(mean.outputs[0]).name + "/pooled";
    Node pool{mean.name, "GlobalAveragePool", {mean.inputs[0]}, {}, {}};
    pool.outputs = {graph.AddValue(std::move(pooled))};
    mean = {mean.name + "/flatten", "Flatten", pool.outputs, mean.outputs, {}};
    to.push_back(std::move(pool));
  } else {
    mean = {mean.name, "GlobalAveragePool", {mean.inputs[0]}, mean.outputs, {}};
  }
  return true;
}

}  // namespace

Result<int> ComposeOperators(Graph& graph, const ContentsTable& contents) {
  const Uses uses(graph);
  int changes = 0;
  for (size_t i = 0; i < graph.nodes().size(); ++i) {
    Node& node = graph.nodes()[i];
    changes += ComposeGate(graph, uses, node) || ComposeGelu(graph, uses, node) ||
                       ComposeNormalization(graph, contents, uses, i)
                   ? 1
                   : 0;
  }
  std::vector<Node> nodes;
  for (Node& node : graph.nodes()) {
    changes += ComposePool(graph, contents, node, nodes) ? 1 : 0;
    nodes.push_back(std::move(node));
  }
  graph.nodes() = std::move(nodes);
  return changes;
}

}  // namespace trawl::engine
