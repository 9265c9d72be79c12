// Products with constant weights, both operands rounded to bf16: fully connected layers. Some rows
// are rounded at a time, once; then panels of columns are shared out to the team.
#include <algorithm>

#include "engine/blocked.h"
#include "engine/kernels/bf16_panels.h"
#include "engine/kernels/conv_chunks.h"
#include "engine/kernels/gemm_node.h"
#include "engine/kernels/tables.h"

namespace trawl::engine {
namespace {

using simd::kBlock;

class Bf16Gemm final : public Kernel {
 public:
  Bf16Gemm(const NodeView& node, const GemmNode& gemm, const simd::Bf16Microkernels& microkernels)
      : gemm_(gemm),
        microkernels_(microkernels),
        panels_({.values = node.constant(1)->data<float>(),
                 .inputs = gemm.depth,
                 .outputs = gemm.columns,
                 .input_step = gemm.row_step(),
                 .output_step = gemm.column_step(),
                 .scale = gemm.alpha},
                microkernels.max_blocks),
        bias_(GemmBias(node, gemm, BlockCount(gemm.columns) * kBlock)),
        blocks_(BlockCount(gemm.depth)) {
    const int64_t row_bytes = blocks_ * kBlock * static_cast<int64_t>(sizeof(uint16_t));
    most_rows_ = std::max<int64_t>(1, ConvChunkBytes() / row_bytes);
  }

  bool PacksInput(size_t i) const override { return i == 1 || i == 2; }
  size_t PackedBytes() const override { return panels_.bytes(); }
  size_t ScratchBytes(int64_t first_dimension, int threads) const override {
    const int64_t rows = std::min(most_rows_, first_dimension * gemm_.stacked);
    return RoundedBytes(rows) + static_cast<size_t>(threads) * SumsBytes(rows);
  }

  Status Run(const KernelCall& call) const override {
    const int64_t all = call.outputs[0].shape[0] * gemm_.stacked;
    for (int64_t first = 0; first < all; first += most_rows_) {
      RunRows(call, first, std::min(most_rows_, all - first));
    }
    return OkStatus();
  }

 private:
  size_t RoundedBytes(int64_t rows) const {
    return static_cast<size_t>((rows * blocks_ + 1) / 2 * 2 * kBlock) * sizeof(uint16_t);
  }
  size_t SumsBytes(int64_t rows) const {
    return static_cast<size_t>(rows * microkernels_.max_blocks * kBlock) * sizeof(float);
  }

  void RunRows(const KernelCall& call, int64_t first, int64_t rows) const {
    const float* x = call.inputs[0].data<float>().data() + first * gemm_.depth;
    float* y = call.outputs[0].data<float>().data() + first * gemm_.columns;
    auto* rounded = reinterpret_cast<uint16_t*>(call.scratch);
    call.team->ForEach(blocks_, [&](int64_t block, int) {
      const int64_t from = block * kBlock;
      microkernels_.round(x + from, gemm_.depth, rows,
                          std::min<int64_t>(kBlock, gemm_.depth - from), rounded + from * rows);
    });
    call.team->ForEach(static_cast<int64_t>(panels_.all().size()), [&](int64_t i, int member) {
      auto* sums = reinterpret_cast<float*>(call.scratch + RoundedBytes(rows) +
                                            static_cast<size_t>(member) * SumsBytes(rows));
      RunPanel(panels_.all()[static_cast<size_t>(i)], rounded, rows, sums, y);
    });
  }

  void RunPanel(const Bf16Panel& panel, const uint16_t* x, int64_t rows, float* sums,
                float* y) const {
    simd::Epilogue epilogue;
    epilogue.bias = bias_.data<float>().data() + panel.block * kBlock;
    microkernels_.pointwise({.x = x,
                             .channels = gemm_.depth,
                             .block_stride = rows * kBlock,
                             .weights = panels_.weights(panel),
                             .y = sums,
                             .y_block_stride = rows * kBlock,
                             .pixels = rows,
                             .blocks = panel.blocks},
                            epilogue);
    for (int64_t block = panel.block; block < panel.block + panel.blocks; ++block) {
      const int64_t from = block * kBlock;
      const auto count = static_cast<size_t>(std::min<int64_t>(kBlock, gemm_.columns - from));
      for (int64_t row = 0; row < rows; ++row, sums += kBlock) {
        float* to = y + row * gemm_.columns + from;
        std::copy_n(sums, count, to);
        AddBiasAndActivate(gemm_.activation, 0, 1, to, count);
      }
    }
  }

  GemmNode gemm_;
  const simd::Bf16Microkernels& microkernels_;
  Bf16Panels panels_;
  Tensor bias_;
  int64_t blocks_;  // of the depth
  int64_t most_rows_ = 1;
};

KernelResult Make(const NodeView& node, const simd::Microkernels& microkernels) {
  TRAWL_ASSIGN(const GemmNode gemm, ReadGemm(node));
  return std::make_unique<Bf16Gemm>(node, gemm, *microkernels.bf16);
}

constexpr KernelDef Def(std::string_view name, std::string_view op) {
  return {.name = name,
          .op = op,
          .rank = 3,
          .why_not = WhyNotGemm,
          .make_simd = Make,
          .needs_bf16 = true};
}

constexpr KernelDef kKernels[] = {Def("bf16_gemm", "Gemm"), Def("bf16_gemm", "FusedGemm"),
                                  Def("bf16_matmul", "MatMul")};

}  // namespace

std::span<const KernelDef> Bf16GemmKernels() { return kKernels; }

}  // namespace trawl::engine
