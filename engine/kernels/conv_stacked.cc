// Pointwise convolution of planes of a few pixels: the classifier behind a global pool, mostly. The
// pixels of several images are stacked into one row, so that tiles are full and weights are read
// once for all of them. Copying takes little: each number that is copied meets all output channels.
#include <algorithm>
#include <cstring>

#include "engine/blocked.h"
#include "engine/kernels/caches.h"
#include "engine/kernels/conv_panels.h"
#include "engine/kernels/tables.h"

namespace trawl::engine {
namespace {

using simd::kBlock;

/// Planes of more fill tiles by themselves.
constexpr int64_t kMaxPixels = 7;

class StackedConv final : public Kernel {
 public:
  StackedConv(ConvNode conv, const simd::Microkernels& microkernels)
      : conv_(std::move(conv)),
        microkernels_(microkernels),
        panels_(conv_, microkernels.conv.max_blocks),
        plane_(conv_.window.OutputSize() * kBlock),
        blocks_(BlockCount(conv_.inputs)) {
    conv_.weights = {};
    for (const ConvPanel& panel : panels_.all()) widest_ = std::max(widest_, panel.blocks);
    // What panel after panel reads stays in the second-level cache, in half of it.
    const int64_t budget = SecondLevelCacheBytes() / 2 / static_cast<int64_t>(sizeof(float));
    most_images_ = std::max<int64_t>(1, budget / (blocks_ * plane_));
  }

  bool PacksInput(size_t i) const override { return ConvNode::Packs(i); }
  size_t PackedBytes() const override { return panels_.bytes(); }
  size_t ScratchBytes(int64_t images, int threads) const override {
    const int64_t stacks = blocks_ + threads * widest_;
    return static_cast<size_t>(std::min(images, most_images_) * plane_ * stacks) * sizeof(float);
  }

  Status Run(const KernelCall& call) const override {
    const int64_t batch = call.inputs[0].shape[0];
    for (int64_t image = 0; image < batch; image += most_images_) {
      const Stack stack{image, std::min(most_images_, batch - image)};
      auto* x = reinterpret_cast<float*>(call.scratch);
      call.team->ForEach(blocks_, [&](int64_t block, int) {
        CopyIn(call.inputs[0], stack, block, x + block * stack.images * plane_);
      });
      call.team->ForEach(static_cast<int64_t>(panels_.all().size()), [&](int64_t i, int member) {
        float* y = x + (blocks_ + member * widest_) * stack.images * plane_;
        RunPanel(call, stack, panels_.all()[static_cast<size_t>(i)], x, y);
      });
    }
    return OkStatus();
  }

 private:
  struct Stack {
    int64_t first = 0, images = 0;
  };

  size_t PlaneBytes() const { return static_cast<size_t>(plane_) * sizeof(float); }

  void CopyIn(const ConstTensorView& input, const Stack& stack, int64_t block, float* to) const {
    const auto* x = reinterpret_cast<const float*>(input.bytes) + block * plane_;
    for (int64_t n = 0; n < stack.images; ++n) {
      std::memcpy(to + n * plane_, x + (stack.first + n) * input.image_stride, PlaneBytes());
    }
  }

  /// x: [blocks][images][pixels][kBlock]; y: the same of the panel's blocks.
  void RunPanel(const KernelCall& call, const Stack& stack, const ConvPanel& panel, const float* x,
                float* y) const {
    static constexpr ptrdiff_t kOneTap[] = {0};
    const int64_t stride = stack.images * plane_, pixels = stride / kBlock;
    const simd::ConvRun run{.x = x + panel.input_block * stride,
                            .taps = kOneTap,
                            .tap_count = 1,
                            .channels = panel.channels,
                            .block_stride = stride,
                            .weights = panels_.weights(panel),
                            .y = y,
                            .y_block_stride = stride,
                            .pixels = pixels,
                            .blocks = panel.blocks};
    microkernels_.conv.blocked(run, conv_.EpilogueFrom(panel.block));
    const auto& output = call.outputs[0];
    for (int b = 0; b < panel.blocks; ++b, y += stride) {
      conv_.FinishPixels(microkernels_, y, pixels);
      float* to = reinterpret_cast<float*>(output.bytes) + (panel.block + b) * plane_;
      for (int64_t n = 0; n < stack.images; ++n) {
        std::memcpy(to + (stack.first + n) * output.image_stride, y + n * plane_, PlaneBytes());
      }
    }
  }

  ConvNode conv_;
  const simd::Microkernels& microkernels_;
  ConvPanels panels_;
  int64_t plane_;   // floats of a block of an image
  int64_t blocks_;  // of input channels
  int widest_ = 0;  // blocks of a panel
  int64_t most_images_ = 1;
};

std::string WhyNot(const NodeView& node) {
  if (std::string why = WhyNotDense(node); !why.empty()) return why;
  if (IsDepthwise(node)) return "depthwise";
  const Window window = *ConvWindow(node.graph(), node.node());
  if (!window.Pointwise()) return "not pointwise";
  if (window.OutputSize() > kMaxPixels) return "planes of more than seven pixels fill tiles alone";
  return node.HasInput(3) ? "a residual" : "";
}

KernelResult MakeStacked(const NodeView& node, const simd::Microkernels& microkernels) {
  TRAWL_ASSIGN(ConvNode conv, ReadConv(node));
  return std::make_unique<StackedConv>(std::move(conv), microkernels);
}

constexpr KernelDef Def(std::string_view op) {
  return {.name = "f32_conv_stacked",
          .op = op,
          .rank = 25,
          .why_not = WhyNot,
          .make_simd = MakeStacked,
          .layout = Layout::kBlocked};
}

constexpr KernelDef kKernels[] = {Def("Conv"), Def("FusedConv")};

}  // namespace

std::span<const KernelDef> StackedConvKernels() { return kKernels; }

}  // namespace trawl::engine
