#pragma once

#include "engine/kernels/kernel.h"

namespace trawl::engine {

/// Calls `make(T{})` with the element type T of input `i`, one of f32, i64 and i32 after inference.
template <class Make>
KernelResult WithNumericType(const NodeView& node, size_t i, Make make) {
  switch (node.dtype(i)) {
    case DType::kF32:
      return make(float{});
    case DType::kI64:
      return make(int64_t{});
    case DType::kI32:
      return make(int32_t{});
    default:
      return Error(Code::kUnimplemented, "type {} is not supported", ToString(node.dtype(i)));
  }
}

}  // namespace trawl::engine
