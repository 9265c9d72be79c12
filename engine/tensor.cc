#include "engine/tensor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/mman.h>

#include <cstdlib>
#include <memory>
#include <utility>

#include "engine/limits.h"

namespace trawl::engine {
namespace {

/// Large blocks come zeroed from the system, which spares a pass over them, and ask for huge pages.
std::shared_ptr<std::byte[]> AllocateZeroed(size_t bytes) {
  constexpr size_t kHugePage = size_t{2} << 20;
  const size_t alignment = bytes < kHugePage ? kAlignment : kHugePage;
  // One aligned block at least, so that empty tensors have an address too.
  const size_t rounded = (bytes + kAlignment) / kAlignment * kAlignment;
  void* const block = std::calloc(1, rounded + alignment);
  CHECK(block != nullptr);
  void* aligned = block;
  size_t room = rounded + alignment;
  CHECK(std::align(alignment, rounded, aligned, room) != nullptr);
  if (alignment == kHugePage) madvise(aligned, rounded, MADV_HUGEPAGE);  // only a hint
  return {static_cast<std::byte*>(aligned), [block](std::byte*) { std::free(block); }};
}

}  // namespace

size_t ByteSize(DType dtype) {
  switch (dtype) {
    case DType::kI8:
    case DType::kU8:
    case DType::kBool:
      return 1;
    case DType::kF32:
    case DType::kI32:
      return 4;
    case DType::kF64:
    case DType::kI64:
      return 8;
  }
  CHECK(false);
}

std::string ToString(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "f32";
    case DType::kF64:
      return "f64";
    case DType::kI8:
      return "i8";
    case DType::kU8:
      return "u8";
    case DType::kI32:
      return "i32";
    case DType::kI64:
      return "i64";
    case DType::kBool:
      return "bool";
  }
  CHECK(false);
}

std::string ToString(Layout layout) {
  switch (layout) {
    case Layout::kPlain:
      return "plain";
    case Layout::kBlocked:
      return "blocked";
    case Layout::kInterleaved:
      return "interleaved";
  }
  CHECK(false);
}

int64_t ElementCount(const Shape& shape) {
  int64_t count = 1;
  for (const int64_t dim : shape) {
    CHECK(dim >= 0);
    count *= dim;
  }
  return count;
}

std::optional<int64_t> CheckedElementCount(std::span<const int64_t> dims) {
  int64_t count = 1;
  for (const int64_t dim : dims) {
    if (dim < 0 || __builtin_mul_overflow(count, dim, &count)) return std::nullopt;
  }
  return count;
}

std::string ToString(const Shape& shape) {
  std::vector<std::string> dims;
  for (const int64_t dim : shape) {
    if (dim >= 0) {
      dims.push_back(std::to_string(dim));
    } else {
      // As unsigned: a hostile file may hold the one number whose negative is none.
      dims.push_back(dim == kBatch ? "N" : fmt::format("{}N", -static_cast<uint64_t>(dim)));
    }
  }
  return fmt::format("[{}]", fmt::join(dims, ", "));
}

Tensor::Tensor(DType dtype, Shape shape) : dtype_(dtype), shape_(std::move(shape)) {
  bytes_ = AllocateZeroed(byte_size());
}

Tensor Tensor::Unshared() && {
  if (bytes_.use_count() == 1) return std::move(*this);
  Tensor copy(dtype_, shape_);
  std::copy_n(bytes_.get(), byte_size(), copy.bytes_.get());
  return copy;
}

Tensor Tensor::Reshaped(Shape shape) const {
  CHECK(ElementCount(shape) == size());
  Tensor view = *this;
  view.shape_ = std::move(shape);
  return view;
}

}  // namespace trawl::engine
