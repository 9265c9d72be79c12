#pragma once
// MatMul's operands as stacks of matrices under numpy's rule, where a vector is a row on the left,
// a column on the right.

#include <span>

#include "engine/strided.h"

namespace trawl::engine {

struct MatMulShape {
  int64_t m = 1, k = 1, n = 1;
  size_t stack_rank = 0;
  Dims stack{};                   // dimensions of the stack of results
  Dims a_strides{}, b_strides{};  // in elements, 0 where a stack is repeated
};

inline MatMulShape ReadMatMulShape(std::span<const int64_t> a, std::span<const int64_t> b) {
  MatMulShape shape;
  shape.k = a.back();
  if (a.size() > 1) shape.m = a[a.size() - 2];
  if (b.size() > 1) shape.n = b.back();
  const auto a_stack = a.first(a.size() > 2 ? a.size() - 2 : 0);
  const auto b_stack = b.first(b.size() > 2 ? b.size() - 2 : 0);
  shape.stack_rank = std::max(a_stack.size(), b_stack.size());
  for (size_t i = 0; i < shape.stack_rank; ++i) {
    const auto dim = [&](std::span<const int64_t> dims) {
      const size_t missing = shape.stack_rank - dims.size();
      return i < missing ? 1 : dims[i - missing];
    };
    shape.stack[i] = dim(a_stack) == 1 ? dim(b_stack) : dim(a_stack);
  }
  const std::span<const int64_t> stack(shape.stack.data(), shape.stack_rank);
  shape.a_strides = BroadcastStrides(a_stack, stack);
  shape.b_strides = BroadcastStrides(b_stack, stack);
  for (size_t i = 0; i < shape.stack_rank; ++i) {
    shape.a_strides[i] *= shape.m * shape.k;
    shape.b_strides[i] *= shape.k * shape.n;
  }
  return shape;
}

}  // namespace trawl::engine
