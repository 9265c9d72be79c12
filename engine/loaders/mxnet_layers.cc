// Layers: convolution, dense, normalisation, pooling, activations.

#include <algorithm>

#include "engine/limits.h"
#include "engine/loaders/mxnet_tables.h"

namespace trawl::engine {
namespace {

using Ints = std::vector<int64_t>;

/// Kernel, stride, dilation and padding of a convolution or pooling, one entry per spatial axis.
struct Window {
  Ints kernel, stride, dilate, pad;
};

Result<Ints> PerAxis(const SymbolNode& node, std::string_view key, size_t axes, int64_t fallback,
                     int64_t min) {
  TRAWL_ASSIGN(Ints values, node.Ints(key, {}));
  if (values.empty()) values.assign(axes, fallback);
  const bool in_range = std::all_of(values.begin(), values.end(),
                                    [&](int64_t v) { return v >= min && v <= kMaxWindow; });
  if (values.size() != axes || !in_range) {
    return Error(Code::kInvalidArgument, "its {} does not fit its kernel", key);
  }
  return values;
}

Result<Window> ReadWindow(const MxnetConversion& conversion, ValueId data) {
  const SymbolNode& node = conversion.node();
  const size_t rank = conversion.shape(data).size();
  Window window;
  TRAWL_ASSIGN(window.kernel, node.Ints("kernel", {}));
  const size_t axes = window.kernel.size();
  if (axes == 0 || axes + 2 != rank) {
    return Error(Code::kInvalidArgument, "a kernel of {} axes over data of {}", axes, rank);
  }
  TRAWL_ASSIGN(window.kernel, PerAxis(node, "kernel", axes, 1, 1));
  TRAWL_ASSIGN(window.stride, PerAxis(node, "stride", axes, 1, 1));
  TRAWL_ASSIGN(window.dilate, PerAxis(node, "dilate", axes, 1, 1));
  TRAWL_ASSIGN(window.pad, PerAxis(node, "pad", axes, 0, 0));
  return window;
}

/// Channels first: "NCW", "NCHW", "NCDHW", or nothing said.
Status CheckLayout(const SymbolNode& node) {
  TRAWL_ASSIGN(const std::string layout, node.Text("layout", "NC"));
  if (layout.starts_with("NC")) return OkStatus();
  return Error(Code::kUnimplemented, "layout {} is not supported", layout);
}

/// [begins…, ends…]
Ints Pads(const Ints& begins, const Ints& ends) {
  Ints pads = begins;
  pads.insert(pads.end(), ends.begin(), ends.end());
  return pads;
}

Status CheckOutputs(const MxnetConversion& conversion, std::string_view key) {
  TRAWL_ASSIGN(const int64_t expected, conversion.node().Int(key, std::nullopt));
  TRAWL_ASSIGN(const Tensor weight, conversion.Parameter(1));
  if (!weight.shape().empty() && weight.shape()[0] == expected) return OkStatus();
  return Error(Code::kInvalidArgument, "{} is {}, but its weights are {}", key, expected,
               ToString(weight.shape()));
}

Status ConvertConvolution(MxnetConversion& conversion) {
  const SymbolNode& node = conversion.node();
  TRAWL_TRY(CheckLayout(node));
  TRAWL_TRY(CheckOutputs(conversion, "num_filter"));
  TRAWL_ASSIGN(const ValueId data, conversion.Input(0));
  TRAWL_ASSIGN(const Window window, ReadWindow(conversion, data));
  TRAWL_ASSIGN(const int64_t groups, node.Int("num_group", 1));
  TRAWL_ASSIGN(const bool no_bias, node.Bool("no_bias", false));
  TRAWL_ASSIGN(const ValueId weight, conversion.Input(1));
  std::vector<ValueId> inputs = {data, weight};
  if (!no_bias) {
    TRAWL_ASSIGN(const ValueId bias, conversion.Input(2));
    inputs.push_back(bias);
  }
  Attributes attributes;
  attributes.Set("kernel_shape", window.kernel);
  attributes.Set("strides", window.stride);
  attributes.Set("dilations", window.dilate);
  attributes.Set("pads", Pads(window.pad, window.pad));
  attributes.Set("group", groups);
  TRAWL_ASSIGN(const ValueId output, conversion.Emit("Conv", inputs, std::move(attributes)));
  conversion.Finish({output});
  return OkStatus();
}

/// data · Wᵀ over the last axis, for data of any rank.
Result<ValueId> EmitDense(MxnetConversion& conversion, ValueId data, ValueId weight) {
  Attributes transposed;
  transposed.Set("perm", Ints{1, 0});
  TRAWL_ASSIGN(const ValueId w, conversion.Emit("Transpose", {weight}, std::move(transposed)));
  return conversion.Emit("MatMul", {data, w});
}

Status ConvertFullyConnected(MxnetConversion& conversion) {
  const SymbolNode& node = conversion.node();
  TRAWL_TRY(CheckOutputs(conversion, "num_hidden"));
  TRAWL_ASSIGN(ValueId data, conversion.Input(0));
  TRAWL_ASSIGN(const ValueId weight, conversion.Input(1));
  TRAWL_ASSIGN(const bool no_bias, node.Bool("no_bias", false));
  TRAWL_ASSIGN(const bool flatten, node.Bool("flatten", true));
  std::vector<ValueId> bias;
  if (!no_bias) {
    TRAWL_ASSIGN(const ValueId id, conversion.Input(2));
    bias.push_back(id);
  }
  if (!flatten && conversion.shape(data).size() != 2) {
    TRAWL_ASSIGN(ValueId output, EmitDense(conversion, data, weight));
    if (!no_bias) {
      TRAWL_ASSIGN(output, conversion.Emit("Add", {output, bias[0]}));
    }
    conversion.Finish({output});
    return OkStatus();
  }
  if (conversion.shape(data).size() != 2) {
    TRAWL_ASSIGN(data, conversion.Emit("Flatten", {data}));
  }
  std::vector<ValueId> inputs = {data, weight};
  inputs.insert(inputs.end(), bias.begin(), bias.end());
  Attributes attributes;
  attributes.Set("transB", int64_t{1});
  TRAWL_ASSIGN(const ValueId output, conversion.Emit("Gemm", inputs, std::move(attributes)));
  conversion.Finish({output});
  return OkStatus();
}

Status ConvertActivation(MxnetConversion& conversion) {
  TRAWL_ASSIGN(const std::string type, conversion.node().Text("act_type", ""));
  static constexpr std::pair<std::string_view, const char*> kTypes[] = {{"relu", "Relu"},
                                                                        {"sigmoid", "Sigmoid"},
                                                                        {"tanh", "Tanh"},
                                                                        {"softrelu", "Softplus"},
                                                                        {"softsign", "Softsign"}};
  for (const auto& [name, op] : kTypes) {
    if (name != type) continue;
    TRAWL_ASSIGN(const ValueId data, conversion.Input(0));
    TRAWL_ASSIGN(const ValueId output, conversion.Emit(op, {data}));
    conversion.Finish({output});
    return OkStatus();
  }
  return Error(Code::kUnimplemented, "activation '{}' is not supported", type);
}

/// The slope of PReLU, one per channel, in a shape that broadcasts over [N, C, …].
Result<ValueId> ChannelSlope(MxnetConversion& conversion, size_t data_rank) {
  TRAWL_ASSIGN(const Tensor slope, conversion.Parameter(1));
  Shape shape = {slope.size()};
  if (slope.size() > 1) shape.resize(std::max<size_t>(data_rank, 2) - 1, 1);
  return conversion.Constant(slope.Reshaped(shape));
}

Status ConvertLeakyRelu(MxnetConversion& conversion) {
  const SymbolNode& node = conversion.node();
  TRAWL_ASSIGN(const std::string type, node.Text("act_type", "leaky"));
  TRAWL_ASSIGN(const ValueId data, conversion.Input(0));
  TRAWL_ASSIGN(float slope, node.Float("slope", 0.25f));
  if (type == "rrelu") {  // at inference, the mean of its range
    TRAWL_ASSIGN(const float lower, node.Float("lower_bound", 0.125f));
    TRAWL_ASSIGN(const float upper, node.Float("upper_bound", 0.334f));
    slope = (lower + upper) / 2;
  }
  std::vector<ValueId> inputs = {data};
  Attributes attributes;
  std::string op = "LeakyRelu";
  if (type == "prelu") {
    op = "PRelu";
    TRAWL_ASSIGN(const ValueId id, ChannelSlope(conversion, conversion.shape(data).size()));
    inputs.push_back(id);
  } else if (type == "elu") {
    op = "Elu";
    attributes.Set("alpha", slope);
  } else if (type == "selu") {
    op = "Selu";
  } else if (type == "leaky" || type == "rrelu") {
    attributes.Set("alpha", slope);
  } else {
    return Error(Code::kUnimplemented, "act_type '{}' is not supported", type);
  }
  TRAWL_ASSIGN(const ValueId output, conversion.Emit(op, inputs, std::move(attributes)));
  conversion.Finish({output});
  return OkStatus();
}

/// A moving statistic. Before 0.9, files list none of them among the inputs.
Result<ValueId> MovingStatistic(MxnetConversion& conversion, size_t input, const char* suffix) {
  if (input < conversion.input_count()) return conversion.Input(input);
  const std::string name = conversion.node().name + suffix;
  const auto found = conversion.params().find(name);
  if (found != conversion.params().end()) return conversion.Constant(found->second);
  return Error(Code::kInvalidArgument, "'{}' is not among the parameters", name);
}

Status ConvertBatchNorm(MxnetConversion& conversion) {
  const SymbolNode& node = conversion.node();
  TRAWL_ASSIGN(const ValueId data, conversion.Input(0));
  TRAWL_ASSIGN(ValueId gamma, conversion.Input(1));
  TRAWL_ASSIGN(const ValueId beta, conversion.Input(2));
  TRAWL_ASSIGN(const ValueId mean, MovingStatistic(conversion, 3, "_moving_mean"));
  TRAWL_ASSIGN(const ValueId variance, MovingStatistic(conversion, 4, "_moving_var"));
  TRAWL_ASSIGN(const float epsilon, node.Float("eps", 1e-3f));
  TRAWL_ASSIGN(const bool fix_gamma, node.Bool("fix_gamma", true));
  TRAWL_ASSIGN(const int64_t axis, node.Int("axis", 1));
  const auto rank = static_cast<int64_t>(conversion.shape(data).size());
  if ((axis < 0 ? axis + rank : axis) != 1) {
    return Error(Code::kUnimplemented, "axis {} is not supported", axis);
  }
  if (fix_gamma) {  // whatever the file holds, MXNet takes 1
    TRAWL_ASSIGN(const Tensor stored, conversion.Parameter(1));
    Tensor ones(DType::kF32, stored.shape());
    std::ranges::fill(ones.mutable_data<float>(), 1.0f);
    gamma = conversion.Constant(ones);
  }
  Attributes attributes;
  attributes.Set("epsilon", epsilon);
  TRAWL_ASSIGN(const ValueId output,
               conversion.Emit("BatchNormalization", {data, gamma, beta, mean, variance},
                               std::move(attributes)));
  conversion.Finish({output});
  return OkStatus();
}

Status ConvertInstanceNorm(MxnetConversion& conversion) {
  TRAWL_ASSIGN(const ValueId data, conversion.Input(0));
  TRAWL_ASSIGN(const ValueId gamma, conversion.Input(1));
  TRAWL_ASSIGN(const ValueId beta, conversion.Input(2));
  TRAWL_ASSIGN(const float epsilon, conversion.node().Float("eps", 1e-3f));
  Attributes attributes;
  attributes.Set("epsilon", epsilon);
  TRAWL_ASSIGN(const ValueId output, conversion.Emit("InstanceNormalization", {data, gamma, beta},
                                                     std::move(attributes)));
  conversion.Finish({output});
  return OkStatus();
}

Status ConvertLrn(MxnetConversion& conversion) {
  const SymbolNode& node = conversion.node();
  TRAWL_ASSIGN(const ValueId data, conversion.Input(0));
  TRAWL_ASSIGN(const int64_t size, node.Int("nsize", std::nullopt));
  TRAWL_ASSIGN(const float alpha, node.Float("alpha", 1e-4f));
  TRAWL_ASSIGN(const float beta, node.Float("beta", 0.75f));
  TRAWL_ASSIGN(const float bias, node.Float("knorm", 2.0f));
  // MXNet's window of an even size starts one channel earlier than ONNX's.
  if (size % 2 == 0) return Error(Code::kUnimplemented, "an even nsize is not supported");
  Attributes attributes;
  attributes.Set("size", size);
  attributes.Set("alpha", alpha);
  attributes.Set("beta", beta);
  attributes.Set("bias", bias);
  TRAWL_ASSIGN(const ValueId output, conversion.Emit("LRN", {data}, std::move(attributes)));
  conversion.Finish({output});
  return OkStatus();
}

/// How far the windows reach past the data at the end of each axis. The convention `valid` stops
/// before the padding ends; `full` rounds the number of windows up and may reach beyond it.
Result<Ints> EndPads(const Window& window, const Shape& data, bool full) {
  Ints ends = window.pad;
  for (size_t i = 0; i < ends.size() && full; ++i) {
    const int64_t size = data[i + 2], kernel = window.kernel[i], stride = window.stride[i];
    const int64_t room = size + 2 * window.pad[i] - kernel;
    if (size <= 0 || room < 0) {
      return Error(Code::kInvalidArgument, "a kernel of {} over {} pixels", kernel, size);
    }
    const int64_t last_start = (room + stride - 1) / stride * stride - window.pad[i];
    if (last_start >= size) {
      return Error(Code::kUnimplemented, "a window that lies wholly in the padding");
    }
    ends[i] = last_start + kernel - size;
  }
  return ends;
}

/// `data` with zeros around its spatial axes.
Result<ValueId> EmitZeroPad(MxnetConversion& conversion, ValueId data, const Ints& begins,
                            const Ints& ends) {
  Ints pads(2, 0);  // batch and channels stay
  pads.insert(pads.end(), begins.begin(), begins.end());
  pads.insert(pads.end(), 2, 0);
  pads.insert(pads.end(), ends.begin(), ends.end());
  if (std::ranges::all_of(pads, [](int64_t pad) { return pad == 0; })) return data;
  const ValueId operand = conversion.Ints(pads);
  return conversion.Emit("Pad", {data, operand});
}

Result<ValueId> EmitPool(MxnetConversion& conversion, const char* op, ValueId data,
                         const Window& window, const Ints& pads, bool count_padding) {
  Attributes attributes;
  attributes.Set("kernel_shape", window.kernel);
  attributes.Set("strides", window.stride);
  attributes.Set("pads", pads);
  if (count_padding) attributes.Set("count_include_pad", int64_t{1});
  return conversion.Emit(op, {data}, std::move(attributes));
}

/// `extra[i] = ends[i] - pad[i]`: what `full` adds beyond the padding.
Ints Beyond(const Ints& ends, const Ints& pad) {
  Ints extra = ends;
  for (size_t i = 0; i < extra.size(); ++i) extra[i] -= pad[i];
  return extra;
}

Result<ValueId> EmitAveragePool(MxnetConversion& conversion, ValueId data, const Window& window,
                                const Ints& ends) {
  TRAWL_ASSIGN(const bool count_padding, conversion.node().Bool("count_include_pad", true));
  const Ints none(ends.size(), 0);
  if (!count_padding || ends == window.pad) {
    return EmitPool(conversion, "AveragePool", data, window, Pads(window.pad, ends), count_padding);
  }
  // MXNet divides by the part of the window inside the padded image, which is neither of ONNX's two
  // rules: so the padding becomes part of the image, and what lies beyond does not count.
  TRAWL_ASSIGN(const ValueId padded, EmitZeroPad(conversion, data, window.pad, window.pad));
  return EmitPool(conversion, "AveragePool", padded, window, Pads(none, Beyond(ends, window.pad)),
                  /*count_padding=*/false);
}

/// Pooling_v1 pads with zeros for both types, and an average always divides by the whole kernel.
Result<ValueId> EmitPoolV1(MxnetConversion& conversion, ValueId data, const Window& window,
                           const Ints& ends, bool max) {
  const Ints none(ends.size(), 0);
  TRAWL_ASSIGN(const ValueId padded,
               EmitZeroPad(conversion, data, window.pad, max ? window.pad : ends));
  const Ints beyond = max ? Beyond(ends, window.pad) : none;
  return EmitPool(conversion, max ? "MaxPool" : "AveragePool", padded, window, Pads(none, beyond),
                  /*count_padding=*/false);
}

Status ConvertPooling(MxnetConversion& conversion) {
  const SymbolNode& node = conversion.node();
  TRAWL_TRY(CheckLayout(node));
  TRAWL_ASSIGN(const ValueId data, conversion.Input(0));
  TRAWL_ASSIGN(const std::string type, node.Text("pool_type", "max"));
  TRAWL_ASSIGN(const bool global, node.Bool("global_pool", false));
  TRAWL_ASSIGN(const std::string convention, node.Text("pooling_convention", "valid"));
  const bool max = type == "max";
  if (!max && type != "avg") {
    return Error(Code::kUnimplemented, "pool_type '{}' is not supported", type);
  }
  if (global) {
    const char* op = max ? "GlobalMaxPool" : "GlobalAveragePool";
    TRAWL_ASSIGN(const ValueId output, conversion.Emit(op, {data}));
    conversion.Finish({output});
    return OkStatus();
  }
  if (convention != "valid" && convention != "full") {
    return Error(Code::kUnimplemented, "pooling_convention '{}' is not supported", convention);
  }
  TRAWL_ASSIGN(const Window window, ReadWindow(conversion, data));
  TRAWL_ASSIGN(const Ints ends, EndPads(window, conversion.shape(data), convention == "full"));
  if (node.op == "Pooling_v1") {
    TRAWL_ASSIGN(const ValueId output, EmitPoolV1(conversion, data, window, ends, max));
    conversion.Finish({output});
    return OkStatus();
  }
  Result<ValueId> output =
      max ? EmitPool(conversion, "MaxPool", data, window, Pads(window.pad, ends), false)
          : EmitAveragePool(conversion, data, window, ends);
  TRAWL_ASSIGN(const ValueId id, std::move(output));
  conversion.Finish({id});
  return OkStatus();
}

constexpr MxnetOperator kLayers[] = {
    {"Activation", ConvertActivation},      {"BatchNorm", ConvertBatchNorm},
    {"BatchNorm_v1", ConvertBatchNorm},     {"Convolution", ConvertConvolution},
    {"Convolution_v1", ConvertConvolution}, {"FullyConnected", ConvertFullyConnected},
    {"InstanceNorm", ConvertInstanceNorm},  {"LRN", ConvertLrn},
    {"LeakyReLU", ConvertLeakyRelu},        {"Pooling", ConvertPooling},
    {"Pooling_v1", ConvertPooling},
};

}  // namespace

std::span<const MxnetOperator> MxnetLayers() { return kLayers; }

}  // namespace trawl::engine
