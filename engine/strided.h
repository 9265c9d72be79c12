#pragma once
// Walking several tensors together by strides: how broadcasting and data movement are told to the
// loops.

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "config/check.h"
#include "engine/limits.h"

namespace trawl::engine {

using Dims = std::array<int64_t, kMaxRank>;

/// Row-major strides of `shape`, in elements.
inline Dims RowMajorStrides(std::span<const int64_t> shape) {
  Dims strides{};
  int64_t stride = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    strides[i] = stride;
    stride *= shape[i];
  }
  return strides;
}

/// Strides with which `shape` is read when it is broadcast to `out`: 0 where a dimension is
/// repeated.
inline Dims BroadcastStrides(std::span<const int64_t> shape, std::span<const int64_t> out) {
  DCHECK(shape.size() <= out.size());
  const Dims own = RowMajorStrides(shape);
  Dims strides{};
  const size_t offset = out.size() - shape.size();
  for (size_t i = 0; i < shape.size(); ++i) strides[offset + i] = shape[i] == 1 ? 0 : own[i];
  return strides;
}

/// Dimensions with neighbours merged where every tensor steps through them alike; none of 1.
template <size_t Count>
struct MergedDims {
  size_t rank = 0;
  Dims shape{};
  std::array<Dims, Count> strides{};
};

template <size_t Count>
MergedDims<Count> Merge(std::span<const int64_t> shape, const std::array<Dims, Count>& strides) {
  MergedDims<Count> merged;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 1) continue;
    bool joins = merged.rank > 0;
    for (size_t k = 0; k < Count && joins; ++k)
      joins = merged.strides[k][merged.rank - 1] == strides[k][i] * shape[i];
    const size_t at = joins ? merged.rank - 1 : merged.rank++;
    merged.shape[at] = joins ? merged.shape[at] * shape[i] : shape[i];
    for (size_t k = 0; k < Count; ++k) merged.strides[k][at] = strides[k][i];
  }
  return merged;
}

/// Calls `body(offsets)` for each element of `shape` in row-major order, where offsets[k] = Σ
/// index[i]·strides[k][i].
template <size_t Count, class Body>
void ForEachIndex(std::span<const int64_t> shape, const std::array<Dims, Count>& strides,
                  Body body) {
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return;
  Dims index{};
  std::array<int64_t, Count> offsets{};
  for (;;) {
    body(offsets);
    size_t dim = shape.size();
    for (;;) {
      if (dim == 0) return;
      --dim;
      for (size_t k = 0; k < Count; ++k) offsets[k] += strides[k][dim];
      if (++index[dim] < shape[dim]) break;
      for (size_t k = 0; k < Count; ++k) offsets[k] -= strides[k][dim] * shape[dim];
      index[dim] = 0;
    }
  }
}

}  // namespace trawl::engine
