// Operators that change only the shape, and those that read it.
#include <algorithm>

#include "engine/ops/dims.h"
#include "engine/ops/tables.h"

namespace trawl::engine {
namespace {

/// `target`, with entry `inferred` (-1: none) filled so that it holds as many elements as `input`.
Result<Shape> FitTarget(const Shape& input, Shape target, std::ptrdiff_t inferred) {
  TRAWL_ASSIGN(const int64_t total, DimProduct(input));
  if (inferred < 0) {
    TRAWL_ASSIGN(const int64_t wanted, DimProduct(target));
    if (wanted == total) return target;
    return Error(Code::kInvalidArgument, "{} does not reshape to {}", ToString(input),
                 ToString(target));
  }
  target[static_cast<size_t>(inferred)] = 1;
  TRAWL_ASSIGN(const int64_t known, DimProduct(target));
  // kN over bN is a number and kN over b is k/b·N; the quotient's sign is the other way round.
  const bool fits = known != 0 && total % known == 0 && !(IsBatch(known) && total > 0);
  if (!fits) {
    return Error(Code::kInvalidArgument, "{} does not reshape to {} with dimension {} free",
                 ToString(input), ToString(target), inferred);
  }
  target[static_cast<size_t>(inferred)] = total / known;
  return target;
}

Result<Shape> ReshapeTarget(const Shape& input, const SymbolicInts& operand, bool allow_zero) {
  Shape target;
  std::ptrdiff_t inferred = -1;
  for (size_t i = 0; i < operand.size(); ++i) {
    const SymbolicInt entry = operand[i];
    if (entry == SymbolicInt{0, 0} && !allow_zero) {
      if (i >= input.size())
        return Error(Code::kInvalidArgument, "entry {} copies no dimension", i);
      target.push_back(input[i]);
    } else if (entry == SymbolicInt{-1, 0}) {
      if (inferred >= 0) return Error(Code::kInvalidArgument, "two dimensions are free");
      inferred = static_cast<std::ptrdiff_t>(i);
      target.push_back(1);
    } else if (const auto dim = ToDim(entry)) {
      target.push_back(*dim);
    } else {
      return Error(Code::kInvalidArgument, "entry {} is no dimension", i);
    }
  }
  // A file written for batch 1 says [1, …] where it means the batch.
  const bool fixed_batch = !target.empty() && operand[0] == SymbolicInt{1, 0} && !input.empty() &&
                           IsBatch(input[0]) && std::none_of(target.begin(), target.end(), IsBatch);
  if (fixed_batch) {
    Shape lifted = target;
    lifted[0] = input[0];
    if (auto shape = FitTarget(input, std::move(lifted), inferred)) return shape;
  }
  return FitTarget(input, std::move(target), inferred);
}

void PassContents(InferContext& c) {
  if (const SymbolicInts* contents = c.contents(0)) c.SetContents(0, *contents);
}

Status InferReshape(InferContext& c) {
  TRAWL_TRY(c.RequireDType(1, {DType::kI64, DType::kI32}));
  const SymbolicInts* operand = c.contents(1);
  if (operand == nullptr) {
    return Error(Code::kUnimplemented, "the target shape is known only at run time");
  }
  if (c.shape(1).size() != 1) return Error(Code::kInvalidArgument, "the target shape is no vector");
  TRAWL_ASSIGN(const int64_t allow_zero, c.attributes().Int("allowzero", 0));
  TRAWL_ASSIGN(Shape shape, ReshapeTarget(c.shape(0), *operand, allow_zero != 0));
  TRAWL_TRY(c.SetOutput(0, c.dtype(0), std::move(shape)));
  PassContents(c);
  return OkStatus();
}

Status InferFlatten(InferContext& c) {
  const Shape& x = c.shape(0);
  TRAWL_ASSIGN(int64_t axis, c.attributes().Int("axis", 1));
  const auto rank = static_cast<int64_t>(x.size());
  if (axis < -rank || axis > rank) {
    return Error(Code::kInvalidArgument, "axis {} is out of range for {} dimensions", axis, rank);
  }
  if (axis < 0) axis += rank;
  const std::span<const int64_t> dims(x);
  TRAWL_ASSIGN(const int64_t rows, DimProduct(dims.first(static_cast<size_t>(axis))));
  TRAWL_ASSIGN(const int64_t columns, DimProduct(dims.subspan(static_cast<size_t>(axis))));
  return c.SetOutput(0, c.dtype(0), {rows, columns});
}

Status InferSqueeze(InferContext& c) {
  const Shape& x = c.shape(0);
  std::vector<bool> drop(x.size(), false);
  if (c.HasInput(1)) {
    TRAWL_ASSIGN(const auto axes, c.Operand(1, "axes"));
    for (const int64_t value : axes) {
      TRAWL_ASSIGN(const size_t axis, NodeView::Axis(value, x.size()));
      if (x[axis] != 1) {
        return Error(Code::kInvalidArgument, "dimension {} of {} is not 1", axis, ToString(x));
      }
      drop[axis] = true;
    }
  } else {
    std::transform(x.begin(), x.end(), drop.begin(), [](int64_t dim) { return dim == 1; });
  }
  Shape shape;
  for (size_t i = 0; i < x.size(); ++i) {
    if (!drop[i]) shape.push_back(x[i]);
  }
  TRAWL_TRY(c.SetOutput(0, c.dtype(0), std::move(shape)));
  PassContents(c);
  return OkStatus();
}

Status InferUnsqueeze(InferContext& c) {
  TRAWL_ASSIGN(const auto axes, c.Operand(1, "axes"));
  const size_t rank = c.shape(0).size() + axes.size();
  std::vector<bool> fresh(rank, false);
  for (const int64_t value : axes) {
    TRAWL_ASSIGN(const size_t axis, NodeView::Axis(value, rank));
    if (fresh[axis]) return Error(Code::kInvalidArgument, "axis {} is given twice", axis);
    fresh[axis] = true;
  }
  Shape shape;
  auto next = c.shape(0).begin();
  for (const bool one : fresh) shape.push_back(one ? 1 : *next++);
  TRAWL_TRY(c.SetOutput(0, c.dtype(0), std::move(shape)));
  PassContents(c);
  return OkStatus();
}

Status InferShape(InferContext& c) {
  const Shape& x = c.shape(0);
  const auto rank = static_cast<int64_t>(x.size());
  TRAWL_ASSIGN(int64_t start, c.attributes().Int("start", 0));
  TRAWL_ASSIGN(int64_t end, c.attributes().Int("end", rank));
  start = std::clamp<int64_t>(start < -rank ? 0 : (start < 0 ? start + rank : start), 0, rank);
  end = std::clamp<int64_t>(end < -rank ? 0 : (end < 0 ? end + rank : end), start, rank);
  TRAWL_TRY(c.SetOutput(0, DType::kI64, {end - start}));
  SymbolicInts contents;
  for (int64_t i = start; i < end; ++i) contents.push_back(FromDim(x[static_cast<size_t>(i)]));
  c.SetContents(0, std::move(contents));
  return OkStatus();
}

Status InferSize(InferContext& c) {
  TRAWL_ASSIGN(const int64_t size, DimProduct(c.shape(0)));
  TRAWL_TRY(c.SetOutput(0, DType::kI64, {}));
  c.SetContents(0, {FromDim(size)});
  return OkStatus();
}

constexpr OpDef kOps[] = {
    {.name = "Reshape",
     .min_inputs = 2,
     .max_inputs = 2,
     .attributes = "allowzero",
     .infer = InferReshape},
    {.name = "Flatten", .attributes = "axis", .infer = InferFlatten},
    {.name = "Squeeze", .max_inputs = 2, .infer = InferSqueeze},
    {.name = "Unsqueeze", .min_inputs = 2, .max_inputs = 2, .infer = InferUnsqueeze},
    {.name = "Shape", .attributes = "end start", .infer = InferShape},
    {.name = "Size", .infer = InferSize},
};

}  // namespace

std::span<const OpDef> ReshapeOps() { return kOps; }

}  // namespace trawl::engine
