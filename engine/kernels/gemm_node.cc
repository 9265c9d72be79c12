#include "engine/kernels/gemm_node.h"

#include <algorithm>

namespace trawl::engine {

std::string WhyNotGemm(const NodeView& node) {
  const Tensor* weights = node.constant(1);
  if (weights == nullptr || weights->dtype() != DType::kF32) return "the weights are computed";
  if (node.shape(0).size() < 2 || node.shape(1).size() != 2) return "not two matrices";
  if (node.dtype(0) != DType::kF32) return "not f32";
  const Shape& rows = node.output_shape(0);
  if (std::any_of(rows.begin() + 1, rows.end() - 1, [](int64_t dim) { return dim < 0; })) {
    return "the batch is not the first dimension";
  }
  if (weights->size() == 0 || std::ranges::count(rows, 0) != 0) return "an operand is empty";
  if (node.attributes().Int("transA", 0).value_or(0) != 0) return "the left operand is transposed";
  if (!node.HasInput(2)) return "";
  const Tensor* bias = node.constant(2);
  if (bias == nullptr) return "the bias is computed";
  const int64_t columns = node.output_shape(0)[1];
  const bool is_row = bias->shape() == Shape{columns} || bias->shape() == Shape{1, columns};
  return is_row || bias->size() == 1 ? "" : "the bias varies by row";
}

Result<GemmNode> ReadGemm(const NodeView& node) {
  GemmNode gemm;
  TRAWL_ASSIGN(const int64_t transposed, node.attributes().Int("transB", 0));
  TRAWL_ASSIGN(gemm.alpha, node.attributes().Float("alpha", 1));
  TRAWL_ASSIGN(gemm.beta, node.attributes().Float("beta", 1));
  TRAWL_ASSIGN(gemm.activation, GetActivation(node.attributes()));
  gemm.transposed = transposed != 0;
  gemm.depth = node.shape(1)[transposed != 0 ? 1 : 0];
  gemm.columns = node.shape(1)[transposed != 0 ? 0 : 1];
  const Shape& shape = node.output_shape(0);
  for (size_t i = 1; i + 1 < shape.size(); ++i) gemm.stacked *= shape[i];
  return gemm;
}

Tensor GemmBias(const NodeView& node, const GemmNode& gemm, int64_t size) {
  Tensor filled(DType::kF32, {size});
  const Tensor* bias = node.constant(2);
  for (int64_t j = 0; bias != nullptr && j < gemm.columns; ++j) {
    const size_t from = bias->size() == 1 ? 0 : static_cast<size_t>(j);
    filled.mutable_data<float>()[static_cast<size_t>(j)] = gemm.beta * bias->data<float>()[from];
  }
  return filled;
}

}  // namespace trawl::engine
