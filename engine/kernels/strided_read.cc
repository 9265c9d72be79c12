#include "engine/kernels/strided_read.h"

#include "engine/ops/operands.h"

namespace trawl::engine {
namespace {

Result<StridedReader> Transposed(const NodeView& node) {
  TRAWL_ASSIGN(const auto perm, Permutation(node));
  return [perm](const KernelCall& call) {
    const Dims own = RowMajorStrides(call.inputs[0].shape);
    StridedRead read;
    for (size_t i = 0; i < perm.size(); ++i) read.strides[i] = own[perm[i]];
    return read;
  };
}

Result<StridedReader> Sliced(const NodeView& node) {
  TRAWL_ASSIGN(const auto ranges, SliceRanges(node));
  return [ranges](const KernelCall& call) {
    const Dims own = RowMajorStrides(call.inputs[0].shape);
    StridedRead read;
    for (size_t i = 0; i < ranges.size(); ++i) {
      read.strides[i] = own[i] * ranges[i].step;
      read.offset += own[i] * ranges[i].start;
    }
    return read;
  };
}

}  // namespace

Result<StridedReader> ReaderOf(const NodeView& node) {
  if (node.node().op == "Transpose") return Transposed(node);
  if (node.node().op == "Slice") return Sliced(node);
  if (node.node().op != "Expand")
    return Error(Code::kInternal, "{} is not told by strides", node.node().op);
  return [](const KernelCall& call) {
    return StridedRead{0, BroadcastStrides(call.inputs[0].shape, call.outputs[0].shape)};
  };
}

}  // namespace trawl::engine
