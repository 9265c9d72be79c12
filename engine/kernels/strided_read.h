#pragma once
// Data movement that is told by strides: which element of the input each element of the output is.

#include <cstdint>
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

/// A kernel for one of them, by `copy(to, from, shape, strides)`: fills `to`, of that shape and not
/// empty, in row-major order from the element `from` on. Called with unsigned integers of the
/// elements' size, since nothing but their bytes counts.
template <class Copy>
KernelResult MakeStridedCopy(const NodeView& node, Copy copy) {
  TRAWL_ASSIGN(const StridedReader reader, ReaderOf(node));
  return MakeKernel([reader, copy](const KernelCall& call) {
    const TensorView& y = call.outputs[0];
    if (y.size() == 0) return OkStatus();
    const StridedRead read = reader(call);
    const auto copy_as = [&]<class Element>(Element) {
      copy(reinterpret_cast<Element*>(y.bytes),
           reinterpret_cast<const Element*>(call.inputs[0].bytes) + read.offset, y.shape,
           read.strides);
    };
    switch (ByteSize(y.dtype)) {
      case 1:
        copy_as(uint8_t{});
        break;
      case 4:
        copy_as(uint32_t{});
        break;
      default:
        copy_as(uint64_t{});
    }
    return OkStatus();
  });
}

}  // namespace trawl::engine
