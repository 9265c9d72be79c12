#include "engine/ops/dims.h"

#include <algorithm>

namespace trawl::engine {

std::optional<int64_t> MultiplyDims(int64_t a, int64_t b) {
  int64_t product = 0;
  if ((IsBatch(a) && IsBatch(b)) || __builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

Result<int64_t> DimProduct(std::span<const int64_t> dims) {
  int64_t product = 1;
  for (const int64_t dim : dims) {
    if (IsBatch(product) && IsBatch(dim)) {
      return Error(Code::kUnimplemented, "a size grows with the square of the batch");
    }
    const auto next = MultiplyDims(product, dim);
    if (!next) return Error(Code::kInvalidArgument, "a size overflows");
    product = *next;
  }
  return product;
}

Result<Shape> BroadcastShapes(const Shape& a, const Shape& b) {
  Shape out(std::max(a.size(), b.size()));
  for (size_t i = 0; i < out.size(); ++i) {
    // From the last dimension backwards; missing ones count as 1.
    const int64_t da = i < a.size() ? a[a.size() - 1 - i] : 1;
    const int64_t db = i < b.size() ? b[b.size() - 1 - i] : 1;
    if (da != db && da != 1 && db != 1) {
      return Error(Code::kInvalidArgument, "shapes {} and {} do not broadcast", ToString(a),
                   ToString(b));
    }
    out[out.size() - 1 - i] = da == 1 ? db : da;
  }
  return out;
}

bool BroadcastsTo(const Shape& from, const Shape& to) {
  const auto shape = BroadcastShapes(from, to);
  return shape && *shape == to;
}

SymbolicInt FromDim(int64_t dim) {
  return IsBatch(dim) ? SymbolicInt{0, -dim} : SymbolicInt{dim, 0};
}

std::optional<int64_t> ToDim(SymbolicInt value) {
  if (value.batch == 0) return value.constant >= 0 ? std::optional(value.constant) : std::nullopt;
  return value.constant == 0 && value.batch > 0 ? std::optional(-value.batch) : std::nullopt;
}

void ConcreteShape(std::span<const int64_t> shape, int64_t n, std::span<int64_t> out) {
  std::transform(shape.begin(), shape.end(), out.begin(),
                 [n](int64_t dim) { return IsBatch(dim) ? -dim * n : dim; });
}

}  // namespace trawl::engine
