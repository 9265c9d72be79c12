#include "engine/kernels/conv_node.h"

#include <limits>

#include "engine/kernels/packed_channels.h"

namespace trawl::engine {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

bool IsConstantF32(const NodeView& node, size_t i) {
  const Tensor* constant = node.constant(i);
  return constant != nullptr && constant->dtype() == DType::kF32;
}

}  // namespace

simd::Epilogue ConvNode::EpilogueFrom(int64_t block) const {
  simd::Epilogue epilogue;
  epilogue.bias = bias.data<float>().data() + block * simd::kBlock;
  if (scale) epilogue.scale = scale->data<float>().data() + block * simd::kBlock;
  epilogue.bounded =
      activation.kind == ActivationKind::kRelu || activation.kind == ActivationKind::kClip;
  const bool relu = activation.kind == ActivationKind::kRelu;
  epilogue.low = relu ? 0 : activation.alpha;
  epilogue.high = relu ? kInfinity : activation.beta;
  return epilogue;
}

void ConvNode::FinishPixels(const simd::Microkernels& microkernels, float* y,
                            int64_t pixels) const {
  switch (activation.kind) {
    case ActivationKind::kNone:
    case ActivationKind::kRelu:
    case ActivationKind::kClip:
      return;
    default:
      microkernels.elementwise.activate(activation, y, y, pixels);
  }
}

std::string WhyNotDense(const NodeView& node) {
  if (node.dtype(0) != DType::kF32 || node.shape(0).size() != 4) return "not f32 images";
  if (!IsConstantF32(node, 1)) return "the weights are not constant";
  if (ElementCount(node.shape(1)) == 0) return "the weights are empty";
  const auto window = ConvWindow(node.graph(), node.node());
  if (!window) return window.error().message();
  if (window->InputSize() == 0 || window->OutputSize() == 0) return "the images are empty";
  const int64_t outputs = node.shape(1)[0];
  if (!CanPackChannels(node, 2, outputs)) return "the bias is not constant";
  if (!CanPackChannels(node, 4, outputs)) return "the scale is not constant";
  return "";
}

bool IsDepthwise(const NodeView& node) {
  const int64_t group = node.attributes().Int("group", 1).value_or(1);
  return group > 1 && group == node.shape(0)[1];
}

Result<ConvNode> ReadConv(const NodeView& node) {
  ConvNode conv;
  TRAWL_ASSIGN(conv.window, ConvWindow(node.graph(), node.node()));
  TRAWL_ASSIGN(conv.group, node.attributes().Int("group", 1));
  TRAWL_ASSIGN(conv.activation, GetActivation(node.attributes()));
  conv.inputs = node.shape(0)[1];
  conv.weights = *node.constant(1);
  conv.outputs = conv.weights.shape()[0];
  conv.bias = PackChannels(node, 2, conv.outputs, 0);
  if (node.HasInput(4)) conv.scale = PackChannels(node, 4, conv.outputs, 1);
  conv.has_residual = node.HasInput(3);
  return conv;
}

}  // namespace trawl::engine
