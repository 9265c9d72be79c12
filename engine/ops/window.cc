#include "engine/ops/window.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "engine/limits.h"
#include "engine/ops/dims.h"
#include "engine/ops/tables.h"

namespace trawl::engine {
namespace {

constexpr size_t kMaxSpatial = Window::kMaxSpatial;

Result<std::vector<int64_t>> WindowInts(const Attributes& attributes, std::string_view name,
                                        size_t count, int64_t fallback, int64_t least) {
  TRAWL_ASSIGN(std::vector<int64_t> values,
               attributes.Ints(name, std::vector<int64_t>(count, fallback)));
  const bool in_range = std::all_of(values.begin(), values.end(), [least](int64_t value) {
    return value >= least && value <= kMaxWindow;
  });
  if (values.size() != count || !in_range) {
    return Error(Code::kInvalidArgument, "{} [{}] are not {} numbers from {} to {}", name,
                 fmt::join(values, ", "), count, least, kMaxWindow);
  }
  return values;
}

/// Sets pads and output of dimension `d`, which is `SAME`: the output is the input over the stride,
/// rounded up.
void PadSame(Window& window, size_t d, bool upper) {
  const int64_t extent = (window.kernel[d] - 1) * window.dilation[d] + 1;
  window.output[d] = (window.input[d] + window.stride[d] - 1) / window.stride[d];
  const int64_t total =
      std::max<int64_t>(0, (window.output[d] - 1) * window.stride[d] + extent - window.input[d]);
  window.pad_begin[d] = upper ? total / 2 : total - total / 2;
  window.pad_end[d] = total - window.pad_begin[d];
}

Status SizeOutput(Window& window, size_t d, bool ceil_mode) {
  const int64_t extent = (window.kernel[d] - 1) * window.dilation[d] + 1;
  const int64_t room = window.input[d] + window.pad_begin[d] + window.pad_end[d] - extent;
  if (room < 0) {
    return Error(Code::kInvalidArgument,
                 "a window of {} does not fit an input of {} with pads {} and {}", extent,
                 window.input[d], window.pad_begin[d], window.pad_end[d]);
  }
  window.output[d] = (room + (ceil_mode ? window.stride[d] - 1 : 0)) / window.stride[d] + 1;
  // The last window must start within the input or its leading pad, as in every reference runtime.
  if (ceil_mode &&
      (window.output[d] - 1) * window.stride[d] >= window.input[d] + window.pad_begin[d]) {
    --window.output[d];
  }
  return OkStatus();
}

Result<std::vector<int64_t>> SpatialDims(const Shape& shape) {
  if (shape.size() < 3 || shape.size() > 2 + kMaxSpatial) {
    return Error(Code::kUnimplemented,
                 "an input of shape {} is not supported (1 to {} spatial dimensions are)",
                 ToString(shape), kMaxSpatial);
  }
  if (std::any_of(shape.begin() + 1, shape.end(), IsBatch)) {
    return Error(Code::kUnimplemented,
                 "an input of shape {} has the batch among its channels or pixels",
                 ToString(shape));
  }
  return std::vector<int64_t>(shape.begin() + 2, shape.end());
}

Shape OutputShape(int64_t n, int64_t channels, const Window& window, size_t spatial) {
  Shape shape{n, channels};
  shape.insert(shape.end(), window.output.end() - static_cast<std::ptrdiff_t>(spatial),
               window.output.end());
  return shape;
}

Result<Window> ConvWindowOf(const Attributes& attributes, const Shape& x, const Shape& w) {
  TRAWL_ASSIGN(const std::vector<int64_t> input, SpatialDims(x));
  if (w.size() != x.size() || std::any_of(w.begin(), w.end(), IsBatch)) {
    return Error(Code::kInvalidArgument, "weights {} do not fit an input {}", ToString(w),
                 ToString(x));
  }
  const std::vector<int64_t> kernel(w.begin() + 2, w.end());
  TRAWL_ASSIGN(const auto declared, attributes.Ints("kernel_shape", kernel));
  if (declared != kernel) {
    return Error(Code::kInvalidArgument, "kernel_shape [{}] differs from that of the weights {}",
                 fmt::join(declared, ", "), ToString(w));
  }
  return ResolveWindow(attributes, kernel, input);
}

Result<Window> PoolWindowOf(const Attributes& attributes, const Shape& x) {
  TRAWL_ASSIGN(const std::vector<int64_t> input, SpatialDims(x));
  TRAWL_ASSIGN(const auto kernel, attributes.Ints("kernel_shape", {}));
  if (kernel.size() != input.size()) {
    return Error(Code::kInvalidArgument, "kernel_shape [{}] does not fit an input {}",
                 fmt::join(kernel, ", "), ToString(x));
  }
  TRAWL_ASSIGN(const Window window, ResolveWindow(attributes, kernel, input));
  TRAWL_ASSIGN(const std::string auto_pad, attributes.String("auto_pad", "NOTSET"));
  for (size_t d = 0; d < kMaxSpatial; ++d) {
    const int64_t pad = std::max(window.pad_begin[d], window.pad_end[d]);
    // A window that lies in the padding alone has no answer.
    if (auto_pad == "NOTSET" && pad > 0 && pad >= window.kernel[d]) {
      return Error(Code::kInvalidArgument, "a pad of {} is not smaller than the kernel's {}", pad,
                   window.kernel[d]);
    }
  }
  return window;
}

Status InferConv(InferContext& c) {
  const Shape& x = c.shape(0);
  const Shape& w = c.shape(1);
  for (size_t i = 0; i < c.input_count(); ++i) {
    if (c.HasInput(i)) TRAWL_TRY(c.RequireDType(i, {DType::kF32}));
  }
  TRAWL_ASSIGN(const Window window, ConvWindowOf(c.attributes(), x, w));
  TRAWL_ASSIGN(const int64_t group, c.attributes().Int("group", 1));
  if (group < 1 || group > x[1] || x[1] % group != 0 || w[0] % group != 0 || w[1] != x[1] / group) {
    return Error(Code::kInvalidArgument, "weights {} in {} groups do not fit an input {}",
                 ToString(w), group, ToString(x));
  }
  if (c.HasInput(2) && c.shape(2) != Shape{w[0]}) {
    return Error(Code::kInvalidArgument, "bias {} does not fit weights {}", ToString(c.shape(2)),
                 ToString(w));
  }
  Shape shape = OutputShape(x[0], w[0], window, x.size() - 2);
  if (c.HasInput(3) && c.shape(3) != shape) {
    return Error(Code::kInvalidArgument, "residual {} differs from the output {}",
                 ToString(c.shape(3)), ToString(shape));
  }
  // The scale serves quantised convolutions, whose residual is behind another rounding.
  if (c.HasInput(4) && (c.HasInput(3) || c.shape(4) != Shape{w[0]})) {
    return Error(Code::kInvalidArgument, "scale {} does not fit weights {}", ToString(c.shape(4)),
                 ToString(w));
  }
  return c.SetOutput(0, DType::kF32, std::move(shape));
}

Status InferPool(InferContext& c) {
  TRAWL_TRY(c.RequireDType(0, {DType::kF32}));
  TRAWL_ASSIGN(const Window window, PoolWindowOf(c.attributes(), c.shape(0)));
  TRAWL_ASSIGN([[maybe_unused]] const int64_t include_pad,
               c.attributes().Int("count_include_pad", 0));
  TRAWL_ASSIGN(const int64_t storage_order, c.attributes().Int("storage_order", 0));
  if (storage_order != 0)
    return Error(Code::kUnimplemented, "column-major storage is not supported");
  const Shape& x = c.shape(0);
  return c.SetOutput(0, DType::kF32, OutputShape(x[0], x[1], window, x.size() - 2));
}

Status InferGlobalPool(InferContext& c) {
  TRAWL_TRY(c.RequireDType(0, {DType::kF32}));
  Shape shape = c.shape(0);
  if (shape.size() < 2 || std::any_of(shape.begin() + 1, shape.end(), IsBatch)) {
    return Error(Code::kUnimplemented, "an input of shape {} is not supported", ToString(shape));
  }
  std::fill(shape.begin() + 2, shape.end(), 1);
  return c.SetOutput(0, DType::kF32, std::move(shape));
}

constexpr OpDef kOps[] = {
    {.name = "Conv",
     .min_inputs = 2,
     .max_inputs = 3,
     .attributes = "auto_pad dilations group kernel_shape pads strides",
     .infer = InferConv},
    // act((conv(x, w) + bias) * scale + residual): x, w, bias?, residual?, scale?, of which the
    // last two exclude each other.
    {.name = "FusedConv",
     .min_inputs = 2,
     .max_inputs = 5,
     .attributes = "auto_pad dilations group kernel_shape pads strides activation "
                   "activation_alpha activation_beta",
     .infer = InferConv,
     .internal = true},
    {.name = "MaxPool",
     .attributes = "auto_pad ceil_mode dilations kernel_shape pads storage_order strides",
     .infer = InferPool},
    {.name = "AveragePool",
     .attributes = "auto_pad ceil_mode count_include_pad dilations kernel_shape pads strides",
     .infer = InferPool},
    {.name = "GlobalAveragePool", .infer = InferGlobalPool},
    {.name = "GlobalMaxPool", .infer = InferGlobalPool},
};

}  // namespace

bool Window::Padded() const {
  for (size_t d = 0; d < kMaxSpatial; ++d) {
    if (pad_begin[d] != 0 || pad_end[d] != 0) return true;
  }
  return false;
}

bool Window::Pointwise() const {
  return KernelSize() == 1 && stride[0] * stride[1] * stride[2] == 1 && !Padded();
}

Result<Window> ResolveWindow(const Attributes& attributes, std::span<const int64_t> kernel,
                             std::span<const int64_t> input) {
  const size_t rank = kernel.size();
  CHECK(rank == input.size() && rank >= 1 && rank <= kMaxSpatial);
  TRAWL_ASSIGN(const auto strides, WindowInts(attributes, "strides", rank, 1, 1));
  TRAWL_ASSIGN(const auto dilations, WindowInts(attributes, "dilations", rank, 1, 1));
  TRAWL_ASSIGN(const auto pads, WindowInts(attributes, "pads", 2 * rank, 0, 0));
  TRAWL_ASSIGN(const std::string auto_pad, attributes.String("auto_pad", "NOTSET"));
  TRAWL_ASSIGN(const int64_t ceil_mode, attributes.Int("ceil_mode", 0));
  if (auto_pad != "NOTSET" && auto_pad != "VALID" && auto_pad != "SAME_UPPER" &&
      auto_pad != "SAME_LOWER") {
    return Error(Code::kInvalidArgument, "auto_pad '{}' is not known", auto_pad);
  }
  Window window;
  for (size_t i = 0; i < rank; ++i) {
    const size_t d = kMaxSpatial - rank + i;
    if (kernel[i] < 1 || kernel[i] > kMaxWindow) {
      return Error(Code::kInvalidArgument, "a kernel size of {} is not from 1 to {}", kernel[i],
                   kMaxWindow);
    }
    window.kernel[d] = kernel[i];
    window.stride[d] = strides[i];
    window.dilation[d] = dilations[i];
    window.input[d] = input[i];
    if (auto_pad == "SAME_UPPER" || auto_pad == "SAME_LOWER") {
      PadSame(window, d, auto_pad == "SAME_UPPER");
      continue;
    }
    if (auto_pad == "NOTSET") {
      window.pad_begin[d] = pads[i];
      window.pad_end[d] = pads[rank + i];
    }
    TRAWL_TRY(SizeOutput(window, d, ceil_mode != 0));
  }
  return window;
}

Result<Window> ConvWindow(const Graph& graph, const Node& node) {
  return ConvWindowOf(node.attributes, *graph.value(node.inputs[0]).shape,
                      *graph.value(node.inputs[1]).shape);
}

Result<Window> PoolWindow(const Graph& graph, const Node& node) {
  return PoolWindowOf(node.attributes, *graph.value(node.inputs[0]).shape);
}

std::span<const OpDef> WindowOps() { return kOps; }

}  // namespace trawl::engine
