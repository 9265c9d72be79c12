#include "engine/loaders/onnx_upgrade.h"

#include <string_view>

namespace trawl::engine {
namespace {

/// One node, and where it comes from.
struct Upgrade {
  Graph& graph;
  int64_t opset;
  Node& node;

  ValueId Constant(std::string_view what, Tensor tensor) const {
    return graph.AddConstant(fmt::format("{}/{}", node.name, what), std::move(tensor));
  }
  /// Puts `id` at input `i`; optional inputs before it are absent.
  void SetInput(size_t i, ValueId id) const {
    if (node.inputs.size() <= i) node.inputs.resize(i + 1, kNoValue);
    node.inputs[i] = id;
  }
  /// An attribute of old opsets that is an i64 operand now.
  Status IntsToInput(std::string_view name, size_t input) const {
    if (!node.attributes.Has(name)) return OkStatus();
    TRAWL_ASSIGN(const std::vector<int64_t> values, node.attributes.Ints(name, {}));
    node.attributes.Erase(name);
    const Shape shape = {static_cast<int64_t>(values.size())};
    SetInput(input, Constant(name, Tensor::Of<int64_t>(shape, values)));
    return OkStatus();
  }
  /// The same for an f32 scalar.
  Status FloatToInput(std::string_view name, size_t input) const {
    if (!node.attributes.Has(name)) return OkStatus();
    TRAWL_ASSIGN(const float value, node.attributes.Float(name, 0));
    node.attributes.Erase(name);
    SetInput(input, Constant(name, Tensor::Of<float>({}, std::span<const float>(&value, 1))));
    return OkStatus();
  }
  /// An attribute that means nothing as long as it has its harmless value.
  Status Drop(std::string_view name, int64_t harmless) const {
    TRAWL_ASSIGN(const int64_t value, node.attributes.Int(name, harmless));
    if (value != harmless) {
      return Error(Code::kUnimplemented, "{} = {} is not supported", name, value);
    }
    node.attributes.Erase(name);
    return OkStatus();
  }
};

Status UpgradeClip(const Upgrade& upgrade) {
  TRAWL_TRY(upgrade.FloatToInput("min", 1));
  return upgrade.FloatToInput("max", 2);
}

/// Squeeze, Unsqueeze and the reductions.
Status UpgradeAxes(const Upgrade& upgrade) { return upgrade.IntsToInput("axes", 1); }

Status UpgradeSlice(const Upgrade& upgrade) {
  TRAWL_TRY(upgrade.IntsToInput("starts", 1));
  TRAWL_TRY(upgrade.IntsToInput("ends", 2));
  return upgrade.IntsToInput("axes", 3);
}

Status UpgradeSplit(const Upgrade& upgrade) { return upgrade.IntsToInput("split", 1); }

Status UpgradePad(const Upgrade& upgrade) {
  TRAWL_TRY(upgrade.IntsToInput("pads", 1));
  return upgrade.FloatToInput("value", 2);
}

/// Before opset 13, all dimensions from `axis` (default 1) on are normalised together.
Status UpgradeSoftmax(const Upgrade& upgrade) {
  if (upgrade.opset >= 13) return OkStatus();
  if (!upgrade.node.attributes.Has("axis")) upgrade.node.attributes.Set("axis", int64_t{1});
  upgrade.node.attributes.Set("flatten", int64_t{1});
  return OkStatus();
}

Status UpgradeDropout(const Upgrade& upgrade) {
  if (upgrade.opset < 10 && upgrade.node.outputs.size() > 1) {
    return Error(Code::kUnimplemented, "a mask of the data's type is not supported");
  }
  if (upgrade.opset < 7) TRAWL_TRY(upgrade.Drop("is_test", 1));
  upgrade.node.attributes.Erase("ratio");
  upgrade.node.attributes.Erase("seed");
  return OkStatus();
}

Status UpgradeBatchNormalization(const Upgrade& upgrade) {
  upgrade.node.attributes.Erase("momentum");
  if (upgrade.opset < 7) TRAWL_TRY(upgrade.Drop("is_test", 1));
  TRAWL_TRY(upgrade.Drop("spatial", 1));
  return upgrade.Drop("training_mode", 0);
}

Status UpgradeCast(const Upgrade& upgrade) {
  // Both matter to 8-bit floats only, which are not supported anyway.
  upgrade.node.attributes.Erase("saturate");
  upgrade.node.attributes.Erase("round_mode");
  return OkStatus();
}

Status UpgradeQuantization(const Upgrade& upgrade) {
  upgrade.node.attributes.Erase("saturate");
  TRAWL_TRY(upgrade.Drop("precision", 0));
  TRAWL_TRY(upgrade.Drop("block_size", 0));
  return upgrade.Drop("output_dtype", 0);
}

/// In opset 6, `broadcast` without `axis` lets trailing dimensions repeat, as now every operand
/// may.
Status UpgradeBroadcast(const Upgrade& upgrade) {
  if (upgrade.opset < 7) upgrade.node.attributes.Erase("broadcast");
  return OkStatus();
}

/// In opset 6, a slope with one number per channel stands alone, whatever the data's rank.
Status UpgradePRelu(const Upgrade& upgrade) {
  if (upgrade.opset >= 7 || upgrade.node.inputs.size() < 2) return OkStatus();
  const ValueId slope = upgrade.node.inputs[1];
  if (slope == kNoValue) return OkStatus();
  const std::optional<Shape>& shape = upgrade.graph.value(slope).shape;
  if (shape && CheckedElementCount(*shape) == 1) return OkStatus();
  return Error(Code::kUnimplemented, "a slope per channel is not supported in opset 6");
}

struct Rule {
  std::string_view op;
  Status (*apply)(const Upgrade&);
};

constexpr Rule kRules[] = {
    {"Add", UpgradeBroadcast},
    {"BatchNormalization", UpgradeBatchNormalization},
    {"Cast", UpgradeCast},
    {"Clip", UpgradeClip},
    {"DequantizeLinear", UpgradeQuantization},
    {"Div", UpgradeBroadcast},
    {"Dropout", UpgradeDropout},
    {"Gemm", UpgradeBroadcast},
    {"LogSoftmax", UpgradeSoftmax},
    {"Mul", UpgradeBroadcast},
    {"PRelu", UpgradePRelu},
    {"Pad", UpgradePad},
    {"Pow", UpgradeBroadcast},
    {"QuantizeLinear", UpgradeQuantization},
    {"ReduceMax", UpgradeAxes},
    {"ReduceMean", UpgradeAxes},
    {"ReduceMin", UpgradeAxes},
    {"ReduceProd", UpgradeAxes},
    {"ReduceSum", UpgradeAxes},
    {"Slice", UpgradeSlice},
    {"Softmax", UpgradeSoftmax},
    {"Split", UpgradeSplit},
    {"Squeeze", UpgradeAxes},
    {"Sub", UpgradeBroadcast},
    {"Unsqueeze", UpgradeAxes},
};

}  // namespace

Status UpgradeNode(Graph& graph, int64_t opset, Node& node) {
  for (const Rule& rule : kRules) {
    if (rule.op == node.op) return rule.apply({graph, opset, node});
  }
  return OkStatus();
}

}  // namespace trawl::engine
