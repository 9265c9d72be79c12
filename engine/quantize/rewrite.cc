// The rewriting of a graph into QDQ form.

#include <algorithm>
#include <cmath>

#include "engine/quantize/means.h"
#include "engine/quantize/weights.h"

namespace trawl::engine {
namespace {

template <class T>
ValueId AddScalar(Graph& graph, const std::string& name, T value) {
  return graph.AddConstant(name, Tensor::Of<T>({}, std::span<const T>(&value, 1)));
}

/// The real numbers that rounded weights stand for.
std::vector<double> Dequantized(const Tensor& rounded, const WeightScales& scales) {
  std::vector<double> numbers;
  for (const int8_t q : rounded.data<int8_t>()) {
    numbers.push_back(q * double{scales.scales[scales.ChannelOf(numbers.size())]});
  }
  return numbers;
}

void TakeBack(const std::vector<double>& errors, Tensor& bias) {
  for (size_t c = 0; c < errors.size(); ++c) {
    float& b = bias.mutable_data<float>()[c];
    b = static_cast<float>(b - errors[c]);
  }
}

/// Builds the QDQ graph node by node.
class Rewriter {
 public:
  Rewriter(const Graph& graph, const QuantizationPlan& plan, const Mappings& mappings,
           const InputMeans& means, const RoundedWeights& rounded)
      : source_(graph),
        plan_(plan),
        mappings_(mappings),
        means_(means),
        rounded_(rounded),
        result_(graph) {}

  Graph Rewrite() {
    result_.nodes().clear();
    for (const ValueId id : source_.inputs()) QuantizeValue(id);
    for (size_t i = 0; i < source_.nodes().size(); ++i) {
      Node node = source_.nodes()[i];
      if (plan_.nodes[i]) QuantizeNode(node);
      const std::vector<ValueId> outputs = node.outputs;
      result_.nodes().push_back(std::move(node));
      for (const ValueId id : outputs) QuantizeValue(id);
    }
    return std::move(result_);
  }

 private:
  /// QuantizeLinear and DequantizeLinear behind a value of the plan.
  void QuantizeValue(ValueId id) {
    if (!plan_.ranges.contains(id)) return;
    const Quantization& mapping = mappings_.at(id);
    const std::string name = source_.value(id).name;
    const ValueId scale = AddScalar(result_, name + "_scale", mapping.scale);
    const ValueId zero_point = AddScalar(result_, name + "_zero_point", mapping.zero_point);
    const ValueId quantized = result_.AddNode(name + "_QuantizeLinear", "QuantizeLinear",
                                              {id, scale, zero_point}, {}, name + "_quantized");
    dequantized_[id] = result_.AddNode(name + "_DequantizeLinear", "DequantizeLinear",
                                       {quantized, scale, zero_point}, {}, name + "_dequantized");
  }

  void QuantizeNode(Node& node) {
    if (node.op == "Conv" || node.op == "Gemm") QuantizeConstants(node);
    for (const ValueId id : ActivationInputs(source_, node)) {
      const auto dequantized = dequantized_.find(id);
      if (dequantized != dequantized_.end()) {
        std::ranges::replace(node.inputs, id, dequantized->second);
      }
    }
  }

  /// The weights of a product as s8, and its bias as s32 in units of its sums.
  void QuantizeConstants(Node& node) {
    const Tensor weights = *source_.value(node.inputs[1]).constant;
    const auto means = means_.find(node.inputs[0]);
    const bool has_bias = node.inputs.size() > 2 && node.inputs[2] != kNoValue;
    // The source keeps its own.
    Tensor bias = has_bias ? Tensor(*source_.value(node.inputs[2]).constant).Unshared() : Tensor();
    const Quantization& input = mappings_.at(node.inputs[0]);
    const auto known = rounded_.find(node.outputs[0]);
    const WeightScales scales = ScalesOf(source_, node, input);
    Tensor rounded = known != rounded_.end() ? known->second : RoundToNearest(weights, scales);
    if (has_bias && means != means_.end()) {
      TakeBack(MeanErrors(node, weights, Dequantized(rounded, scales), means->second), bias);
    }
    node.inputs[1] =
        Dequantize(node.name + "_weights", std::move(rounded), scales.scales, scales.axis);
    if (!has_bias) return;
    std::vector<float> units = scales.scales;
    Tensor sums(DType::kI32, bias.shape());
    constexpr float kMost = 2147483520.0f;  // the greatest f32 that s32 holds
    for (size_t c = 0; c < units.size(); ++c) {
      units[c] *= input.scale;
      sums.mutable_data<int32_t>()[c] = static_cast<int32_t>(
          std::clamp(std::nearbyint(bias.data<float>()[c] / units[c]), -kMost, kMost));
    }
    node.inputs[2] = Dequantize(node.name + "_bias", std::move(sums), units, 0);
  }

  ValueId Dequantize(const std::string& name, Tensor numbers, const std::vector<float>& scales,
                     int64_t axis) {
    const Shape channels = {static_cast<int64_t>(scales.size())};
    const DType dtype = numbers.dtype();
    const ValueId quantized = result_.AddConstant(name + "_quantized", std::move(numbers));
    const ValueId scale = result_.AddConstant(
        name + "_scale", Tensor::Of<float>(channels, std::span<const float>(scales)));
    const ValueId zero_point = result_.AddConstant(name + "_zero_point", Tensor(dtype, channels));
    Attributes attributes;
    attributes.Set("axis", axis);
    return result_.AddNode(name + "_DequantizeLinear", "DequantizeLinear",
                           {quantized, scale, zero_point}, std::move(attributes), name);
  }

  const Graph& source_;
  const QuantizationPlan& plan_;
  const Mappings& mappings_;
  const InputMeans& means_;
  const RoundedWeights& rounded_;
  Graph result_;
  std::map<ValueId, ValueId> dequantized_;  // by value of the source
};

}  // namespace

Graph QuantizeGraph(const Graph& graph, const QuantizationPlan& plan, const Mappings& mappings,
                    const InputMeans& means, const RoundedWeights& rounded) {
  return Rewriter(graph, plan, mappings, means, rounded).Rewrite();
}

}  // namespace trawl::engine
