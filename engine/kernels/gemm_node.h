#pragma once
// What the products with constant weights read of a node at load.

#include <string>

#include "engine/kernels/activation.h"
#include "engine/kernels/kernel.h"

namespace trawl::engine {

/// A Gemm, FusedGemm or MatMul.
struct GemmNode {
  int64_t depth = 0, columns = 0;
  int64_t stacked = 1;      // rows for each step of the output's first dimension
  bool transposed = false;  // the weights are [columns, depth]
  float alpha = 1, beta = 1;
  Activation activation;

  /// From one number of the weights to the next of the same column, and of the same row.
  int64_t row_step() const { return transposed ? 1 : columns; }
  int64_t column_step() const { return transposed ? depth : 1; }
};

/// Why `node` is nothing for these kernels; empty when it is.
std::string WhyNotGemm(const NodeView& node);
/// Of a node for which WhyNotGemm is empty.
Result<GemmNode> ReadGemm(const NodeView& node);
/// Likewise: beta times the bias, filled up with zeros to `size`.
Tensor GemmBias(const NodeView& node, const GemmNode& gemm, int64_t size);

}  // namespace trawl::engine
