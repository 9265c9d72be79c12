// Depthwise convolution, directly: each output row is the sum of its taps' rows, which stay in the
// first-level cache.
#include <algorithm>

#include "engine/kernels/activation.h"
#include "engine/kernels/row_window.h"
#include "engine/kernels/tables.h"

namespace trawl::engine {
namespace {

void AccumulateRow(float* y, const float* x, int64_t first, int64_t last, int64_t stride,
                   float weight) {
  if (stride == 1) {
    for (int64_t i = first; i < last; ++i) y[i] += weight * x[i];
  } else {
    for (int64_t i = first; i < last; ++i) y[i] += weight * x[i * stride];
  }
}

class DepthwiseConv final : public Kernel {
 public:
  DepthwiseConv(const Window& window, Activation activation, bool has_residual)
      : window_(window), activation_(activation), has_residual_(has_residual) {}

  int InPlaceInput() const override { return has_residual_ ? 3 : -1; }

  Status Run(const KernelCall& call) const override {
    const auto& x = call.inputs[0];
    const int64_t outputs = call.outputs[0].shape[1];
    const int64_t multiplier = outputs / x.shape[1];
    const auto per_channel = [&](size_t input, int64_t channel, float fallback) {
      const bool given = input < call.inputs.size() && call.inputs[input].bytes != nullptr;
      return given ? call.inputs[input].data<float>()[static_cast<size_t>(channel)] : fallback;
    };
    for (int64_t n = 0; n < x.shape[0]; ++n) {
      for (int64_t m = 0; m < outputs; ++m) {
        const int64_t in = (n * x.shape[1] + m / multiplier) * window_.InputSize();
        const int64_t out = (n * outputs + m) * window_.OutputSize();
        ConvolvePlane(
            {.x = x.data<float>().data() + in,
             .weights = call.inputs[1].data<float>().data() + m * window_.KernelSize(),
             .bias = per_channel(2, m, 0),
             .residual = has_residual_ ? call.inputs[3].data<float>().data() + out : nullptr,
             .scale = per_channel(4, m, 1),
             .y = call.outputs[0].data<float>().data() + out});
      }
    }
    return OkStatus();
  }

 private:
  /// One output plane and what it is made of.
  struct Plane {
    const float* x;
    const float* weights;
    float bias;
    const float* residual;
    float scale;
    float* y;
  };

  void ConvolvePlane(const Plane& plane) const {
    const int64_t width = window_.output[2];
    float* y = plane.y;
    for (int64_t oh = 0; oh < window_.output[1]; ++oh, y += width) {
      if (plane.residual == nullptr) {
        std::fill_n(y, width, 0.0f);
      } else if (plane.residual != plane.y) {
        std::copy_n(plane.residual + (y - plane.y), width, y);
      }
      ForEachTapRow(window_, plane.x, oh,
                    [&](const float* row, int64_t first, int64_t last, int64_t tap) {
                      AccumulateRow(y, row, first, last, window_.stride[2], plane.weights[tap]);
                    });
      AddBiasAndActivate(activation_, plane.bias, plane.scale, y, static_cast<size_t>(width));
    }
  }

  Window window_;
  Activation activation_;
  bool has_residual_;
};

std::string WhyNot(const NodeView& node) {
  const auto window = ConvWindow(node.graph(), node.node());
  if (!window) return window.error().message();
  if (node.attributes().Int("group", 1).value_or(1) != node.shape(0)[1]) return "not depthwise";
  return IsPlanar(*window) ? "" : "three spatial dimensions";
}

KernelResult MakeConv(const NodeView& node) {
  TRAWL_ASSIGN(const Window window, ConvWindow(node.graph(), node.node()));
  TRAWL_ASSIGN(const Activation activation, GetActivation(node.attributes()));
  return std::make_unique<DepthwiseConv>(window, activation, node.HasInput(3));
}

constexpr KernelDef kKernels[] = {
    {.name = "f32_conv_depthwise", .op = "Conv", .rank = 2, .why_not = WhyNot, .make = MakeConv},
    {.name = "f32_conv_depthwise",
     .op = "FusedConv",
     .rank = 2,
     .why_not = WhyNot,
     .make = MakeConv},
};

}  // namespace

std::span<const KernelDef> DepthwiseKernels() { return kKernels; }

}  // namespace trawl::engine
