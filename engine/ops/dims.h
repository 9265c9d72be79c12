#pragma once
// Arithmetic on symbolic dimensions (engine/tensor.h: d >= 0 is d, -k is k·N), checked against
// overflow.

#include <optional>
#include <span>

#include "config/status.h"
#include "engine/ops.h"
#include "engine/tensor.h"

namespace trawl::engine {

inline bool IsBatch(int64_t dim) { return dim < 0; }

/// a · b, or nullopt on overflow or for N².
std::optional<int64_t> MultiplyDims(int64_t a, int64_t b);
/// The product of `dims`; 1 for none. Errors: kUnimplemented for N², kInvalidArgument on overflow.
Result<int64_t> DimProduct(std::span<const int64_t> dims);

/// numpy's broadcasting of two shapes. Errors: kInvalidArgument.
Result<Shape> BroadcastShapes(const Shape& a, const Shape& b);
/// True when `from` broadcasts to exactly `to`.
bool BroadcastsTo(const Shape& from, const Shape& to);

SymbolicInt FromDim(int64_t dim);
/// nullopt for what no dimension can be: negative numbers and sums such as N + 1.
std::optional<int64_t> ToDim(SymbolicInt value);

/// `shape` at batch `n`, into `out` of the same length.
void ConcreteShape(std::span<const int64_t> shape, int64_t n, std::span<int64_t> out);

}  // namespace trawl::engine
