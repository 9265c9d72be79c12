// Depthwise convolution of blocked values: each channel with a window of its own, so that a
// register of channels is multiplied by a register of weights. The usual kernels, of 3 or 5
// columns, have a microkernel that takes whole rows; others go run by run of pixels that see the
// same taps. So do groups of 2, 4 and 8 channels, for which simd/conv_grouped.h multiplies as many
// registers of weights a tap.
#include <cmath>
#include <limits>

#include "engine/kernels/activation.h"
#include "engine/kernels/blocked_tasks.h"
#include "engine/kernels/packed_channels.h"
#include "engine/kernels/row_window.h"
#include "engine/kernels/tables.h"
#include "engine/kernels/window_runs.h"

namespace trawl::engine {
namespace {

using simd::kBlock;

/// [blocks][taps][sources][sums][kBlock] of weights [C, width, kernel]; of depthwise ones, whose
/// width is 1, [blocks][taps][kBlock].
Tensor PackWeights(const Tensor& weights, int64_t taps,
                   const simd::GroupedConvMicrokernels& grouped) {
  const int64_t channels = weights.shape()[0], width = weights.shape()[1];
  const int64_t sums = grouped.Sums(width), sources = grouped.Sources(width);
  Tensor packed(DType::kF32, {BlockCount(channels), taps, sources, sums, kBlock});
  const auto from = weights.data<float>();
  const auto to = packed.mutable_data<float>();
  for (int64_t at = 0; at < packed.size(); ++at) {
    const int64_t lane = at % kBlock, sum = at / kBlock % sums;
    const int64_t source = at / (kBlock * sums) % sources, tap = at / (kBlock * width) % taps;
    const int64_t channel = at / (kBlock * width * taps) * kBlock + (lane ^ sum);
    const int64_t input = grouped.Source(lane, source, width) % width;
    if (channel < channels) {
      to[static_cast<size_t>(at)] =
          from[static_cast<size_t>((channel * width + input) * taps + tap)];
    }
  }
  return packed;
}

class BlockedDepthwiseConv final : public Kernel {
 public:
  BlockedDepthwiseConv(const NodeView& node, const Window& window, Activation activation,
                       const simd::Microkernels& microkernels)
      : runs_(window),
        activation_(activation),
        microkernels_(microkernels),
        width_(node.shape(1)[1]),
        weights_(PackWeights(*node.constant(1), window.KernelSize(), microkernels.grouped_conv)),
        bias_(PackChannels(node, 2, node.shape(1)[0], 0)),
        scale_(PackChannels(node, 4, node.shape(1)[0], 1)),
        has_residual_(node.HasInput(3)),
        by_row_(width_ == 1 && FitsRows(window)) {}

  int InPlaceInput() const override { return has_residual_ ? 3 : -1; }
  bool PacksInput(size_t i) const override { return i == 1 || i == 2 || i == 4; }

  Status Run(const KernelCall& call) const override {
    constexpr float kInfinite = std::numeric_limits<float>::infinity();
    const bool clips = activation_.kind == ActivationKind::kClip;
    const bool bounded = clips || activation_.kind == ActivationKind::kRelu;
    const Bounds bounds{!bounded ? -kInfinite
                        : clips  ? activation_.alpha
                                 : 0,
                        clips ? activation_.beta : kInfinite};
    ForEachBlockTask(call, [&](const BlockTask& task) {
      if (by_row_) {
        ConvolveRows(call, task, bounds);
      } else {
        for (int64_t row = task.first_row; row < task.last_row; ++row) {
          ConvolveRow(call, task, row, bounds);
        }
      }
      if (bounded || activation_.kind == ActivationKind::kNone) return;
      const int64_t width = runs_.window().output[2];
      float* y = task.In(call.outputs[0]) + task.first_row * width * kBlock;
      microkernels_.elementwise.activate(activation_, y, y,
                                         (task.last_row - task.first_row) * width);
    });
    return OkStatus();
  }

 private:
  struct Bounds {
    float low, high;
  };

  /// Whether simd::DepthwiseRows can describe it.
  static bool FitsRows(const Window& w) {
    const int64_t last =
        (w.output[2] - 1) * w.stride[2] - w.pad_begin[2];  // what the last pixel sees
    return (w.kernel[2] == 3 || w.kernel[2] == 5) && w.stride[2] <= 2 && w.dilation[1] == 1 &&
           w.dilation[2] == 1 && w.pad_begin[2] < w.kernel[2] && last < w.input[2];
  }

  simd::DepthwiseEpilogue EpilogueFor(const BlockTask& task, const Bounds& bounds) const {
    const Window& w = runs_.window();
    const int64_t channel = task.block * kBlock;
    return {.weights = weights_.data<float>().data() + channel * width_ * w.KernelSize(),
            .weights_row = w.kernel[2] * width_ * kBlock,
            .bias = bias_.data<float>().data() + channel,
            .scale = scale_.data<float>().data() + channel,
            .low = bounds.low,
            .high = bounds.high};
  }

