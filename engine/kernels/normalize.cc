// Layer normalisation: of neighbouring numbers, and of the channels of blocked values.
#include "engine/blocked.h"
#include "engine/kernels/packed_channels.h"
#include "engine/kernels/tables.h"

namespace trawl::engine {
namespace {

using simd::kBlock;

std::string WhyNotRows(const NodeView& node) {
  return node.dtype(0) == DType::kF32 ? "" : "not f32";
}

/// The bias, or as many zeros as there are in the scale.
class Shift {
 public:
  explicit Shift(const NodeView& node) {
    if (!node.HasInput(2)) zeros_ = Tensor(DType::kF32, node.shape(1));
  }
  const float* Of(const KernelCall& call) const {
    return (zeros_ ? zeros_->data<float>() : call.inputs[2].data<float>()).data();
  }

 private:
  std::optional<Tensor> zeros_;
};

KernelResult MakeRows(const NodeView& node, const simd::Microkernels& microkernels) {
  TRAWL_ASSIGN(const float epsilon, node.attributes().Float("epsilon", 1e-5f));
  return MakeKernel(
      [epsilon, shift = Shift(node),
       normalize = microkernels.normalize.row](const KernelCall& call) {
        const float* x = call.inputs[0].data<float>().data();
        float* y = call.outputs[0].data<float>().data();
        const int64_t count = call.inputs[1].size(), size = call.outputs[0].size();
        if (size == 0) return OkStatus();
        const simd::Normalization to{call.inputs[1].data<float>().data(), shift.Of(call), epsilon};
        call.team->ForEach(size / count, [&](int64_t row, int) {
          normalize(to, x + row * count, y + row * count, count);
        });
        return OkStatus();
      },
      0);
}

std::string WhyNotBlocked(const NodeView& node) {
  const int64_t channels = node.shape(0)[1];
  const bool constant = node.constant(1) != nullptr && CanPackChannels(node, 1, channels) &&
                        CanPackChannels(node, 2, channels);
  return constant ? "" : "scale or bias is computed";
}

KernelResult MakeBlocked(const NodeView& node, const simd::Microkernels& microkernels) {
  TRAWL_ASSIGN(const float epsilon, node.attributes().Float("epsilon", 1e-5f));
  const int64_t channels = node.shape(0)[1];
  return MakeKernel(
      [epsilon, scale = PackChannels(node, 1, channels, 1),
       shift = PackChannels(node, 2, channels, 0),
       normalize = microkernels.normalize.channels](const KernelCall& call) {
        const ConstTensorView& x = call.inputs[0];
        const TensorView& y = call.outputs[0];
        const int64_t rows = y.shape[2], width = y.shape[3];
        const simd::Normalization to{scale.data<float>().data(), shift.data<float>().data(),
                                     epsilon};
        call.team->ForEach(y.shape[0] * rows, [&](int64_t task, int) {
          const int64_t image = task / rows, offset = task % rows * width * kBlock;
          normalize(to, reinterpret_cast<const float*>(x.bytes) + image * x.image_stride + offset,
                    reinterpret_cast<float*>(y.bytes) + image * y.image_stride + offset,
                    rows * width * kBlock, y.shape[1], width);
        });
        return OkStatus();
      },
      0);
}

constexpr KernelDef kKernels[] = {
    {.name = "f32_layernorm_rows",
     .op = "LayerNormalization",
     .rank = 1,
     .why_not = WhyNotRows,
     .make_simd = MakeRows},
    {.name = "f32_channelnorm_blocked",
     .op = "ChannelNormalization",
     .rank = 2,
     .why_not = WhyNotBlocked,
     .make_simd = MakeBlocked,
     .layout = Layout::kBlocked},
};

}  // namespace

std::span<const KernelDef> NormalizeKernels() { return kKernels; }

}  // namespace trawl::engine
