// Arithmetic on blocked values: activations, binary operators whose smaller operand may be one
// number per channel, normalisation, rounding to quantised grids.
#include <algorithm>
#include <array>
#include <limits>

#include "engine/kernels/activation.h"
#include "engine/kernels/blocked_tasks.h"
#include "engine/kernels/channel_affine.h"
#include "engine/kernels/packed_channels.h"
#include "engine/kernels/tables.h"
#include "engine/ops/operands.h"

namespace trawl::engine {
namespace {

using simd::BinaryKind;
using simd::kBlock;

/// Calls `body(task, y, offset, pixels)`: the pixels of a task begin at `y`, `offset` floats behind
/// the beginning of its block.
template <class Body>
Status ForEachPixelRun(const KernelCall& call, Body body) {
  const int64_t width = call.outputs[0].shape[3];
  ForEachBlockTask(call, [&](const BlockTask& task) {
    const int64_t offset = task.first_row * width * kBlock;
    body(task, task.In(call.outputs[0]) + offset, offset, (task.last_row - task.first_row) * width);
  });
  return OkStatus();
}

KernelResult MakeActivation(const NodeView& node, const simd::Microkernels& microkernels) {
  return MakeKernel(
      [activation = *AsActivation(node.graph(), node.node()),
       activate = microkernels.elementwise.activate](const KernelCall& call) {
        return ForEachPixelRun(
            call, [&](const BlockTask& task, float* y, int64_t offset, int64_t pixels) {
              activate(activation, task.In(call.inputs[0]) + offset, y, pixels);
            });
      },
      0);
}

std::string WhyNotActivation(const NodeView& node) {
  return AsActivation(node.graph(), node.node()) ? "" : "its bounds are computed";
}

KernelResult MakeExp(const NodeView&, const simd::Microkernels& microkernels) {
  return MakeKernel(
      [exp = microkernels.elementwise.exp](const KernelCall& call) {
        return ForEachPixelRun(
            call, [&](const BlockTask& task, float* y, int64_t offset, int64_t pixels) {
              exp(task.In(call.inputs[0]) + offset, y, pixels);
              ClearPadding(call.outputs[0], task.block, y, pixels);
            });
      },
      0);
}

struct BinaryName {
  std::string_view op;
  BinaryKind kind, swapped;
};
constexpr std::array kBinaries{
    BinaryName{"Add", BinaryKind::kAdd, BinaryKind::kAdd},
    BinaryName{"Sub", BinaryKind::kSub, BinaryKind::kSubFrom},
    BinaryName{"Mul", BinaryKind::kMul, BinaryKind::kMul},
    BinaryName{"Div", BinaryKind::kDiv, BinaryKind::kDivInto},
    BinaryName{"Max", BinaryKind::kMax, BinaryKind::kMax},
    BinaryName{"Min", BinaryKind::kMin, BinaryKind::kMin},
};

/// How a binary node's operands are read.
struct BinaryOperands {
  size_t full = 0;          // the operand of the output's shape
  bool by_channel = false;  // the other one is one number per channel, or one at all
};

/// [1, C, 1, 1], or without the leading dimensions of 1, or one number.
bool IsPerChannel(const Shape& constant, int64_t channels) {
  const Shape wanted{1, channels, 1, 1};
  if (CheckedElementCount(constant) == 1) return constant.size() <= wanted.size();
  return constant.size() >= 3 && constant.size() <= wanted.size() &&
         std::equal(constant.rbegin(), constant.rend(), wanted.rbegin());
}

std::optional<BinaryOperands> ReadOperands(const NodeView& node) {
  const Shape& out = node.output_shape(0);
  for (const size_t full : {0, 1}) {
    const size_t other = 1 - full;
    if (node.constant(full) != nullptr || node.shape(full) != out) continue;
    const Shape& shape = node.shape(other);
    if (node.constant(other) != nullptr) {
      if (node.dtype(other) != DType::kF32 || !IsPerChannel(shape, out[1])) continue;
      return BinaryOperands{full, true};
    }
    if (shape == out) return BinaryOperands{full, false};
    const bool fits = shape.size() == 4 && (shape[0] == out[0] || shape[0] == 1) &&
                      shape[1] == out[1] && shape[2] == 1 && shape[3] == 1;
    if (fits) return BinaryOperands{full, true};
  }
  return std::nullopt;
}

class BlockedBinary final : public Kernel {
 public:
  BlockedBinary(const NodeView& node, const simd::Microkernels& microkernels)
      : operands_(*ReadOperands(node)), microkernels_(microkernels.elementwise) {
    const auto* name = std::ranges::find(kBinaries, node.node().op, &BinaryName::op);
    kind_ = operands_.full == 0 ? name->kind : name->swapped;
    const size_t other = 1 - operands_.full;
    if (node.constant(other) != nullptr) {
      constant_ = PackChannels(node, other, node.output_shape(0)[1], 0);
    }
  }

