// QuantizeLinear → DequantizeLinear of activations: quantised models run in f32, but must round and saturate exactly where
// the reference runtime does. One FakeQuantize per DequantizeLinear does that without integers in between.
#include <cstring>

#include "engine/passes/pass.h"
#include "engine/passes/uses.h"

namespace trawl::engine {
namespace {

bool SameConstant(const Graph& graph, ValueId a, ValueId b) {
  if (a == b) return true;
  if (a == kNoValue || b == kNoValue) return false;
  const auto& x = graph.value(a).constant;
  const auto& y = graph.value(b).constant;
  return x && y && x->dtype() == y->dtype() && x->shape() == y->shape() &&
         std::memcmp(x->bytes(), y->bytes(), x->byte_size()) == 0;
}

ValueId ZeroPoint(const Node& node) { return node.inputs.size() > 2 ? node.inputs[2] : kNoValue; }

bool SameAxis(const Node& a, const Node& b) {
  const auto x = a.attributes.Int("axis", 1), y = b.attributes.Int("axis", 1);
  return x && y && *x == *y;
}

}  // namespace

Result<int> FuseQuantization(Graph& graph, const ContentsTable&) {
  const Uses uses(graph);
  int changes = 0;
  for (Node& node : graph.nodes()) {
    if (node.op != "DequantizeLinear") continue;
    const auto producer = uses.Producer(node.inputs[0]);
    if (!producer || graph.nodes()[*producer].op != "QuantizeLinear") continue;
    const Node& quantize = graph.nodes()[*producer];
    ValueId zero_point = ZeroPoint(quantize);
    if (!SameConstant(graph, quantize.inputs[1], node.inputs[1]) ||
        !SameConstant(graph, zero_point, ZeroPoint(node)) || !SameAxis(quantize, node)) {
      continue;
    }
    const Shape& scale_shape = *graph.value(node.inputs[1]).shape;
    if (zero_point == kNoValue) {
      zero_point = graph.AddConstant(node.name + "/zero_point", Tensor(DType::kU8, scale_shape));
    }
    node.op = "FakeQuantize";
    node.inputs = {quantize.inputs[0], node.inputs[1], zero_point};
    ++changes;
  }
  return changes;
}

}  // namespace trawl::engine