  void ConvolveRows(const KernelCall& call, const BlockTask& task, const Bounds& bounds) const {
    const Window& w = runs_.window();
    simd::DepthwiseEpilogue epilogue = EpilogueFor(task, bounds);
    if (has_residual_) epilogue.residual = task.In(call.inputs[3]);
    microkernels_.window.depthwise_rows({.x = task.In(call.inputs[0]),
                                         .y = task.In(call.outputs[0]),
                                         .height = w.input[1],
                                         .width = w.input[2],
                                         .kernel_rows = w.kernel[1],
                                         .kernel_columns = w.kernel[2],
                                         .row_stride = w.stride[1],
                                         .column_stride = w.stride[2],
                                         .pad_top = w.pad_begin[1],
                                         .pad_left = w.pad_begin[2],
                                         .y_width = w.output[2],
                                         .first = task.first_row,
                                         .last = task.last_row},
                                        epilogue);
  }

  void ConvolveRow(const KernelCall& call, const BlockTask& task, int64_t row,
                   const Bounds& bounds) const {
    const Window& w = runs_.window();
    float* y = task.In(call.outputs[0]);
    const float* residual = has_residual_ ? task.In(call.inputs[3]) : nullptr;
    const simd::DepthwiseEpilogue all = EpilogueFor(task, bounds);
    runs_.ForEach(task.In(call.inputs[0]), y, row,
                  [&](const simd::WindowRun& run, TapRange rows, TapRange columns, int64_t) {
                    simd::DepthwiseEpilogue epilogue = all;
                    epilogue.weights +=
                        (rows.first * w.kernel[2] + columns.first) * width_ * kBlock;
                    if (residual != nullptr) epilogue.residual = residual + (run.y - y);
                    if (width_ == 1) {
                      microkernels_.window.depthwise(run, epilogue);
                    } else {
                      microkernels_.grouped_conv.run(run, width_, epilogue);
                    }
                  });
  }

  WindowRuns runs_;
  Activation activation_;
  const simd::Microkernels& microkernels_;
  int64_t width_;  // of a group, in channels
  Tensor weights_, bias_, scale_;
  bool has_residual_;
  bool by_row_;
};

/// Why the class below does not serve a convolution whose groups are as wide as `fits` says.
template <class Fits>
std::string WhyNotGroups(const NodeView& node, const char* otherwise, Fits fits) {
  const auto window = ConvWindow(node.graph(), node.node());
  if (!window) return window.error().message();
  if (!IsPlanar(*window)) return "three spatial dimensions";
  const int64_t channels = node.shape(0)[1];
  const Tensor* weights = node.constant(1);
  const int64_t group = node.attributes().Int("group", 1).value_or(1);
  if (channels % group != 0 || !fits(channels / group)) return otherwise;
  if (weights == nullptr) return "the weights are computed";
  if (weights->shape()[0] != channels) return "not as many outputs as inputs";
  return CanPackChannels(node, 2, channels) && CanPackChannels(node, 4, channels)
             ? ""
             : "the bias is computed";
}

KernelResult MakeConv(const NodeView& node, const simd::Microkernels& microkernels) {
  TRAWL_ASSIGN(const Window window, ConvWindow(node.graph(), node.node()));
  TRAWL_ASSIGN(const Activation activation, GetActivation(node.attributes()));
  return std::make_unique<BlockedDepthwiseConv>(node, window, activation, microkernels);
}

std::string WhyNotDepthwise(const NodeView& node) {
  return WhyNotGroups(node, "not depthwise", [](int64_t width) { return width == 1; });
}

std::string WhyNotGrouped(const NodeView& node) {
  return WhyNotGroups(node, "not groups of 2, 4 or 8",
                      [](int64_t width) { return width == 2 || width == 4 || width == 8; });
}

constexpr KernelDef Depthwise(std::string_view op) {
  return {.name = "f32_conv_depthwise_blocked",
          .op = op,
          .rank = 4,
          .why_not = WhyNotDepthwise,
          .make_simd = MakeConv,
          .layout = Layout::kBlocked};
}

/// In front of f32_conv_direct.
constexpr KernelDef Grouped(std::string_view op) {
  return {.name = "f32_conv_grouped",
          .op = op,
          .rank = 27,
          .why_not = WhyNotGrouped,
          .make_simd = MakeConv,
          .layout = Layout::kBlocked};
}

constexpr KernelDef kKernels[] = {Depthwise("Conv"), Depthwise("FusedConv"), Grouped("Conv"),
                                  Grouped("FusedConv")};

}  // namespace

std::span<const KernelDef> BlockedDepthwiseKernels() { return kKernels; }

}  // namespace trawl::engine
