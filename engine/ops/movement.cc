// Operators that move elements of any type: Concat, Split, Slice, Gather, Pad, Transpose, Expand.
#include <algorithm>

#include "engine/limits.h"
#include "engine/ops/dims.h"
#include "engine/ops/operands.h"
#include "engine/ops/tables.h"
#include "engine/strided.h"

namespace trawl::engine {
namespace {

/// Follows contents through an operator that reads element offset + Σ index·strides for each of its
/// output's.
void MoveContents(InferContext& c, const Shape& shape, int64_t offset, const Dims& strides) {
  const SymbolicInts* contents = c.contents(0);
  const auto count = CheckedElementCount(shape);
  if (contents == nullptr || !count || *count > kMaxTrackedElements) return;
  SymbolicInts out;
  ForEachIndex<1>(shape, {strides}, [&](const auto& at) {
    out.push_back((*contents)[static_cast<size_t>(offset + at[0])]);
  });
  c.SetContents(0, std::move(out));
}

Status InferConcat(InferContext& c) {
  if (!c.attributes().Has("axis")) return Error(Code::kInvalidArgument, "it has no axis");
  TRAWL_ASSIGN(const int64_t attribute, c.attributes().Int("axis", 0));
  Shape shape = c.shape(0);
  TRAWL_ASSIGN(const size_t axis, NodeView::Axis(attribute, shape.size()));
  std::optional<SymbolicInts> contents(std::in_place);
  for (size_t i = 0; i < c.input_count(); ++i) {
    TRAWL_TRY(c.RequireDType(i, {c.dtype(0)}));
    Shape next = c.shape(i);
    if (i > 0) {
      const bool same_rank = next.size() == shape.size();
      const int64_t added = same_rank ? next[axis] : 0;
      if (same_rank) next[axis] = shape[axis];
      if (next != shape) {
        return Error(Code::kInvalidArgument, "{} does not join {} along axis {}",
                     ToString(c.shape(i)), ToString(shape), axis);
      }
      if (added != 0 && shape[axis] != 0 && IsBatch(added) != IsBatch(shape[axis])) {
        return Error(Code::kUnimplemented, "joining the batch with other rows is not supported");
      }
      shape[axis] += added;
      if (shape[axis] > kMaxElements || shape[axis] < -kMaxElements) {
        return Error(Code::kResourceExhausted, "the result has more than {} elements",
                     kMaxElements);
      }
    }
    const SymbolicInts* part = c.contents(i);
    if (part == nullptr || shape.size() != 1) contents.reset();
    if (contents) contents->insert(contents->end(), part->begin(), part->end());
  }
  TRAWL_TRY(c.SetOutput(0, c.dtype(0), std::move(shape)));
  if (contents) c.SetContents(0, std::move(*contents));
  return OkStatus();
}

Status InferSplit(InferContext& c) {
  TRAWL_ASSIGN(const int64_t attribute, c.attributes().Int("axis", 0));
  TRAWL_ASSIGN(const size_t axis, NodeView::Axis(attribute, c.shape(0).size()));
  TRAWL_ASSIGN(const auto sizes, SplitSizes(c, axis));
  for (size_t i = 0; i < sizes.size(); ++i) {
    Shape shape = c.shape(0);
    shape[axis] = sizes[i];
    TRAWL_TRY(c.SetOutput(i, c.dtype(0), std::move(shape)));
  }
  return OkStatus();
}

Status InferSlice(InferContext& c) {
  TRAWL_ASSIGN(const auto ranges, SliceRanges(c));
  Shape shape;
  for (const SliceRange& range : ranges) shape.push_back(range.count);
  TRAWL_TRY(c.SetOutput(0, c.dtype(0), std::move(shape)));
  const Dims own = RowMajorStrides(c.shape(0));
  Dims strides{};
  int64_t offset = 0;
  for (size_t i = 0; i < ranges.size(); ++i) {
    strides[i] = own[i] * ranges[i].step;
    offset += own[i] * ranges[i].start;
  }
  MoveContents(c, c.output_shape(0), offset, strides);
  return OkStatus();
}

Status InferGather(InferContext& c) {
  TRAWL_TRY(c.RequireDType(1, {DType::kI64, DType::kI32}));
  const Shape& data = c.shape(0);
  const Shape& indices = c.shape(1);
  TRAWL_ASSIGN(const int64_t attribute, c.attributes().Int("axis", 0));
  TRAWL_ASSIGN(const size_t axis, NodeView::Axis(attribute, data.size()));
  Shape shape(data.begin(), data.begin() + static_cast<std::ptrdiff_t>(axis));
  shape.insert(shape.end(), indices.begin(), indices.end());
  shape.insert(shape.end(), data.begin() + static_cast<std::ptrdiff_t>(axis) + 1, data.end());
  TRAWL_TRY(c.SetOutput(0, c.dtype(0), std::move(shape)));
  const SymbolicInts* source = c.contents(0);
  const SymbolicInts* picked = c.contents(1);
  if (source == nullptr || picked == nullptr || data.size() != 1) return OkStatus();
  SymbolicInts out;
  for (const SymbolicInt index : *picked) {
    if (index.batch != 0) return OkStatus();
    TRAWL_ASSIGN(const size_t i, NodeView::Axis(index.constant, source->size()));
    out.push_back((*source)[i]);
  }
  c.SetContents(0, std::move(out));
  return OkStatus();
}

Status InferPad(InferContext& c) {
  TRAWL_ASSIGN(const PadSpec spec, ReadPads(c));
  if (c.HasInput(2)) {
    TRAWL_TRY(c.RequireDType(2, {c.dtype(0)}));
    if (CheckedElementCount(c.shape(2)) != 1) {
      return Error(Code::kInvalidArgument, "the padding value has shape {}", ToString(c.shape(2)));
    }
  }
  Shape shape = c.shape(0);
  for (size_t i = 0; i < shape.size(); ++i) shape[i] += spec.begin[i] + spec.end[i];
  return c.SetOutput(0, c.dtype(0), std::move(shape));
}

Status InferTranspose(InferContext& c) {
  TRAWL_ASSIGN(const auto perm, Permutation(c));
  Shape shape;
  for (const size_t dim : perm) shape.push_back(c.shape(0)[dim]);
  TRAWL_TRY(c.SetOutput(0, c.dtype(0), shape));
  const Dims own = RowMajorStrides(c.shape(0));
  Dims strides{};
  for (size_t i = 0; i < perm.size(); ++i) strides[i] = own[perm[i]];
  MoveContents(c, shape, 0, strides);
  return OkStatus();
}

Result<Shape> TargetOperand(const InferContext& c, size_t i) {
  TRAWL_TRY(c.RequireDType(i, {DType::kI64, DType::kI32}));
  const SymbolicInts* operand = c.contents(i);
  if (operand == nullptr || c.shape(i).size() != 1) {
    return Error(Code::kUnimplemented, "the target shape is known only at run time");
  }
  Shape shape;
  for (const SymbolicInt entry : *operand) {
    const auto dim = ToDim(entry);
    if (!dim)
      return Error(Code::kInvalidArgument, "entry {} of the target is no dimension", shape.size());
    shape.push_back(*dim);
  }
  return shape;
}

Status InferExpand(InferContext& c) {
  TRAWL_ASSIGN(const Shape target, TargetOperand(c, 1));
  TRAWL_ASSIGN(const Shape shape, BroadcastShapes(c.shape(0), target));
  TRAWL_TRY(c.SetOutput(0, c.dtype(0), shape));
  MoveContents(c, shape, 0, BroadcastStrides(c.shape(0), shape));
  return OkStatus();
}

Status InferConstantOfShape(InferContext& c) {
  TRAWL_ASSIGN(Shape shape, TargetOperand(c, 0));
  const Tensor* value = c.attributes().FindTensor("value");
  if (value == nullptr && c.attributes().Has("value")) {
    return Error(Code::kInvalidArgument, "attribute 'value' is no tensor");
  }
  if (value != nullptr && value->size() != 1) {
    return Error(Code::kInvalidArgument, "the value has shape {}", ToString(value->shape()));
  }
  TRAWL_TRY(c.SetOutput(0, value == nullptr ? DType::kF32 : value->dtype(), shape));
  const auto count = CheckedElementCount(shape);
  if (value != nullptr && value->dtype() == DType::kI64 && count && *count <= kMaxTrackedElements) {
    c.SetContents(0, SymbolicInts(static_cast<size_t>(*count), {value->data<int64_t>()[0], 0}));
  }
  return OkStatus();
}

Status InferReorder(InferContext& c) {
  TRAWL_TRY(c.RequireDType(0, {DType::kF32}));
  return c.SetOutput(0, DType::kF32, c.shape(0));
}

constexpr OpDef kOps[] = {
    {.name = "Concat", .max_inputs = kVariadic, .attributes = "axis", .infer = InferConcat},
    {.name = "Split",
     .max_inputs = 2,
     .max_outputs = kVariadic,
     .attributes = "axis num_outputs",
     .infer = InferSplit},
    {.name = "Slice", .min_inputs = 3, .max_inputs = 5, .infer = InferSlice},
    {.name = "Gather",
     .min_inputs = 2,
     .max_inputs = 2,
     .attributes = "axis",
     .infer = InferGather},
    {.name = "Pad", .min_inputs = 2, .max_inputs = 4, .attributes = "mode", .infer = InferPad},
    {.name = "Transpose", .attributes = "perm", .infer = InferTranspose},
    {.name = "Expand", .min_inputs = 2, .max_inputs = 2, .infer = InferExpand},
    {.name = "ConstantOfShape", .attributes = "value", .infer = InferConstantOfShape},
    // The same numbers in the other layout: which one is said by the values (Value::layout).
    {.name = "Reorder", .infer = InferReorder, .internal = true},
};

}  // namespace

std::span<const OpDef> MovementOps() { return kOps; }

}  // namespace trawl::engine
