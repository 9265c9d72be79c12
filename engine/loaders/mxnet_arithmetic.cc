// Arithmetic: elementwise, with scalars, softmaxes and losses, reductions.

#include <algorithm>

#include "engine/loaders/mxnet_tables.h"

namespace trawl::engine {
namespace {

/// The same operator under another name.
template <size_t N>
const char* Renamed(const std::pair<std::string_view, const char*> (&names)[N],
                    std::string_view name) {
  const auto found = std::ranges::find(names, name, [](const auto& entry) { return entry.first; });
  CHECK(found != std::end(names));
  return found->second;
}

constexpr std::pair<std::string_view, const char*> kUnary[] = {
    {"abs", "Abs"},
    {"ceil", "Ceil"},
    {"erf", "Erf"},
    {"exp", "Exp"},
    {"floor", "Floor"},
    {"hard_sigmoid", "HardSigmoid"},
    {"log", "Log"},
    {"negative", "Neg"},
    {"reciprocal", "Reciprocal"},
    {"relu", "Relu"},
    {"sigmoid", "Sigmoid"},
    {"sign", "Sign"},
    {"softsign", "Softsign"},
    {"sqrt", "Sqrt"},
    {"tanh", "Tanh"},
    {"LogisticRegressionOutput", "Sigmoid"},
};

constexpr std::pair<std::string_view, const char*> kBinary[] = {
    {"elemwise_add", "Add"},
    {"_Plus", "Add"},
    {"_plus", "Add"},
    {"_add", "Add"},
    {"_grad_add", "Add"},
    {"elemwise_sub", "Sub"},
    {"_Minus", "Sub"},
    {"_minus", "Sub"},
    {"_sub", "Sub"},
    {"elemwise_mul", "Mul"},
    {"_Mul", "Mul"},
    {"_mul", "Mul"},
    {"elemwise_div", "Div"},
    {"_Div", "Div"},
    {"_div", "Div"},
    {"_Power", "Pow"},
    {"_power", "Pow"},
    {"_Maximum", "Max"},
    {"_maximum", "Max"},
    {"_Minimum", "Min"},
    {"_minimum", "Min"},
    {"broadcast_add", "Add"},
    {"broadcast_plus", "Add"},
    {"broadcast_sub", "Sub"},
    {"broadcast_minus", "Sub"},
    {"broadcast_mul", "Mul"},
    {"broadcast_div", "Div"},
    {"broadcast_power", "Pow"},
    {"broadcast_maximum", "Max"},
    {"broadcast_minimum", "Min"},
};

struct ScalarForm {
  const char* op;
  bool scalar_first;
};

constexpr std::pair<std::string_view, ScalarForm> kScalar[] = {
    {"_plus_scalar", {"Add", false}},    {"_PlusScalar", {"Add", false}},
    {"_minus_scalar", {"Sub", false}},   {"_MinusScalar", {"Sub", false}},
    {"_rminus_scalar", {"Sub", true}},   {"_RMinusScalar", {"Sub", true}},
    {"_mul_scalar", {"Mul", false}},     {"_MulScalar", {"Mul", false}},
    {"_div_scalar", {"Div", false}},     {"_DivScalar", {"Div", false}},
    {"_rdiv_scalar", {"Div", true}},     {"_RDivScalar", {"Div", true}},
    {"_power_scalar", {"Pow", false}},   {"_PowerScalar", {"Pow", false}},
    {"_maximum_scalar", {"Max", false}}, {"_MaximumScalar", {"Max", false}},
    {"_minimum_scalar", {"Min", false}}, {"_MinimumScalar", {"Min", false}},
};

constexpr std::pair<std::string_view, const char*> kReduce[] = {
    {"mean", "ReduceMean"},    {"sum", "ReduceSum"},      {"sum_axis", "ReduceSum"},
    {"max", "ReduceMax"},      {"max_axis", "ReduceMax"}, {"min", "ReduceMin"},
    {"min_axis", "ReduceMin"}, {"prod", "ReduceProd"}};

Status FinishWith(MxnetConversion& conversion, Result<ValueId> output) {
  TRAWL_ASSIGN(const ValueId id, std::move(output));
  conversion.Finish({id});
  return OkStatus();
}

Status ConvertUnary(MxnetConversion& conversion) {
  TRAWL_ASSIGN(const ValueId data, conversion.Input(0));
  Attributes attributes;
  if (conversion.node().op == "hard_sigmoid") {
    TRAWL_ASSIGN(const float alpha, conversion.node().Float("alpha", 0.2f));
    TRAWL_ASSIGN(const float beta, conversion.node().Float("beta", 0.5f));
    attributes.Set("alpha", alpha);
    attributes.Set("beta", beta);
  }
  return FinishWith(conversion, conversion.Emit(Renamed(kUnary, conversion.node().op), {data},
                                                std::move(attributes)));
}

Status ConvertSquare(MxnetConversion& conversion) {
  TRAWL_ASSIGN(const ValueId data, conversion.Input(0));
  return FinishWith(conversion, conversion.Emit("Mul", {data, data}));
}

Status ConvertBinary(MxnetConversion& conversion) {
  TRAWL_ASSIGN(const ValueId a, conversion.Input(0));
  TRAWL_ASSIGN(const ValueId b, conversion.Input(1));
  return FinishWith(conversion, conversion.Emit(Renamed(kBinary, conversion.node().op), {a, b}));
}

Status ConvertSum(MxnetConversion& conversion) {
  return FinishWith(conversion, conversion.Emit("Sum", conversion.inputs()));
}

Status ConvertScalar(MxnetConversion& conversion) {
  const auto form = std::ranges::find(kScalar, std::string_view(conversion.node().op),
                                      [](const auto& entry) { return entry.first; });
  CHECK(form != std::end(kScalar));
  TRAWL_ASSIGN(const ValueId data, conversion.Input(0));
  TRAWL_ASSIGN(const float value, conversion.node().Float("scalar", std::nullopt));
  const ValueId scalar = conversion.Scalar(value);
  std::vector<ValueId> operands = {data, scalar};
  if (form->second.scalar_first) std::swap(operands[0], operands[1]);
  return FinishWith(conversion, conversion.Emit(form->second.op, operands));
}

Status ConvertClip(MxnetConversion& conversion) {
  TRAWL_ASSIGN(const ValueId data, conversion.Input(0));
  TRAWL_ASSIGN(const float low, conversion.node().Float("a_min", std::nullopt));
  TRAWL_ASSIGN(const float high, conversion.node().Float("a_max", std::nullopt));
  const ValueId min = conversion.Scalar(low);
  const ValueId max = conversion.Scalar(high);
  return FinishWith(conversion, conversion.Emit("Clip", {data, min, max}));
}

Result<ValueId> EmitSoftmax(MxnetConversion& conversion, const char* op, ValueId data, int64_t axis,
                            bool flatten) {
  Attributes attributes;
  attributes.Set("axis", axis);
  if (flatten) attributes.Set("flatten", int64_t{1});
  return conversion.Emit(op, {data}, std::move(attributes));
}

Status ConvertSoftmax(MxnetConversion& conversion) {
  const SymbolNode& node = conversion.node();
  TRAWL_ASSIGN(ValueId data, conversion.Input(0));
  TRAWL_ASSIGN(const int64_t axis, node.Int("axis", -1));
  TRAWL_ASSIGN(const float temperature, node.Float("temperature", 1.0f));
  TRAWL_ASSIGN(const bool use_length, node.Bool("use_length", false));
  if (use_length) return Error(Code::kUnimplemented, "use_length is not supported");
  if (temperature != 1.0f) {
    const ValueId divisor = conversion.Scalar(temperature);
    TRAWL_ASSIGN(data, conversion.Emit("Div", {data, divisor}));
  }
  const char* op = node.op == "log_softmax" ? "LogSoftmax" : "Softmax";
  return FinishWith(conversion, EmitSoftmax(conversion, op, data, axis, false));
}

Status ConvertSoftmaxActivation(MxnetConversion& conversion) {
  TRAWL_ASSIGN(const ValueId data, conversion.Input(0));
  TRAWL_ASSIGN(const std::string mode, conversion.node().Text("mode", "instance"));
  if (mode != "instance" && mode != "channel") {
    return Error(Code::kUnimplemented, "mode '{}' is not supported", mode);
  }
  return FinishWith(conversion, EmitSoftmax(conversion, "Softmax", data, 1, mode == "instance"));
}

Status ConvertSoftmaxOutput(MxnetConversion& conversion) {
  const SymbolNode& node = conversion.node();
  TRAWL_ASSIGN(const ValueId data, conversion.Input(0));
  TRAWL_ASSIGN(const bool multi_output, node.Bool("multi_output", false));
  TRAWL_ASSIGN(const bool preserve_shape, node.Bool("preserve_shape", false));
  const int64_t axis = multi_output || !preserve_shape ? 1 : -1;
  const bool flatten = !multi_output && !preserve_shape;
  return FinishWith(conversion, EmitSoftmax(conversion, "Softmax", data, axis, flatten));
}

Status ConvertReduce(MxnetConversion& conversion) {
  const SymbolNode& node = conversion.node();
  TRAWL_ASSIGN(const ValueId data, conversion.Input(0));
  TRAWL_ASSIGN(std::vector<int64_t> axes, node.Ints("axis", {}));
  TRAWL_ASSIGN(const bool keepdims, node.Bool("keepdims", false));
  TRAWL_ASSIGN(const bool exclude, node.Bool("exclude", false));
  const auto rank = static_cast<int64_t>(conversion.shape(data).size());
  for (int64_t& axis : axes) axis = axis < 0 ? axis + rank : axis;
  std::vector<int64_t> reduced;
  for (int64_t axis = 0; axis < rank; ++axis) {
    const bool listed = std::ranges::count(axes, axis) > 0;
    if (axes.empty() || listed != exclude) reduced.push_back(axis);
  }
  Attributes attributes;
  attributes.Set("keepdims", int64_t{keepdims});
  const ValueId operand = conversion.Ints(reduced);
  return FinishWith(conversion, conversion.Emit(Renamed(kReduce, node.op), {data, operand},
                                                std::move(attributes)));
}

/// What changes nothing at inference.
Status ConvertIdentity(MxnetConversion& conversion) {
  TRAWL_ASSIGN(const ValueId data, conversion.Input(0));
  conversion.Finish({data});
  return OkStatus();
}

Status ConvertDropout(MxnetConversion& conversion) {
  TRAWL_ASSIGN(const std::string mode, conversion.node().Text("mode", "training"));
  if (mode != "training") return Error(Code::kUnimplemented, "mode '{}' is not supported", mode);
  return ConvertIdentity(conversion);
}

/// Everything is computed in f32, so casts between floats are nothing.
Status ConvertCast(MxnetConversion& conversion) {
  TRAWL_ASSIGN(const std::string dtype, conversion.node().Text("dtype", ""));
  if (!dtype.starts_with("float")) {
    return Error(Code::kUnimplemented, "dtype '{}' is not supported", dtype);
  }
  return ConvertIdentity(conversion);
}

std::vector<MxnetOperator> MakeTable() {
  std::vector<MxnetOperator> table = {
      {"BlockGrad", ConvertIdentity},
      {"Cast", ConvertCast},
      {"Dropout", ConvertDropout},
      {"ElementWiseSum", ConvertSum},
      {"LinearRegressionOutput", ConvertIdentity, 1},
      {"MAERegressionOutput", ConvertIdentity, 1},
      {"MakeLoss", ConvertIdentity},
      {"Softmax", ConvertSoftmaxOutput, 1, true},
      {"SoftmaxActivation", ConvertSoftmaxActivation, 1, true},
      {"SoftmaxOutput", ConvertSoftmaxOutput, 1, true},
      {"_copy", ConvertIdentity},
      {"_sum", ConvertSum},
      {"add_n", ConvertSum},
      {"amp_cast", ConvertCast},
      {"cast", ConvertCast},
      {"clip", ConvertClip},
      {"identity", ConvertIdentity},
      {"log_softmax", ConvertSoftmax, 1},
      {"make_loss", ConvertIdentity},
      {"softmax", ConvertSoftmax, 1, true},
      {"square", ConvertSquare},
      {"stop_gradient", ConvertIdentity},
  };
  for (const auto& [name, op] : kUnary) {
    // The losses among them end the network, and have labels as their second input.
    table.push_back({name, ConvertUnary, 1, name == "LogisticRegressionOutput"});
  }
  for (const auto& [name, op] : kBinary) table.push_back({name, ConvertBinary});
  for (const auto& [name, form] : kScalar) table.push_back({name, ConvertScalar});
  for (const auto& [name, op] : kReduce) table.push_back({name, ConvertReduce});
  return table;
}

}  // namespace

std::span<const MxnetOperator> MxnetArithmetic() {
  static const std::vector<MxnetOperator> table = MakeTable();
  return table;
}

}  // namespace trawl::engine
