// Transpose, Slice and Expand of plain values, of any type. Dimensions that input and output step
// through alike are merged; what is innermost then is either a run of neighbours, copied at once,
// or the two sides of a transposition, taken in tiles that stay in the cache.
#include <algorithm>
#include <cstring>

#include "engine/kernels/strided_read.h"
#include "engine/kernels/tables.h"

namespace trawl::engine {
namespace {

constexpr int64_t kTile = 16;  // elements: a cache line of floats

/// to[i · to_step + j] = from[i + j · from_step].
template <class Element>
void TransposeTiles(Element* to, int64_t to_step, const Element* from, int64_t from_step,
                    int64_t rows, int64_t columns) {
  for (int64_t top = 0; top < rows; top += kTile) {
    const int64_t bottom = std::min(top + kTile, rows);
    for (int64_t left = 0; left < columns; left += kTile) {
      const int64_t right = std::min(left + kTile, columns);
      for (int64_t i = top; i < bottom; ++i) {
        for (int64_t j = left; j < right; ++j) to[i * to_step + j] = from[i + j * from_step];
      }
    }
  }
}

/// Fills `to` in row-major order, reading with the strides of `dims`.
template <class Element>
void Copy(Element* to, const Element* from, const MergedDims<1>& dims) {
  if (dims.rank == 0) {
    *to = *from;
    return;
  }
  const size_t inner = dims.rank - 1;
  const Dims& strides = dims.strides[0];
  const int64_t columns = dims.shape[inner], step = strides[inner];
  const Dims own = RowMajorStrides({dims.shape.data(), dims.rank});
  // The dimension along which the input's neighbours lie; `inner` where none does.
  const auto rows_at =
      static_cast<size_t>(std::find(strides.begin(), strides.begin() + inner, 1) - strides.begin());
  const bool transposes = step != 1 && rows_at < inner;
  Dims outer = dims.shape;
  if (transposes) outer[rows_at] = 1;
  ForEachIndex<2>({outer.data(), inner}, {strides, own}, [&](const auto& at) {
    const Element* x = from + at[0];
    Element* y = to + at[1];
    if (step == 1) {
      std::memcpy(y, x, static_cast<size_t>(columns) * sizeof(Element));
    } else if (transposes) {
      TransposeTiles(y, own[rows_at], x, step, dims.shape[rows_at], columns);
    } else {
      for (int64_t j = 0; j < columns; ++j) y[j] = x[j * step];
    }
  });
}

KernelResult Make(const NodeView& node) {
  return MakeStridedCopy(node, [](auto* to, const auto* from, auto shape, const Dims& strides) {
    Copy(to, from, Merge<1>(shape, {strides}));
  });
}

constexpr KernelDef kKernels[] = {
    {.name = "transpose_tiles", .op = "Transpose", .rank = 1, .make = Make},
    {.name = "slice_runs", .op = "Slice", .rank = 1, .make = Make},
    {.name = "expand_runs", .op = "Expand", .rank = 1, .make = Make},
};

}  // namespace

std::span<const KernelDef> MovementKernels() { return kKernels; }

}  // namespace trawl::engine
