// Dense convolution on blocked values by definition, sums in registers. It serves any kernel,
// stride, dilation, padding and grouping; what the taps see is copied into a ConvStrip first, but
// for pointwise convolutions, whose images are strips already.
//
// Work is cut into chunks of output pixels whose input stays in the second-level cache while one
// panel of weights after the other passes. Members of a team take chunks of their own where weights
// are small against images, and panels of a common chunk where they are large: then each weight is
// read by one core only.
#include "engine/kernels/conv_direct.h"

#include <algorithm>

#include "engine/blocked.h"
#include "engine/kernels/conv_chunks.h"
#include "engine/kernels/conv_panels.h"
#include "engine/kernels/conv_strip.h"
#include "engine/kernels/tables.h"

namespace trawl::engine {
namespace {

using simd::kBlock;

/// A strip of one row may take this much; what needs more has a kernel of thousands of taps.
constexpr double kMaxRowBytes = 32 << 20;
class DirectConv final : public Kernel {
 public:
  DirectConv(ConvNode conv, const simd::Microkernels& microkernels)
      : conv_(std::move(conv)),
        microkernels_(microkernels),
        panels_(conv_, microkernels.conv.max_blocks),
        pointwise_(conv_.window.Pointwise()),
        blocks_(BlockCount(conv_.inputs)),
        rows_(pointwise_ ? conv_.window.OutputSize() : conv_.window.output[1]),
        width_(pointwise_ ? 1 : conv_.window.output[2]) {
    chunks_.image_rows = rows_;
    if (pointwise_) chunks_.row_multiple = kTileMultiple;
    const int64_t budget = ConvChunkBytes() / static_cast<int64_t>(sizeof(float));
    const int64_t row_floats =
        pointwise_ ? blocks_ * kBlock : ConvStrip(conv_.window, 1).block_stride() * blocks_;
    chunks_.rows = std::clamp<int64_t>(budget / row_floats, 1, rows_);
    if (!pointwise_) {
      // The rows that neighbours share make a strip smaller than its rows one by one.
      while (chunks_.rows < rows_ && StripFloats(chunks_.rows + 1) <= budget) ++chunks_.rows;
      strip_ = ConvStrip(conv_.window, chunks_.rows);
    }
    const int64_t image_floats = pointwise_ ? rows_ * row_floats : StripFloats(rows_);
    // Several images only where all rows of one are a chunk.
    chunks_.images = chunks_.rows < rows_ ? 1 : std::max<int64_t>(1, budget / image_floats);
    chunks_.by_panel_pays = WeightsPass(panels_.bytes());
    conv_.weights = {};
  }

  int InPlaceInput() const override { return conv_.has_residual ? 3 : -1; }
  bool PacksInput(size_t i) const override { return ConvNode::Packs(i); }
  size_t PackedBytes() const override { return panels_.bytes(); }

  size_t ScratchBytes(int64_t batch, int threads) const override {
    if (pointwise_) return 0;
    const int64_t strips = std::max<int64_t>(std::min(chunks_.images, batch), threads);
    return static_cast<size_t>(strips * blocks_ * strip_.block_stride()) * sizeof(float);
  }

  Status Run(const KernelCall& call) const override {
    const ConvCut cut = chunks_.For(call.inputs[0].shape[0], call.team->size());
    const auto strips = [&](int member) {
      return reinterpret_cast<float*>(call.scratch) +
             member * cut.images * blocks_ * strip_.block_stride();
    };
    RunChunks(
        *call.team, cut, pointwise_ ? 0 : blocks_, std::ssize(panels_.all()),
        [&](const ConvChunk& chunk, int64_t b, int member) {
          FillStrip(call, chunk, b, strips(member));
        },
        [&](const ConvChunk& chunk, int64_t i, int member) {
          RunPanel(call, chunk, panels_.all()[static_cast<size_t>(i)], strips(member));
        });
    return OkStatus();
  }

 private:
  int64_t StripFloats(int64_t rows) const {
    return ConvStrip(conv_.window, rows).block_stride() * blocks_;
  }

