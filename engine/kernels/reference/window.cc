// Reference kernels of convolutions and poolings, by definition: for each output element, the sum
// over its window.
#include "engine/ops/window.h"

#include <algorithm>
#include <limits>

#include "engine/kernels/activation.h"
#include "engine/kernels/tables.h"

namespace trawl::engine {
namespace {

/// Calls `body(input_offset, tap)` for each tap of the window at output position (od, oh, ow) that
/// lies in the input.
template <class Body>
void ForEachTap(const Window& w, int64_t od, int64_t oh, int64_t ow, Body body) {
  for (int64_t kd = 0; kd < w.kernel[0]; ++kd) {
    const int64_t d = od * w.stride[0] - w.pad_begin[0] + kd * w.dilation[0];
    if (d < 0 || d >= w.input[0]) continue;
    for (int64_t kh = 0; kh < w.kernel[1]; ++kh) {
      const int64_t h = oh * w.stride[1] - w.pad_begin[1] + kh * w.dilation[1];
      if (h < 0 || h >= w.input[1]) continue;
      for (int64_t kw = 0; kw < w.kernel[2]; ++kw) {
        const int64_t x = ow * w.stride[2] - w.pad_begin[2] + kw * w.dilation[2];
        if (x < 0 || x >= w.input[2]) continue;
        body((d * w.input[1] + h) * w.input[2] + x, (kd * w.kernel[1] + kh) * w.kernel[2] + kw);
      }
    }
  }
}

/// Calls `body(output_offset, od, oh, ow)` for each output position.
template <class Body>
void ForEachOutput(const Window& w, Body body) {
  int64_t out = 0;
  for (int64_t od = 0; od < w.output[0]; ++od) {
    for (int64_t oh = 0; oh < w.output[1]; ++oh) {
      for (int64_t ow = 0; ow < w.output[2]; ++ow) body(out++, od, oh, ow);
    }
  }
}

class ReferenceConv final : public Kernel {
 public:
  ReferenceConv(const Window& window, Activation activation, int64_t group)
      : window_(window), activation_(activation), group_(group) {}

  Status Run(const KernelCall& call) const override {
    const auto& weights = call.inputs[1];
    const int64_t out_channels = weights.shape[0], group_inputs = weights.shape[1];
    const int64_t group_outputs = out_channels / group_;
    const int64_t in_channels = group_inputs * group_;
    const auto input = [&](size_t i) {
      return i < call.inputs.size() ? reinterpret_cast<const float*>(call.inputs[i].bytes)
                                    : nullptr;
    };
    const float *x = input(0), *w = input(1), *bias = input(2), *residual = input(3);
    const float* scale = input(4);
    float* y = call.outputs[0].data<float>().data();
    const int64_t taps = window_.KernelSize();
    for (int64_t n = 0; n < call.inputs[0].shape[0]; ++n) {
      for (int64_t m = 0; m < out_channels; ++m) {
        const float* plane =
            x + (n * in_channels + m / group_outputs * group_inputs) * window_.InputSize();
        const int64_t base = (n * out_channels + m) * window_.OutputSize();
        ForEachOutput(window_, [&](int64_t out, int64_t od, int64_t oh, int64_t ow) {
          // Double, so that the oracle's own rounding is far below the tolerance.
          double sum = bias == nullptr ? 0 : bias[m];
          for (int64_t c = 0; c < group_inputs; ++c) {
            ForEachTap(window_, od, oh, ow, [&](int64_t in, int64_t tap) {
              sum += static_cast<double>(plane[c * window_.InputSize() + in]) *
                     w[(m * group_inputs + c) * taps + tap];
            });
          }
          if (scale != nullptr) sum *= scale[m];
          if (residual != nullptr) sum += residual[base + out];
          y[base + out] = Activate(activation_, static_cast<float>(sum));
        });
      }
    }
    return OkStatus();
  }

