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

/// to[i][j] = from[i · rows_step + j · columns_step], where neighbours in `to` are to_step apart
/// by row. One of the steps is 1.
template <class Element>
void TransposeTiles(Element* to, int64_t to_step, const Element* from, int64_t rows_step,
                    int64_t columns_step, int64_t rows, int64_t columns) {
  for (int64_t top = 0; top < rows; top += kTile) {
    const int64_t bottom = std::min(top + kTile, rows);
    for (int64_t left = 0; left < columns; left += kTile) {
      const int64_t right = std::min(left + kTile, columns);
      for (int64_t i = top; i < bottom; ++i) {
        for (int64_t j = left; j < right; ++j)
          to[i * to_step + j] = from[i * rows_step + j * columns_step];
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
  // The dimension along which the input's neighbours lie, when that is not the innermost.
  const auto* row = step == 1 ? nullptr : std::find(strides.data(), strides.data() + inner, 1);
  const auto rows_at = static_cast<size_t>(row - strides.data());
  const bool transposes = row != nullptr && rows_at < inner;
  Dims outer = dims.shape;
  if (transposes) outer[rows_at] = 1;
  ForEachIndex<2>({outer.data(), inner}, {strides, own}, [&](const auto& at) {
    const Element* x = from + at[0];
    Element* y = to + at[1];
    if (step == 1) {
      std::memcpy(y, x, static_cast<size_t>(columns) * sizeof(Element));
    } else if (transposes) {
      TransposeTiles(y, own[rows_at], x, 1, step, dims.shape[rows_at], columns);
    } else {
      for (int64_t j = 0; j < columns; ++j) y[j] = x[j * step];
    }
  });
}

template <class Element>
void CopyAs(const KernelCall& call, const StridedRead& read) {
  Copy(reinterpret_cast<Element*>(call.outputs[0].bytes),
       reinterpret_cast<const Element*>(call.inputs[0].bytes) + read.offset,
       Merge<1>(call.outputs[0].shape, {read.strides}));
}

KernelResult Make(const NodeView& node) {
  TRAWL_ASSIGN(const StridedReader reader, ReaderOf(node));
  return MakeKernel([reader](const KernelCall& call) {
    if (call.outputs[0].size() == 0) return OkStatus();
    switch (ByteSize(call.inputs[0].dtype)) {
      case 1:
        CopyAs<uint8_t>(call, reader(call));
        break;
      case 4:
        CopyAs<uint32_t>(call, reader(call));
        break;
      default:
        CopyAs<uint64_t>(call, reader(call));
    }
    return OkStatus();
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
