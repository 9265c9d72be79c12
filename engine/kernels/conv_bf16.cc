// Convolutions of kernel 1, of any stride, whose inputs and weights are rounded to bf16. A chunk's
// pixels are rounded once, into scratch, where those that a stride leaves lie one behind the other;
// then one panel of weights after the other passes over them (conv_chunks.h).
#include "engine/blocked.h"
#include "engine/kernels/bf16_panels.h"
#include "engine/kernels/conv_chunks.h"
#include "engine/kernels/conv_node.h"
#include "engine/kernels/tables.h"

namespace trawl::engine {
namespace {

using simd::kBlock;

class Bf16Conv final : public Kernel {
 public:
  Bf16Conv(ConvNode conv, const simd::Microkernels& microkernels)
      : conv_(std::move(conv)),
        microkernels_(microkernels),
        panels_({.values = conv_.weights.data<float>(),
                 .inputs = conv_.inputs,
                 .outputs = conv_.outputs,
                 .output_step = conv_.inputs},
                microkernels.bf16->max_blocks),
        strided_(!conv_.window.Pointwise()),
        width_(strided_ ? conv_.window.output[2] : 1),
        blocks_(BlockCount(conv_.inputs)) {
    conv_.weights = {};
    chunks_.image_rows = conv_.window.OutputSize() / width_;
    if (!strided_) chunks_.row_multiple = kTileMultiple;
    const int64_t row_bytes = blocks_ * width_ * kBlock * static_cast<int64_t>(sizeof(uint16_t));
    chunks_.rows = std::clamp<int64_t>(ConvChunkBytes() / row_bytes, 1, chunks_.image_rows);
    if (chunks_.rows == chunks_.image_rows) {
      chunks_.images = std::max<int64_t>(1, ConvChunkBytes() / (row_bytes * chunks_.rows));
    }
    chunks_.by_panel_pays = WeightsPass(panels_.bytes());
    block_stride_ = chunks_.MostRows() * width_ * kBlock;
  }

  int InPlaceInput() const override { return conv_.has_residual ? 3 : -1; }
  bool PacksInput(size_t i) const override { return ConvNode::Packs(i); }
  size_t PackedBytes() const override { return panels_.bytes(); }

  size_t ScratchBytes(int64_t batch, int threads) const override {
    const int64_t images = std::max<int64_t>(std::min(chunks_.images, batch), threads);
    return static_cast<size_t>(images * blocks_ * block_stride_) * sizeof(uint16_t);
  }

  Status Run(const KernelCall& call) const override {
    const ConvCut cut = chunks_.For(call.inputs[0].shape[0], call.team->size());
    const auto slot = [&](int member) {
      return reinterpret_cast<uint16_t*>(call.scratch) +
             member * cut.images * blocks_ * block_stride_;
    };
    RunChunks(
        *call.team, cut, blocks_, std::ssize(panels_.all()),
        [&](const ConvChunk& chunk, int64_t b, int member) { Round(call, chunk, b, slot(member)); },
        [&](const ConvChunk& chunk, int64_t i, int member) {
          RunPanel(call, chunk, panels_.all()[static_cast<size_t>(i)], slot(member));
        });
    return OkStatus();
  }

 private:
  /// Block `b` of the chunk's images, counted through.
  void Round(const KernelCall& call, const ConvChunk& chunk, int64_t b, uint16_t* x) const {
    const Window& w = conv_.window;
    const auto& input = call.inputs[0];
    const int64_t block = b % blocks_;
    const int64_t channels = std::min<int64_t>(kBlock, conv_.inputs - block * kBlock);
    const float* plane = reinterpret_cast<const float*>(input.bytes) +
                         (chunk.image + b / blocks_) * input.image_stride +
                         block * w.InputSize() * kBlock;
    uint16_t* to = x + b * block_stride_;
    const auto round = microkernels_.bf16->round;
    if (!strided_) {
      round(plane + chunk.row * kBlock, kBlock, chunk.last_row - chunk.row, channels, to);
      return;
    }
    for (int64_t row = chunk.row; row < chunk.last_row; ++row, to += width_ * kBlock) {
      round(plane + row * w.stride[1] * w.input[2] * kBlock, w.stride[2] * kBlock, width_, channels,
            to);
    }
  }

  void RunPanel(const KernelCall& call, const ConvChunk& chunk, const Bf16Panel& panel,
                const uint16_t* x) const {
    const auto& output = call.outputs[0];
    const auto& residual = call.inputs[conv_.has_residual ? 3 : 0];
    const int64_t plane = conv_.window.OutputSize() * kBlock;
    const int64_t from = panel.block * plane + chunk.row * width_ * kBlock;
    simd::Epilogue epilogue = conv_.EpilogueFrom(panel.block);
    epilogue.residual_block_stride = plane;
    simd::Bf16Run run{.channels = conv_.inputs,
                      .block_stride = block_stride_,
                      .weights = panels_.weights(panel),
                      .y_block_stride = plane,
                      .pixels = (chunk.last_row - chunk.row) * width_,
                      .blocks = panel.blocks};
    for (int64_t n = chunk.image; n < chunk.last_image; ++n, x += blocks_ * block_stride_) {
      run.x = x;
      run.y = reinterpret_cast<float*>(output.bytes) + n * output.image_stride + from;
      if (conv_.has_residual) {
        epilogue.residual =
            reinterpret_cast<const float*>(residual.bytes) + n * residual.image_stride + from;
      }
      microkernels_.bf16->pointwise(run, epilogue);
      for (int b = 0; b < panel.blocks; ++b) {
        conv_.FinishPixels(microkernels_, run.y + b * plane, run.pixels);
      }
    }
  }

  ConvNode conv_;
  const simd::Microkernels& microkernels_;
  Bf16Panels panels_;
  bool strided_;
  int64_t width_;   // of a row, which without strides is a pixel
  int64_t blocks_;  // of input channels
  ConvChunks chunks_;
  int64_t block_stride_ = 0;  // of a chunk's rounded pixels
};

std::string WhyNot(const NodeView& node) {
  if (std::string why = WhyNotDense(node); !why.empty()) return why;
  const Window w = *ConvWindow(node.graph(), node.node());
  if (w.KernelSize() != 1) return "not 1 × 1";
  if (w.Padded()) return "pads";
  if (node.attributes().Int("group", 1).value_or(1) != 1) return "groups";
  return node.HasInput(4) ? "sums of integers must stay exact" : "";
}

KernelResult Make(const NodeView& node, const simd::Microkernels& microkernels) {
  TRAWL_ASSIGN(ConvNode conv, ReadConv(node));
  return std::make_unique<Bf16Conv>(std::move(conv), microkernels);
}

constexpr KernelDef Def(std::string_view op) {
  return {.name = "bf16_conv_pointwise",
          .op = op,
          .rank = 35,
          .why_not = WhyNot,
          .make_simd = Make,
          .layout = Layout::kBlocked,
          .needs_bf16 = true};
}

constexpr KernelDef kKernels[] = {Def("Conv"), Def("FusedConv")};

}  // namespace

std::span<const KernelDef> Bf16ConvKernels() { return kKernels; }

}  // namespace trawl::engine