 private:
  Window window_;
  Activation activation_;
  int64_t group_;
};

KernelResult MakeConv(const NodeView& node) {
  TRAWL_ASSIGN(const Window window, ConvWindow(node.graph(), node.node()));
  TRAWL_ASSIGN(const Activation activation, GetActivation(node.attributes()));
  TRAWL_ASSIGN(const int64_t group, node.attributes().Int("group", 1));
  return std::make_unique<ReferenceConv>(window, activation, group);
}

/// One image and channel at a time: `pool(x, y)` fills one output plane from one input plane.
template <class Pool>
KernelResult PlanewiseKernel(int64_t input_size, int64_t output_size, Pool pool) {
  return MakeKernel([=](const KernelCall& call) {
    const float* x = call.inputs[0].data<float>().data();
    float* y = call.outputs[0].data<float>().data();
    const int64_t planes = call.inputs[0].shape[0] * call.inputs[0].shape[1];
    for (int64_t p = 0; p < planes; ++p) pool(x + p * input_size, y + p * output_size);
    return OkStatus();
  });
}

KernelResult MakeMaxPool(const NodeView& node) {
  TRAWL_ASSIGN(const Window window, PoolWindow(node.graph(), node.node()));
  return PlanewiseKernel(
      window.InputSize(), window.OutputSize(), [window](const float* x, float* y) {
        ForEachOutput(window, [&](int64_t out, int64_t od, int64_t oh, int64_t ow) {
          float best = std::numeric_limits<float>::lowest();
          ForEachTap(window, od, oh, ow,
                     [&](int64_t in, int64_t) { best = std::max(best, x[in]); });
          y[out] = best;
        });
      });
}

/// Taps of dimension `d` that start at `begin` and lie below the end of the padded input.
int64_t PaddedTaps(const Window& w, size_t d, int64_t position) {
  const int64_t begin = position * w.stride[d] - w.pad_begin[d];
  const int64_t room = w.input[d] + w.pad_end[d] - begin;
  return std::min(w.kernel[d], (room + w.dilation[d] - 1) / w.dilation[d]);
}

KernelResult MakeAveragePool(const NodeView& node) {
  TRAWL_ASSIGN(const Window window, PoolWindow(node.graph(), node.node()));
  TRAWL_ASSIGN(const int64_t include_pad, node.attributes().Int("count_include_pad", 0));
  return PlanewiseKernel(
      window.InputSize(), window.OutputSize(), [window, include_pad](const float* x, float* y) {
        ForEachOutput(window, [&](int64_t out, int64_t od, int64_t oh, int64_t ow) {
          double sum = 0;
          int64_t count = 0;
          ForEachTap(window, od, oh, ow, [&](int64_t in, int64_t) {
            sum += x[in];
            ++count;
          });
          // Counting the pads, a window that ceil_mode lets hang over them still counts only what
          // lies within them.
          if (include_pad != 0) {
            count =
                PaddedTaps(window, 0, od) * PaddedTaps(window, 1, oh) * PaddedTaps(window, 2, ow);
          }
          y[out] = count == 0 ? 0 : static_cast<float>(sum / static_cast<double>(count));
        });
      });
}

int64_t SpatialSize(const NodeView& node) {
  int64_t size = 1;
  for (size_t i = 2; i < node.shape(0).size(); ++i) size *= node.shape(0)[i];
  return size;
}

KernelResult MakeGlobalAveragePool(const NodeView& node) {
  const int64_t size = SpatialSize(node);
  return PlanewiseKernel(size, 1, [size](const float* x, float* y) {
    double sum = 0;
    for (int64_t i = 0; i < size; ++i) sum += x[i];
    *y = size == 0 ? 0 : static_cast<float>(sum / static_cast<double>(size));
  });
}

KernelResult MakeGlobalMaxPool(const NodeView& node) {
  const int64_t size = SpatialSize(node);
  return PlanewiseKernel(size, 1, [size](const float* x, float* y) {
    *y = size == 0 ? std::numeric_limits<float>::lowest() : *std::max_element(x, x + size);
  });
}

constexpr KernelDef kKernels[] = {
    {.name = "reference", .op = "Conv", .make = MakeConv},
    {.name = "reference", .op = "FusedConv", .make = MakeConv},
    {.name = "reference", .op = "MaxPool", .make = MakeMaxPool},
    {.name = "reference", .op = "AveragePool", .make = MakeAveragePool},
    {.name = "reference", .op = "GlobalAveragePool", .make = MakeGlobalAveragePool},
    {.name = "reference", .op = "GlobalMaxPool", .make = MakeGlobalMaxPool},
};

}  // namespace

std::span<const KernelDef> ReferenceWindowKernels() { return kKernels; }

}  // namespace trawl::engine