  int InPlaceInput() const override { return static_cast<int>(operands_.full); }

  Status Run(const KernelCall& call) const override {
    const auto& full = call.inputs[operands_.full];
    const auto& other = call.inputs[1 - operands_.full];
    return ForEachPixelRun(
        call, [&](const BlockTask& task, float* y, int64_t offset, int64_t pixels) {
          const float* x = task.In(full) + offset;
          if (operands_.by_channel) {
            microkernels_.binary_by_channel(kind_, x, PerChannel(other, task), y, pixels);
          } else {
            microkernels_.binary(kind_, x, task.In(other) + offset, y, pixels);
          }
          ClearPadding(call.outputs[0], task.block, y, pixels);
        });
  }

 private:
  const float* PerChannel(const ConstTensorView& view, BlockTask task) const {
    if (constant_) return constant_->data<float>().data() + task.block * kBlock;
    if (view.shape[0] == 1) task.image = 0;
    return task.In(view);
  }

  BinaryOperands operands_;
  BinaryKind kind_ = BinaryKind::kAdd;
  const simd::ElementwiseMicrokernels& microkernels_;
  std::optional<Tensor> constant_;  // by channel
};

KernelResult MakeBinary(const NodeView& node, const simd::Microkernels& microkernels) {
  return std::make_unique<BlockedBinary>(node, microkernels);
}

std::string WhyNotBinary(const NodeView& node) {
  if (node.input_count() != 2) return "not two operands";
  return ReadOperands(node) ? "" : "an operand is neither of the result's shape nor per channel";
}

KernelResult MakeBatchNorm(const NodeView& node, const simd::Microkernels& microkernels) {
  const ChannelAffine affine = *BatchNormAffine(node.graph(), node.node());
  Tensor scale = PaddedChannels(node.shape(0)[1]), shift = PaddedChannels(node.shape(0)[1]);
  const auto narrow = [](double value) { return static_cast<float>(value); };
  std::ranges::transform(affine.scale, scale.mutable_data<float>().begin(), narrow);
  std::ranges::transform(affine.shift, shift.mutable_data<float>().begin(), narrow);
  return MakeKernel(
      [scale, shift, apply = microkernels.elementwise.affine](const KernelCall& call) {
        return ForEachPixelRun(call, [&](const BlockTask& task, float* y, int64_t offset,
                                         int64_t pixels) {
          apply(task.In(call.inputs[0]) + offset, scale.data<float>().data() + task.block * kBlock,
                shift.data<float>().data() + task.block * kBlock, y, pixels);
        });
      },
      0);
}

std::string WhyNotBatchNorm(const NodeView& node) {
  return BatchNormAffine(node.graph(), node.node()) ? "" : "its parameters are computed";
}

/// Zero points of a FakeQuantize and the range of its type, as bounds before the zero point.
template <class Q>
void FillBounds(const Tensor& zero_point, std::span<float> low, std::span<float> high) {
  const auto zeros = zero_point.data<Q>();
  for (size_t c = 0; c < low.size(); ++c) {
    const auto zero = static_cast<float>(zeros[zeros.size() == 1 ? 0 : c]);
    low[c] = static_cast<float>(std::numeric_limits<Q>::min()) - zero;
    high[c] = static_cast<float>(std::numeric_limits<Q>::max()) - zero;
  }
}

KernelResult MakeFakeQuantize(const NodeView& node, const simd::Microkernels& microkernels) {
  TRAWL_ASSIGN(const int64_t unscaled, node.attributes().Int("unscaled", 0));
  const int64_t channels = node.shape(0)[1];
  const Tensor scale = PackChannels(node, 1, channels, 1);
  Tensor result_scale = scale;
  if (unscaled != 0) {
    result_scale = PaddedChannels(channels);
    std::ranges::fill(result_scale.mutable_data<float>(), 1);
  }
  // Both are 0 in the padding, which thereby becomes 0.
  Tensor low = PaddedChannels(channels), high = PaddedChannels(channels);
  const auto count = static_cast<size_t>(channels);
  const auto fill = node.dtype(2) == DType::kI8 ? FillBounds<int8_t> : FillBounds<uint8_t>;
  fill(*node.constant(2), low.mutable_data<float>().first(count),
       high.mutable_data<float>().first(count));
  return MakeKernel(
      [scale, result_scale, low, high,
       round = microkernels.elementwise.round_to_grid](const KernelCall& call) {
        return ForEachPixelRun(
            call, [&](const BlockTask& task, float* y, int64_t offset, int64_t pixels) {
              const int64_t channel = task.block * kBlock;
              round({.scale = scale.data<float>().data() + channel,
                     .result_scale = result_scale.data<float>().data() + channel,
                     .low = low.data<float>().data() + channel,
                     .high = high.data<float>().data() + channel},
                    task.In(call.inputs[0]) + offset, y, pixels);
            });
      },
      0);
}

std::string WhyNotFakeQuantize(const NodeView& node) {
  const auto axis = QuantizationAxis(node);
  if (!axis) return axis.error().message();
  if (node.constant(1) == nullptr || node.constant(2) == nullptr) return "its scale is computed";
  const bool by_channel = *axis == 1 || node.constant(1)->size() == 1;
  return by_channel ? "" : "its scale varies along another axis";
}

using Make = KernelResult (*)(const NodeView&, const simd::Microkernels&);
using WhyNot = std::string (*)(const NodeView&);

constexpr KernelDef Def(std::string_view name, std::string_view op, Make make, WhyNot why_not) {
  return {.name = name,
          .op = op,
          .rank = 2,
          .why_not = why_not,
          .make_simd = make,
          .layout = Layout::kBlocked};
}

constexpr KernelDef kKernels[] = {
    Def("f32_relu_blocked", "Relu", MakeActivation, WhyNotActivation),
    Def("f32_clip_blocked", "Clip", MakeActivation, WhyNotActivation),
    Def("f32_leakyrelu_blocked", "LeakyRelu", MakeActivation, WhyNotActivation),
    Def("f32_sigmoid_blocked", "Sigmoid", MakeActivation, WhyNotActivation),
    Def("f32_tanh_blocked", "Tanh", MakeActivation, WhyNotActivation),
    Def("f32_hardsigmoid_blocked", "HardSigmoid", MakeActivation, WhyNotActivation),
    Def("f32_hardswish_blocked", "HardSwish", MakeActivation, WhyNotActivation),
    Def("f32_swish_blocked", "Swish", MakeActivation, WhyNotActivation),
    Def("f32_gelu_blocked", "Gelu", MakeActivation, WhyNotActivation),
    Def("f32_exp_blocked", "Exp", MakeExp, nullptr),
    Def("f32_add_blocked", "Add", MakeBinary, WhyNotBinary),
    Def("f32_sub_blocked", "Sub", MakeBinary, WhyNotBinary),
    Def("f32_mul_blocked", "Mul", MakeBinary, WhyNotBinary),
    Def("f32_div_blocked", "Div", MakeBinary, WhyNotBinary),
    Def("f32_max_blocked", "Max", MakeBinary, WhyNotBinary),
    Def("f32_min_blocked", "Min", MakeBinary, WhyNotBinary),
    Def("f32_batchnorm_blocked", "BatchNormalization", MakeBatchNorm, WhyNotBatchNorm),
    Def("f32_fakequantize_blocked", "FakeQuantize", MakeFakeQuantize, WhyNotFakeQuantize),
};

}  // namespace

std::span<const KernelDef> BlockedElementwiseKernels() { return kKernels; }

}  // namespace trawl::engine
