// Products with constant weights, which are packed once: fully connected layers, and those of
// transformers, whose left operands are stacks of matrices. Panels of columns, for some hundred
// rows each, are shared out to the team; what a panel yields gets bias and activation while it is
// in the cache. One row (batch 1) runs at the speed at which memory delivers the weights.
#include <algorithm>

#include "engine/kernels/gemm_node.h"
#include "engine/kernels/tables.h"
#include "engine/kernels/weight_buffer.h"

namespace trawl::engine {
namespace {

/// Rows of a panel that are multiplied at a time: 64 columns of them take 128 KiB and stay in the
/// second-level cache while all tiles of rows go over them, so that weights come from memory once.
constexpr int64_t kDepth = 512;

/// Rows that are multiplied by one panel after the other: with 512 of their columns they take less
/// than half of a second-level cache of 1 MiB. A multiple of every tile's rows.
constexpr int64_t kPartRows = 192;

class PackedGemm final : public Kernel {
 public:
  PackedGemm(const NodeView& node, const GemmNode& gemm, const simd::GemmMicrokernels& microkernels)
      : gemm_(gemm),
        multiply_(microkernels.multiply),
        width_(microkernels.panel_width),
        panels_((gemm.columns + width_ - 1) / width_),
        weights_(static_cast<size_t>(panels_ * gemm.depth * width_)),
        bias_(GemmBias(node, gemm, gemm.columns)) {
    PackWeights(node.constant(1)->data<float>());
  }

  bool PacksInput(size_t i) const override { return i == 1 || i == 2; }
  size_t PackedBytes() const override { return weights_.bytes(); }
  size_t ScratchBytes(int64_t first_dimension, int threads) const override {
    const int64_t rows = std::min(kPartRows, first_dimension * gemm_.stacked);
    return static_cast<size_t>(threads * 2 * rows * width_) * sizeof(float);
  }

  Status Run(const KernelCall& call) const override {
    const int64_t all_rows = call.outputs[0].shape[0] * gemm_.stacked;
    const int64_t scratch_rows = std::min(kPartRows, all_rows);
    const float* x = call.inputs[0].data<float>().data();
    float* y = call.outputs[0].data<float>().data();
    const int64_t parts = (all_rows + kPartRows - 1) / kPartRows;
    call.team->ForEach(parts * panels_, [&](int64_t task, int member) {
      const int64_t first = task / panels_ * kPartRows, panel = task % panels_;
      const int64_t rows = std::min(kPartRows, all_rows - first);
      float* sums = reinterpret_cast<float*>(call.scratch) + member * 2 * scratch_rows * width_;
      MultiplyPanel(x + first * gemm_.depth, rows, panel, sums, sums + rows * width_);
      Finish(sums, rows, panel, y + first * gemm_.columns);
    });
    return OkStatus();
  }

 private:
  /// [panels][depth][width], times alpha, zero beyond the last column. Some rows of the panel at a
  /// time, so that a cache line of transposed weights is used up when it is there.
  void PackWeights(std::span<const float> weights) {
    constexpr int64_t kRows = 16;
    const int64_t row_step = gemm_.row_step(), column_step = gemm_.column_step();
    for (int64_t panel = 0; panel < panels_; ++panel) {
      const int64_t first = panel * width_;
      const int64_t count = std::min(width_, gemm_.columns - first);
      const float* from = weights.data() + first * column_step;
      float* to = weights_.data() + panel * gemm_.depth * width_;
      if (count < width_) std::fill_n(to, gemm_.depth * width_, 0.0f);
      for (int64_t k = 0; k < gemm_.depth; k += kRows) {
        const int64_t end = std::min(k + kRows, gemm_.depth);
        for (int64_t j = 0; j < count; ++j) {
          for (int64_t row = k; row < end; ++row) {
            to[row * width_ + j] = gemm_.alpha * from[row * row_step + j * column_step];
          }
        }
      }
    }
  }

  /// sums[rows][width] = x · panel; `products` is as large.
  void MultiplyPanel(const float* x, int64_t rows, int64_t panel, float* sums,
                     float* products) const {
    const float* weights = weights_.data() + panel * gemm_.depth * width_;
    for (int64_t k = 0; k < gemm_.depth; k += kDepth) {
      multiply_(x + k, gemm_.depth, weights + k * width_, k == 0 ? sums : products, width_, rows,
                std::min(kDepth, gemm_.depth - k));
      for (int64_t i = 0; k > 0 && i < rows * width_; ++i) sums[i] += products[i];
    }
  }

  void Finish(const float* sums, int64_t rows, int64_t panel, float* y) const {
    const int64_t first = panel * width_;
    const int64_t count = std::min<int64_t>(width_, gemm_.columns - first);
    const float* bias = bias_.data<float>().data() + first;
    for (int64_t row = 0; row < rows; ++row, sums += width_) {
      float* to = y + row * gemm_.columns + first;
      for (int64_t j = 0; j < count; ++j) to[j] = sums[j] + bias[j];
      AddBiasAndActivate(gemm_.activation, 0, 1, to, static_cast<size_t>(count));
    }
  }

  GemmNode gemm_;
  void (*multiply_)(const float* a, ptrdiff_t lda, const float* b, float* c, ptrdiff_t ldc,
                    ptrdiff_t rows, ptrdiff_t depth);
  int64_t width_, panels_;
  WeightBuffer weights_;
  Tensor bias_;
};

KernelResult MakeGemm(const NodeView& node, const simd::Microkernels& microkernels) {
  TRAWL_ASSIGN(const GemmNode gemm, ReadGemm(node));
  return std::make_unique<PackedGemm>(node, gemm, microkernels.gemm);
}

constexpr KernelDef Def(std::string_view name, std::string_view op) {
  return {.name = name, .op = op, .rank = 2, .why_not = WhyNotGemm, .make_simd = MakeGemm};
}

constexpr KernelDef kKernels[] = {Def("f32_gemm_packed", "Gemm"),
                                  Def("f32_gemm_packed", "FusedGemm"),
                                  Def("f32_matmul_packed", "MatMul")};

}  // namespace

std::span<const KernelDef> PackedGemmKernels() { return kKernels; }

}  // namespace trawl::engine