  /// Block `b` of the chunk's images, counted through.
  void FillStrip(const KernelCall& call, const ConvChunk& chunk, int64_t b, float* strips) const {
    const auto& input = call.inputs[0];
    const float* x = reinterpret_cast<const float*>(input.bytes) +
                     (chunk.image + b / blocks_) * input.image_stride +
                     b % blocks_ * conv_.window.InputSize() * kBlock;
    strip_.Fill(x, chunk.row, chunk.last_row - chunk.row, strips + b * strip_.block_stride());
  }

  void RunPanel(const KernelCall& call, const ConvChunk& chunk, const ConvPanel& panel,
                const float* strips) const {
    static constexpr ptrdiff_t kOneTap[] = {0};
    const auto &input = call.inputs[0], &residual = call.inputs[conv_.has_residual ? 3 : 0];
    const auto& output = call.outputs[0];
    const int64_t plane = conv_.window.OutputSize() * kBlock;
    const int64_t from = panel.block * plane + chunk.row * width_ * kBlock;
    simd::Epilogue epilogue = conv_.EpilogueFrom(panel.block);
    epilogue.residual_block_stride = plane;
    simd::ConvRun run;
    run.taps = pointwise_ ? kOneTap : strip_.taps().data();
    run.tap_count = conv_.taps();
    run.channels = panel.channels;
    run.block_stride = pointwise_ ? plane : strip_.block_stride();
    run.weights = panels_.weights(panel);
    run.y_block_stride = plane;
    run.pixels = (chunk.last_row - chunk.row) * width_;
    run.blocks = panel.blocks;
    for (int64_t n = chunk.image; n < chunk.last_image; ++n) {
      const float* x = pointwise_ ? reinterpret_cast<const float*>(input.bytes) +
                                        n * input.image_stride + chunk.row * kBlock
                                  : strips + (n - chunk.image) * blocks_ * run.block_stride;
      run.x = x + panel.input_block * run.block_stride;
      run.y = reinterpret_cast<float*>(output.bytes) + n * output.image_stride + from;
      if (conv_.has_residual) {
        epilogue.residual =
            reinterpret_cast<const float*>(residual.bytes) + n * residual.image_stride + from;
      }
      microkernels_.conv.blocked(run, epilogue);
      for (int b = 0; b < panel.blocks; ++b) {
        conv_.FinishPixels(microkernels_, run.y + b * plane, run.pixels);
      }
    }
  }

  ConvNode conv_;
  const simd::Microkernels& microkernels_;
  ConvPanels panels_;
  bool pointwise_;
  int64_t blocks_;        // of input channels
  int64_t rows_, width_;  // of the output; a pointwise one is a column of pixels
  ConvStrip strip_;
  ConvChunks chunks_;
};

std::string WhyNot(const NodeView& node) {
  if (std::string why = WhyNotDense(node); !why.empty()) return why;
  const Window window = *ConvWindow(node.graph(), node.node());
  if (IsDepthwise(node)) return "depthwise";
  double row_bytes = sizeof(float) * kBlock * static_cast<double>(BlockCount(node.shape(0)[1]));
  row_bytes *= static_cast<double>(window.kernel[2] * window.output[2]);
  row_bytes *= static_cast<double>((window.kernel[1] - 1) * window.dilation[1] + 1);
  return row_bytes > kMaxRowBytes ? "a row of its windows is too large" : "";
}

KernelResult MakeDirect(const NodeView& node, const simd::Microkernels& microkernels) {
  TRAWL_ASSIGN(ConvNode conv, ReadConv(node));
  return MakeDirectConv(std::move(conv), microkernels);
}

constexpr KernelDef Def(std::string_view op) {
  return {.name = "f32_conv_direct",
          .op = op,
          .rank = 20,
          .why_not = WhyNot,
          .make_simd = MakeDirect,
          .layout = Layout::kBlocked};
}

constexpr KernelDef kKernels[] = {Def("Conv"), Def("FusedConv")};

}  // namespace

std::unique_ptr<const Kernel> MakeDirectConv(ConvNode conv,
                                             const simd::Microkernels& microkernels) {
  return std::make_unique<DirectConv>(std::move(conv), microkernels);
}

std::span<const KernelDef> DirectConvKernels() { return kKernels; }

}  // namespace trawl::engine
