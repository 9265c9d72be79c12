#include "engine/ops/operands.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

#include "engine/limits.h"
#include "engine/ops/dims.h"

namespace trawl::engine {
namespace {

/// The axes operand at input `i`, or 0 … count-1 when it is absent; each in range, none twice.
Result<std::vector<size_t>> AxesOperand(const NodeView& node, size_t i, size_t rank, size_t count) {
  std::vector<size_t> axes(count);
  std::iota(axes.begin(), axes.end(), size_t{0});
  if (node.HasInput(i)) {
    TRAWL_ASSIGN(const auto values, node.Operand(i, "axes"));
    axes.clear();
    for (const int64_t value : values) {
      TRAWL_ASSIGN(const size_t axis, NodeView::Axis(value, rank));
      if (std::find(axes.begin(), axes.end(), axis) != axes.end()) {
        return Error(Code::kInvalidArgument, "axis {} is given twice", axis);
      }
      axes.push_back(axis);
    }
  }
  if (axes.size() != count || count > rank) {
    return Error(Code::kInvalidArgument, "{} axes of {} dimensions do not fit {} values",
                 axes.size(), rank, count);
  }
  return axes;
}

/// ONNX's and numpy's rule for one dimension: negative indices count from the end, then all is
/// clamped.
SliceRange ClampRange(int64_t dim, int64_t start, int64_t end, int64_t step) {
  const auto wrap = [dim](int64_t index) { return index < 0 ? index + dim : index; };
  // Far-away ends (INT64_MAX stands for "to the end") are cut before they can overflow.
  const int64_t low = -dim - 1, high = dim;
  start = wrap(std::clamp(start, low, high));
  end = wrap(std::clamp(end, low, high));
  if (step > 0) {
    start = std::clamp<int64_t>(start, 0, dim);
    end = std::clamp<int64_t>(end, 0, dim);
    return {start, step, std::max<int64_t>(0, (end - start + step - 1) / step)};
  }
  start = std::clamp<int64_t>(start, -1, dim - 1);
  end = std::clamp<int64_t>(end, -1, dim - 1);
  return {start, step, std::max<int64_t>(0, (start - end - step - 1) / -step)};
}

}  // namespace

Result<std::vector<SliceRange>> SliceRanges(const NodeView& node) {
  const Shape& shape = node.shape(0);
  TRAWL_ASSIGN(const auto starts, node.Operand(1, "starts"));
  TRAWL_ASSIGN(const auto ends, node.Operand(2, "ends"));
  std::vector<int64_t> steps(starts.size(), 1);
  if (node.HasInput(4)) {
    TRAWL_ASSIGN(steps, node.Operand(4, "steps"));
  }
  TRAWL_ASSIGN(const auto axes, AxesOperand(node, 3, shape.size(), starts.size()));
  if (ends.size() != starts.size() || steps.size() != starts.size()) {
    return Error(Code::kInvalidArgument, "{} starts, {} ends and {} steps do not agree",
                 starts.size(), ends.size(), steps.size());
  }
  std::vector<SliceRange> ranges;
  for (const int64_t dim : shape) ranges.push_back({0, 1, dim});
  for (size_t i = 0; i < axes.size(); ++i) {
    const int64_t dim = shape[axes[i]];
    if (steps[i] == 0 || steps[i] < -kMaxElements || steps[i] > kMaxElements) {
      return Error(Code::kInvalidArgument, "a step of {} is not possible", steps[i]);
    }
    if (IsBatch(dim)) {
      if (starts[i] == 0 && ends[i] >= kMaxElements && steps[i] == 1) continue;
      return Error(Code::kUnimplemented, "a slice of the batch is not supported");
    }
    ranges[axes[i]] = ClampRange(dim, starts[i], ends[i], steps[i]);
  }
  return ranges;
}

Result<PadSpec> ReadPads(const NodeView& node) {
  const size_t rank = node.shape(0).size();
  PadSpec spec{PadMode::kConstant, std::vector<int64_t>(rank), std::vector<int64_t>(rank)};
  TRAWL_ASSIGN(const std::string mode, node.attributes().String("mode", "constant"));
  if (mode == "reflect") {
    spec.mode = PadMode::kReflect;
  } else if (mode == "edge") {
    spec.mode = PadMode::kEdge;
  } else if (mode != "constant") {
    return Error(Code::kUnimplemented, "mode '{}' is not supported", mode);
  }
  TRAWL_ASSIGN(const auto pads, node.Operand(1, "pads"));
  if (pads.size() % 2 != 0)
    return Error(Code::kInvalidArgument, "{} pads are no pairs", pads.size());
  const size_t count = pads.size() / 2;
  if (!node.HasInput(3) && count != rank) {
    return Error(Code::kInvalidArgument, "{} pads do not fit {} dimensions", pads.size(), rank);
  }
  TRAWL_ASSIGN(const auto axes, AxesOperand(node, 3, rank, count));
  for (size_t i = 0; i < count; ++i) {
    const int64_t begin = pads[i], end = pads[count + i], dim = node.shape(0)[axes[i]];
    if (begin < 0 || end < 0 || begin > kMaxElements || end > kMaxElements) {
      return Error(Code::kUnimplemented, "pads of {} and {} are not supported", begin, end);
    }
    if (begin == 0 && end == 0) continue;
    if (IsBatch(dim)) return Error(Code::kUnimplemented, "padding the batch is not supported");
    const bool reaches = spec.mode == PadMode::kConstant ||
                         (spec.mode == PadMode::kEdge ? dim > 0 : begin < dim && end < dim);
    if (!reaches) {
      return Error(Code::kInvalidArgument,
                   "pads of {} and {} are too large for a dimension of {} in mode '{}'", begin, end,
                   dim, mode);
    }
    spec.begin[axes[i]] = begin;
    spec.end[axes[i]] = end;
  }
  return spec;
}

Result<std::vector<int64_t>> SplitSizes(const NodeView& node, size_t axis) {
  const int64_t dim = node.shape(0)[axis];
  const auto count = static_cast<int64_t>(node.output_count());
  if (IsBatch(dim)) return Error(Code::kUnimplemented, "splitting the batch is not supported");
  std::vector<int64_t> sizes;
  if (node.HasInput(1)) {
    TRAWL_ASSIGN(sizes, node.Operand(1, "sizes"));
  } else {
    TRAWL_ASSIGN(const int64_t declared, node.attributes().Int("num_outputs", count));
    const int64_t chunk = (dim + count - 1) / count;
    // Only the form of opset 18, which says num_outputs, lets the last part be smaller.
    if (declared != count || (dim % count != 0 && !node.attributes().Has("num_outputs"))) {
      return Error(Code::kInvalidArgument, "a dimension of {} does not split into {} equal parts",
                   dim, declared);
    }
    for (int64_t i = 0; i < count; ++i) {
      sizes.push_back(std::clamp<int64_t>(dim - i * chunk, 0, chunk));
    }
  }
  int64_t sum = 0;
  for (const int64_t size : sizes) {
    if (size < 0 || size > dim)
      return Error(Code::kInvalidArgument, "a part of {} is not possible", size);
    sum += size;
  }
  if (sum != dim || sizes.size() != node.output_count()) {
    return Error(Code::kInvalidArgument, "parts [{}] do not fit a dimension of {} and {} outputs",
                 fmt::join(sizes, ", "), dim, count);
  }
  return sizes;
}

Result<std::vector<size_t>> Permutation(const NodeView& node) {
  const size_t rank = node.shape(0).size();
  std::vector<int64_t> reversed(rank);
  for (size_t i = 0; i < rank; ++i) reversed[i] = static_cast<int64_t>(rank - 1 - i);
  TRAWL_ASSIGN(const auto perm, node.attributes().Ints("perm", reversed));
  std::vector<bool> seen(rank, false);
  std::vector<size_t> out;
  for (const int64_t dim : perm) {
    if (dim < 0 || dim >= static_cast<int64_t>(rank) || seen[static_cast<size_t>(dim)]) break;
    seen[static_cast<size_t>(dim)] = true;
    out.push_back(static_cast<size_t>(dim));
  }
  if (out.size() != rank || perm.size() != rank) {
    return Error(Code::kInvalidArgument, "[{}] is no permutation of {} dimensions",
                 fmt::join(perm, ", "), rank);
  }
  return out;
}

Result<std::vector<bool>> ReducedDims(const NodeView& node) {
  const size_t rank = node.shape(0).size();
  std::vector<int64_t> axes;
  if (node.HasInput(1)) {
    TRAWL_ASSIGN(axes, node.Operand(1, "axes"));
  }
  TRAWL_ASSIGN(const int64_t noop, node.attributes().Int("noop_with_empty_axes", 0));
  if (axes.empty()) return std::vector<bool>(rank, noop == 0);
  std::vector<bool> reduced(rank, false);
  for (const int64_t value : axes) {
    TRAWL_ASSIGN(const size_t axis, NodeView::Axis(value, rank));
    reduced[axis] = true;
  }
  return reduced;
}

Result<size_t> QuantizationAxis(const NodeView& node) {
  const Shape& x = node.shape(0);
  const Shape& scale = node.shape(1);
  if (scale.empty() || scale == Shape{1}) return x.size();
  TRAWL_ASSIGN(const int64_t attribute, node.attributes().Int("axis", 1));
  TRAWL_ASSIGN(const size_t axis, NodeView::Axis(attribute, x.size()));
  if (scale != Shape{x[axis]} || IsBatch(x[axis])) {
    return Error(Code::kInvalidArgument, "scale {} does not fit axis {} of {}", ToString(scale),
                 axis, ToString(x));
  }
  return axis;
}

}  // namespace trawl::engine
