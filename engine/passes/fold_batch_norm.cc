// y = conv(x) · scale + shift, with scale and shift per output channel, is a convolution with other
// weights. Only what follows a Conv or Gemm is folded: in front of a padded convolution the shift
// would also have to reach the zeros of the padding, which no change of weights does.
#include "engine/kernels/channel_affine.h"
#include "engine/ops/dims.h"
#include "engine/passes/pass.h"
#include "engine/passes/uses.h"

namespace trawl::engine {
namespace {

/// The constant as one number per channel of `shape` ([N, channels, …]); nullopt when it varies
/// otherwise.
std::optional<std::vector<double>> PerChannel(const Tensor& tensor, const Shape& shape) {
  const auto channels = static_cast<size_t>(shape[1]);
  if (tensor.size() == 1) {
    if (tensor.shape().size() > shape.size()) return std::nullopt;
    return std::vector<double>(channels, tensor.data<float>()[0]);
  }
  Shape wanted(shape.size() - 1, 1);
  wanted[0] = shape[1];
  Shape given = tensor.shape();
  if (given.size() == shape.size() && given[0] == 1) given.erase(given.begin());
  if (given != wanted) return std::nullopt;
  const auto values = tensor.data<float>();
  return std::vector<double>(values.begin(), values.end());
}

/// What `node` does to `input`, the output of a Conv or Gemm.
std::optional<ChannelAffine> AsAffine(const Graph& graph, const Node& node, ValueId input) {
  if (node.op == "BatchNormalization" && node.inputs[0] == input)
    return BatchNormAffine(graph, node);
  const bool adds = node.op == "Add" || node.op == "Sub",
             scales = node.op == "Mul" || node.op == "Div";
  if (!adds && !scales) return std::nullopt;
  const size_t other = node.inputs[0] == input ? 1 : 0;
  // c - x and c / x are not of the form.
  if (other == 0 && (node.op == "Sub" || node.op == "Div")) return std::nullopt;
  const Tensor* tensor = ConstantF32(graph, node, other);
  if (tensor == nullptr) return std::nullopt;
  const auto operand = PerChannel(*tensor, *graph.value(input).shape);
  if (!operand) return std::nullopt;
  ChannelAffine affine{std::vector<double>(operand->size(), 1),
                       std::vector<double>(operand->size(), 0)};
  for (size_t c = 0; c < operand->size(); ++c) {
    const double value = (*operand)[c];
    if (node.op == "Add") affine.shift[c] = value;
    if (node.op == "Sub") affine.shift[c] = -value;
    if (node.op == "Mul") affine.scale[c] = value;
    if (node.op == "Div") affine.scale[c] = 1 / value;
  }
  return affine;
}

/// True for a Conv, or a plain a · b + c Gemm, with constant weights and one bias per channel, or
/// none.
bool IsFoldable(const Graph& graph, const Node& node) {
  if (node.op != "Conv" && node.op != "Gemm") return false;
  const Tensor* weights = ConstantF32(graph, node, 1);
  if (weights == nullptr || weights->size() == 0) return false;
  if (node.op == "Gemm" &&
      (node.attributes.Float("alpha", 1) != 1.0f || node.attributes.Float("beta", 1) != 1.0f)) {
    return false;
  }
  if (node.inputs.size() < 3 || node.inputs[2] == kNoValue) return true;
  const Tensor* bias = ConstantF32(graph, node, 2);
  return bias != nullptr && PerChannel(*bias, Shape{1, graph.value(node.outputs[0]).shape->at(1)});
}

/// Gives `node` weights and a bias that apply `affine` to its result; `sole`: nobody else reads its
/// weights, which are often most of a model and then change where they are.
void Apply(Graph& graph, Node& node, const ChannelAffine& affine, bool sole) {
  const size_t channels = affine.scale.size();
  Tensor weights = *graph.value(node.inputs[1]).constant;
  if (sole) graph.value(node.inputs[1]).constant.reset();
  weights = std::move(weights).Unshared();
  const auto values = weights.mutable_data<float>();
  // The output channel is the outermost dimension of a Conv's weights and of a transposed Gemm's,
  // else the innermost.
  const bool outermost = node.op == "Conv" || node.attributes.Int("transB", 0) != 0;
  const size_t outer = outermost ? 1 : values.size() / channels;
  const size_t inner = values.size() / channels / outer;
  size_t i = 0;
  for (size_t o = 0; o < outer; ++o) {
    for (const double scale : affine.scale) {
      for (const size_t end = i + inner; i < end; ++i) {
        values[i] = static_cast<float>(values[i] * scale);
      }
    }
  }
  Tensor bias(DType::kF32, {static_cast<int64_t>(channels)});
  const Tensor* given = ConstantF32(graph, node, 2);
  for (size_t c = 0; c < channels; ++c) {
    const double value = given == nullptr ? 0 : given->data<float>()[given->size() == 1 ? 0 : c];
    bias.mutable_data<float>()[c] = static_cast<float>(value * affine.scale[c] + affine.shift[c]);
  }
  node.inputs.resize(3, kNoValue);
  node.inputs[1] = graph.AddConstant(node.name + "/weights", std::move(weights));
  node.inputs[2] = graph.AddConstant(node.name + "/bias", std::move(bias));
}

}  // namespace

Result<int> FoldBatchNorm(Graph& graph, const ContentsTable&) {
  const Uses uses(graph);
  const size_t known = graph.value_count();  // to `uses`; this pass reads its own constants once
  std::vector<bool> dead(graph.nodes().size(), false);
  int changes = 0;
  for (size_t i = 0; i < graph.nodes().size(); ++i) {
    Node& node = graph.nodes()[i];
    while (IsFoldable(graph, node)) {
      const auto reader = uses.OnlyReader(node.outputs[0]);
      if (!reader) break;
      const auto affine = AsAffine(graph, graph.nodes()[*reader], node.outputs[0]);
      // Broadcasting against a larger constant would change the shape.
      const ValueId result = graph.nodes()[*reader].outputs[0];
      if (!affine || graph.value(result).shape != graph.value(node.outputs[0]).shape) break;
      const bool sole =
          static_cast<size_t>(node.inputs[1]) >= known || uses.OnlyReader(node.inputs[1]);
      Apply(graph, node, *affine, sole);
      node.outputs[0] = result;
      dead[*reader] = true;
      ++changes;
    }
  }
  RemoveNodes(graph, dead);
  return changes;
}

}  // namespace trawl::engine
