#pragma once
// Borrowed tensors: what kernels, executions and their callers pass around. Valid as long as the
// owner says.

#include <span>

#include "engine/tensor.h"

namespace trawl::engine {

struct ConstTensorView {
  DType dtype = DType::kF32;
  std::span<const int64_t> shape;  // no kBatch in it
  const std::byte* bytes = nullptr;
  /// Layout::kBlocked only: floats from one image to the next. 0: the value is plain.
  int64_t image_stride = 0;

  int64_t size() const {
    int64_t count = 1;
    for (const int64_t dim : shape) count *= dim;
    return count;
  }
  /// Of a plain value.
  size_t byte_size() const { return static_cast<size_t>(size()) * ByteSize(dtype); }
  template <class T>
  std::span<const T> data() const {
    DCHECK(DTypeOf<T>::value == dtype);
    return {reinterpret_cast<const T*>(bytes), static_cast<size_t>(size())};
  }
};

struct TensorView {
  DType dtype = DType::kF32;
  std::span<const int64_t> shape;
  std::byte* bytes = nullptr;
  int64_t image_stride = 0;

  int64_t size() const { return ConstTensorView(*this).size(); }
  size_t byte_size() const { return ConstTensorView(*this).byte_size(); }
  template <class T>
  std::span<T> data() const {
    DCHECK(DTypeOf<T>::value == dtype);
    return {reinterpret_cast<T*>(bytes), static_cast<size_t>(size())};
  }
  operator ConstTensorView() const {  // NOLINT: implicit on purpose
    return {dtype, shape, bytes, image_stride};
  }
};

}  // namespace trawl::engine
