#pragma once
// Data movement that is told by strides: which element of the input each element of the output is.

#include <functional>

#include "engine/kernels/kernel.h"
#include "engine/strided.h"

namespace trawl::engine {

/// The output in row-major order is the input at offset + Σ index[i] · strides[i], in elements.
struct StridedRead {
  int64_t offset = 0;
  Dims strides{};  // of any sign; 0 where elements are repeated
};

/// How a call of a Transpose, Slice or Expand reads its first input.
using StridedReader = std::function<StridedRead(const KernelCall&)>;
/// Errors: kInvalidArgument for operands that make no sense, kInternal for another operator.
Result<StridedReader> ReaderOf(const NodeView& node);

}  // namespace trawl::engine
