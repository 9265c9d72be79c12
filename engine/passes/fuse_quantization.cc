// QuantizeLinear → DequantizeLinear of activations: quantised models run in f32, but must round and
// saturate exactly where the reference runtime does. One FakeQuantize per DequantizeLinear does
// that without integers in between.
//
// A convolution between dequantised tensors sums products of small integers in that runtime, and
// scales the sum. Scaling the factors first would round every product, and some of the sums would
// then fall on the other side of a rounding boundary. So its inputs stay unscaled here: f32 holds
// integers up to 2^24 exactly, which sums of products of 8-bit numbers rarely leave.
#include <cmath>
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

/// DequantizeLinear nodes that undo a QuantizeLinear become FakeQuantize.
int FusePairs(Graph& graph, const Uses& uses) {
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
    if (zero_point == kNoValue) {
      const Shape scale_shape = *graph.value(node.inputs[1]).shape;
      zero_point = graph.AddConstant(node.name + "/zero_point", Tensor(DType::kU8, scale_shape));
    }
    node.op = "FakeQuantize";
    node.inputs = {quantize.inputs[0], node.inputs[1], zero_point};
    ++changes;
  }
  return changes;
}

/// The node of operator `op` that makes input `i` of `node`, or nullptr.
const Node* InputNode(const Graph& graph, const Uses& uses, const Node& node, size_t i,
                      std::string_view op) {
  if (i >= node.inputs.size() || node.inputs[i] == kNoValue) return nullptr;
  const auto producer = uses.Producer(node.inputs[i]);
  if (!producer || graph.nodes()[*producer].op != op) return nullptr;
  return &graph.nodes()[*producer];
}

/// The constant scale of a (de)quantising node: one number, or one per output channel (axis 0).
/// Empty when it is neither.
std::vector<float> ChannelScales(const Graph& graph, const Node& node, size_t channels) {
  const auto& scale = graph.value(node.inputs[1]).constant;
  if (!scale || scale->dtype() != DType::kF32) return {};
  const auto values = scale->data<float>();
  if (values.size() == 1) return std::vector<float>(channels, values[0]);
  if (values.size() != channels || node.attributes.Int("axis", 1) != int64_t{0}) return {};
  return {values.begin(), values.end()};
}

/// A quantised convolution: where its operands come from, and the scale of its sums by channel.
struct QuantizedConv {
  const Node* x = nullptr;        // FakeQuantize
  const Node* weights = nullptr;  // DequantizeLinear
  const Node* bias = nullptr;     // DequantizeLinear, or none
  std::vector<float> scales;
};

std::optional<QuantizedConv> AsQuantizedConv(const Graph& graph, const Uses& uses,
                                             const Node& node) {
  if (node.op != "Conv") return std::nullopt;
  QuantizedConv conv{InputNode(graph, uses, node, 0, "FakeQuantize"),
                     InputNode(graph, uses, node, 1, "DequantizeLinear"),
                     InputNode(graph, uses, node, 2, "DequantizeLinear"),
                     {}};
  const bool has_bias = node.inputs.size() > 2 && node.inputs[2] != kNoValue;
  if (!conv.x || !conv.weights || has_bias != (conv.bias != nullptr)) return std::nullopt;
  const auto channels = static_cast<size_t>(graph.value(node.inputs[1]).shape->at(0));
  conv.scales = ChannelScales(graph, *conv.weights, channels);
  const auto x_scale = ChannelScales(graph, *conv.x, 1);
  if (conv.scales.empty() || x_scale.size() != 1) return std::nullopt;
  for (float& scale : conv.scales) scale *= x_scale[0];
  if (conv.bias == nullptr) return conv;
  // The bias joins the sum as an integer, so its scale must be that of the products.
  const auto bias_scales = ChannelScales(graph, *conv.bias, channels);
  if (bias_scales.size() != channels) return std::nullopt;
  for (size_t c = 0; c < channels; ++c) {
    const float difference = std::fabs(bias_scales[c] - conv.scales[c]);
    if (!(difference <= 1e-5f * std::fabs(conv.scales[c]))) return std::nullopt;
  }
  return conv;
}

/// `node` with scales of 1: an integer in f32. A DequantizeLinear of constants folds later.
Node Unscaled(Graph& graph, const Node& node, const std::string& name) {
  Node unscaled = node;
  unscaled.name = name;
  Value output;
  output.name = name;
  unscaled.outputs = {graph.AddValue(std::move(output))};
  if (node.op == "FakeQuantize") {
    unscaled.attributes.Set("unscaled", int64_t{1});
    return unscaled;
  }
  Tensor ones(DType::kF32, *graph.value(node.inputs[1]).shape);
  for (float& one : ones.mutable_data<float>()) one = 1;
  unscaled.inputs[1] = graph.AddConstant(name + "/scale", std::move(ones));
  return unscaled;
}

/// Appends to `nodes` the convolution on integers that replaces `node`, after its new operands.
void AppendIntegerConv(Graph& graph, const Node& node, const QuantizedConv& conv,
                       std::vector<Node>& nodes) {
  Node fused = node;
  fused.op = "FusedConv";
  fused.inputs.assign(5, kNoValue);
  const Node* operands[] = {conv.x, conv.weights, conv.bias};
  for (size_t i = 0; i < 3; ++i) {
    if (operands[i] == nullptr) continue;
    nodes.push_back(Unscaled(graph, *operands[i], fmt::format("{}/integers{}", node.name, i)));
    fused.inputs[i] = nodes.back().outputs[0];
  }
  const auto channels = static_cast<int64_t>(conv.scales.size());
  fused.inputs[4] = graph.AddConstant(
      node.name + "/scale", Tensor::Of<float>({channels}, std::span<const float>(conv.scales)));
  nodes.push_back(std::move(fused));
}

}  // namespace

Result<int> FuseQuantization(Graph& graph, const ContentsTable&) {
  const Uses uses(graph);
  int changes = FusePairs(graph, uses);
  std::vector<Node> nodes;
  for (const Node& node : graph.nodes()) {
    if (const auto conv = AsQuantizedConv(graph, uses, node)) {
      AppendIntegerConv(graph, node, *conv, nodes);
      ++changes;
    } else {
      nodes.push_back(node);
    }
  }
  graph.nodes() = std::move(nodes);
  return changes;
}

}  // namespace trawl::engine
