#include "engine/passes/quantized_values.h"

#include <algorithm>
#include <cmath>

#include "engine/ops.h"

namespace trawl::engine {
namespace {

/// Sums stay below this after scaling, so that rounding to an integer cannot overflow.
constexpr double kMaxSum = 1 << 30;
constexpr int kSignedOffset = 128;

std::vector<int64_t> Integers(const Tensor& tensor) {
  const auto copy = [](auto values) { return std::vector<int64_t>(values.begin(), values.end()); };
  switch (tensor.dtype()) {
    case DType::kU8:
      return copy(tensor.data<uint8_t>());
    case DType::kI8:
      return copy(tensor.data<int8_t>());
    case DType::kI32:
      return copy(tensor.data<int32_t>());
    default:
      return {};
  }
}

/// The zero points of a (de)quantising node, none of which is all zeros; nullopt when they are
/// computed.
std::optional<std::vector<int64_t>> ZeroPoints(const Graph& graph, const Node& node) {
  if (node.inputs.size() < 3 || node.inputs[2] == kNoValue) return std::vector<int64_t>{0};
  const auto& constant = graph.value(node.inputs[2]).constant;
  if (!constant) return std::nullopt;
  return Integers(*constant);
}

/// i8 weights and the number that was taken from each; nullopt when a zero point is in the way.
struct Bytes {
  std::vector<int8_t> values;
  int offset = 0;
};

std::optional<Bytes> AsBytes(const std::vector<int64_t>& values) {
  const auto [low, high] = std::ranges::minmax(values);
  if (high - low > 255) return std::nullopt;
  // As few sums of activations as possible: none, where the weights fit as they are.
  Bytes bytes;
  if (low < -128) bytes.offset = static_cast<int>(low + 128);
  if (high > 127) bytes.offset = static_cast<int>(high - 127);
  for (const int64_t value : values) {
    bytes.values.push_back(static_cast<int8_t>(value - bytes.offset));
  }
  return bytes;
}

}  // namespace

std::optional<Grid> GridOf(const Graph& graph, const Node& node) {
  const auto& scale = graph.value(node.inputs[1]).constant;
  const auto zero_points = ZeroPoints(graph, node);
  if (!scale || scale->dtype() != DType::kF32 || scale->size() != 1) return std::nullopt;
  if (!zero_points || zero_points->size() != 1) return std::nullopt;
  const bool has_zero_point = node.inputs.size() > 2 && node.inputs[2] != kNoValue;
  const DType dtype = has_zero_point                ? graph.value(node.inputs[2]).dtype
                      : node.op == "QuantizeLinear" ? DType::kU8
                                                    : graph.value(node.inputs[0]).dtype;
  Grid grid{scale->data<float>()[0], static_cast<int>(zero_points->front())};
  if (dtype == DType::kI8) grid.zero_point += kSignedOffset;
  const bool fits =
      (dtype == DType::kU8 || dtype == DType::kI8) && std::isnormal(grid.scale) && grid.scale > 0;
  return fits ? std::optional(grid) : std::nullopt;
}

Result<QuantizedConstant> ReadConstant(const Graph& graph, const Node& dequantize, size_t axis,
                                       size_t channels) {
  const auto& values = graph.value(dequantize.inputs[0]).constant;
  const auto& scale = graph.value(dequantize.inputs[1]).constant;
  const auto zero_points = ZeroPoints(graph, dequantize);
  if (!values || !scale || !zero_points || scale->dtype() != DType::kF32) {
    return Error(Code::kUnimplemented, "its weights are not quantised constants");
  }
  QuantizedConstant read;
  read.values = Integers(*values);
  const auto scales = scale->data<float>();
  const auto given_axis = dequantize.attributes.Int("axis", 1);
  const bool by_channel = scales.size() > 1;
  if (by_channel &&
      (scales.size() != channels || !given_axis || *given_axis != static_cast<int64_t>(axis))) {
    return Error(Code::kUnimplemented, "its weights do not have a scale for each output channel");
  }
  for (size_t c = 0; c < channels; ++c) read.scales.push_back(scales[by_channel ? c : 0]);
  size_t inner = 1;
  for (size_t d = axis + 1; d < values->shape().size(); ++d) {
    inner *= static_cast<size_t>(values->shape()[d]);
  }
  for (size_t i = 0; i < read.values.size(); ++i) {
    const size_t c = i / inner % channels;
    read.values[i] -= (*zero_points)[zero_points->size() == channels ? c : 0];
  }
  return read;
}

Result<IntegerProduct> MakeProduct(const QuantizedConstant& weights, const Shape& shape,
                                   std::span<const double> bias, const Grid& x, const Grid& y) {
  if (weights.values.empty()) return Error(Code::kUnimplemented, "it has no weights");
  const size_t channels = weights.scales.size(), depth = weights.values.size() / channels;
  const auto bytes = AsBytes(weights.values);
  if (!bytes) return Error(Code::kUnimplemented, "its weights do not fit a byte");
  IntegerProduct product{Tensor::Of<int8_t>(shape, bytes->values),
                         Tensor(DType::kF32, {static_cast<int64_t>(channels)}),
                         Tensor(DType::kF32, {static_cast<int64_t>(channels)}),
                         {}};
  product.parameters.zero_point = x.zero_point;
  product.parameters.weight_offset = bytes->offset;
  for (size_t c = 0; c < channels; ++c) {
    double sum = 0, magnitude = 0;
    for (size_t i = 0; i < depth; ++i) {
      const auto weight = static_cast<double>(weights.values[c * depth + i]);
      sum += weight;
      magnitude += 255 * std::fabs(weight);
    }
    // As the kernels see it: sums of stored weights and of activations come one by one.
    magnitude += 255 * std::fabs(static_cast<double>(bytes->offset)) * static_cast<double>(depth);
    const auto multiplier =
        static_cast<float>(static_cast<double>(x.scale) * weights.scales[c] / y.scale);
    const double shift =
        bias[c] / y.scale - x.zero_point * sum * static_cast<double>(multiplier) + y.zero_point;
    const double most = magnitude * std::fabs(multiplier) + std::fabs(shift);
    if (!(2 * magnitude < INT32_MAX) || !(most < kMaxSum)) {
      return Error(Code::kUnimplemented, "its sums may overflow");
    }
    product.multiplier.mutable_data<float>()[c] = multiplier;
    product.shift.mutable_data<float>()[c] = static_cast<float>(shift);
  }
  return product;
}

std::optional<std::pair<int, int>> BytesOf(const Activation& activation, const Grid& y) {
  const auto byte = [&](float real) {
    const float steps = std::clamp(real / y.scale, -256.0f, 256.0f);
    return std::clamp(static_cast<int>(std::nearbyint(steps)) + y.zero_point, 0, 255);
  };
  switch (activation.kind) {
    case ActivationKind::kNone:
      return std::pair(0, 255);
    case ActivationKind::kRelu:
      return std::pair(byte(0), 255);
    case ActivationKind::kClip:
      if (!(activation.alpha <= activation.beta)) return std::nullopt;
      return std::pair(byte(activation.alpha), byte(activation.beta));
    default:
      return std::nullopt;
  }
}

}  // namespace trawl::engine
