#pragma once
// Tensors: element types, shapes, owned constants and borrowed views.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "config/check.h"

namespace trawl::engine {

enum class DType : uint8_t { kF32, kF64, kI8, kU8, kI32, kI64, kBool };

size_t ByteSize(DType dtype);
std::string ToString(DType dtype);

/// Dimensions, outermost first; [] is a scalar. In a Graph, kBatch stands for the batch N, which is
/// fixed per Run; a dimension -k stands for k·N (a Reshape may merge the batch with others), so
/// kBatch is the case k = 1.
using Shape = std::vector<int64_t>;
inline constexpr int64_t kBatch = -1;

/// How a value lies in memory. Shapes are the same in all: [N, C, H, W].
enum class Layout : uint8_t {
  kPlain,  // row-major
  /// [N][⌈C/16⌉][H][W][16], f32, rank 4: what oneDNN calls nChw16c. A vector register holds
  /// neighbouring channels of one pixel. The channels from C to the next multiple of 16 hold finite
  /// numbers that mean nothing. One image is contiguous; images may be further apart
  /// (TensorView::image_stride), so that a value may be a range of channels of a larger one.
  kBlocked,
  /// [N][H][W][C], u8, rank 4, each pixel's channels filled up (engine/interleaved.h). The bytes
  /// behind the last channel mean nothing.
  kInterleaved,
};

std::string ToString(Layout layout);

/// Product of the dimensions; none may be kBatch. Loaders check products for overflow before they
/// make a Shape.
int64_t ElementCount(const Shape& shape);
/// The same for dimensions from a file: nullopt when one is negative or the product overflows an
/// int64.
std::optional<int64_t> CheckedElementCount(std::span<const int64_t> dims);
/// "[N, 3, 224, 224]".
std::string ToString(const Shape& shape);

template <class T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::kF32;
};
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::kF64;
};
template <>
struct DTypeOf<int8_t> {
  static constexpr DType value = DType::kI8;
};
template <>
struct DTypeOf<uint8_t> {
  static constexpr DType value = DType::kU8;
};
template <>
struct DTypeOf<int32_t> {
  static constexpr DType value = DType::kI32;
};
template <>
struct DTypeOf<int64_t> {
  static constexpr DType value = DType::kI64;
};
template <>
struct DTypeOf<bool> {
  static constexpr DType value = DType::kBool;
};

/// An owned, immutable-once-shared array: a weight or a folded constant. Copies share the storage,
/// which is 64-byte aligned.
class Tensor {
 public:
  Tensor() = default;
  /// Zero-filled.
  Tensor(DType dtype, Shape shape);
  template <class T>
  static Tensor Of(Shape shape, std::span<const T> values);

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  int64_t size() const { return ElementCount(shape_); }
  size_t byte_size() const { return static_cast<size_t>(size()) * ByteSize(dtype_); }

  /// T must be the element type. Mutable access is for whoever builds the tensor, before it is
  /// shared.
  template <class T>
  std::span<const T> data() const {
    CHECK(DTypeOf<T>::value == dtype_);
    return {reinterpret_cast<const T*>(bytes_.get()), static_cast<size_t>(size())};
  }
  template <class T>
  std::span<T> mutable_data() {
    CHECK(DTypeOf<T>::value == dtype_);
    return {reinterpret_cast<T*>(bytes_.get()), static_cast<size_t>(size())};
  }
  const std::byte* bytes() const { return bytes_.get(); }
  std::byte* mutable_bytes() { return bytes_.get(); }
  /// Gives this copy's share of the storage back; shape and type stay, bytes() is nullptr.
  void DropStorage() { bytes_.reset(); }
  /// The same elements in storage that no other tensor shares: this one's, or else a copy.
  Tensor Unshared() &&;
  /// The same elements under another shape of the same size.
  Tensor Reshaped(Shape shape) const;

 private:
  DType dtype_ = DType::kF32;
  Shape shape_{0};
  std::shared_ptr<std::byte[]> bytes_;
};

template <class T>
Tensor Tensor::Of(Shape shape, std::span<const T> values) {
  Tensor tensor(DTypeOf<T>::value, std::move(shape));
  CHECK(values.size() == static_cast<size_t>(tensor.size()));
  std::copy(values.begin(), values.end(), tensor.mutable_data<T>().begin());
  return tensor;
}

}  // namespace trawl::engine
