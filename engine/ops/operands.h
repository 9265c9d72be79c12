#pragma once
// Operands of the data-movement operators, read and checked once, for inference and for kernels.

#include <vector>

#include "engine/ops.h"

namespace trawl::engine {

/// Elements start, start + step, … (count of them) of one dimension.
struct SliceRange {
  int64_t start = 0;
  int64_t step = 1;
  int64_t count = 0;
};
/// Per dimension of the data. A dimension that is the batch may only be taken whole (count is then
/// kBatch's form).
Result<std::vector<SliceRange>> SliceRanges(const NodeView& node);

enum class PadMode { kConstant, kReflect, kEdge };
struct PadSpec {
  PadMode mode = PadMode::kConstant;
  std::vector<int64_t> begin, end;  // per dimension, not negative
};
Result<PadSpec> ReadPads(const NodeView& node);

/// Sizes of Split's outputs along its axis.
Result<std::vector<int64_t>> SplitSizes(const NodeView& node, size_t axis);

/// Transpose's permutation: dimension i of the output is dimension perm[i] of the input.
Result<std::vector<size_t>> Permutation(const NodeView& node);

/// The dimensions that a Reduce* operator reduces, one flag per dimension of the data.
Result<std::vector<bool>> ReducedDims(const NodeView& node);

/// The axis of QuantizeLinear and DequantizeLinear along which scale varies; data.rank when there
/// is one scale for all.
Result<size_t> QuantizationAxis(const NodeView& node);

}  // namespace trawl::engine
