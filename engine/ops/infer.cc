// Shape inference over a graph: InferContext, and the walk that calls each operator's OpDef::infer.
#include <algorithm>
#include <string_view>

#include "engine/limits.h"
#include "engine/ops.h"
#include "engine/ops/dims.h"

namespace trawl::engine {
namespace {

Status CheckShape(const Shape& shape) {
  if (shape.size() > kMaxRank) {
    return Error(Code::kUnimplemented, "shape {} has {} dimensions; at most {} are supported",
                 ToString(shape), shape.size(), kMaxRank);
  }
  int64_t count = 1;
  int batches = 0;
  for (const int64_t dim : shape) {
    // Dimension by dimension, so that neither a zero nor an overflow hides an absurd one.
    if (dim > kMaxElements || dim < -kMaxElements || count > kMaxElements) {
      return Error(Code::kResourceExhausted, "shape {} has more than {} elements", ToString(shape),
                   kMaxElements);
    }
    batches += IsBatch(dim) ? 1 : 0;
    count *= IsBatch(dim) ? -dim : std::max<int64_t>(dim, 1);
  }
  if (count > kMaxElements) {
    return Error(Code::kResourceExhausted, "shape {} has more than {} elements", ToString(shape),
                 kMaxElements);
  }
  if (batches > 1) {
    return Error(Code::kUnimplemented, "shape {} grows with the square of the batch",
                 ToString(shape));
  }
  return OkStatus();
}

template <class T>
SymbolicInts Widen(std::span<const T> values) {
  SymbolicInts contents;
  for (const T value : values) contents.push_back({static_cast<int64_t>(value), 0});
  return contents;
}

std::optional<SymbolicInts> ConstantContents(const Tensor& tensor) {
  if (tensor.size() > kMaxTrackedElements) return std::nullopt;
  if (tensor.dtype() == DType::kI64) return Widen(tensor.data<int64_t>());
  if (tensor.dtype() == DType::kI32) return Widen(tensor.data<int32_t>());
  return std::nullopt;
}

Status CheckAttributes(const Node& node, std::string_view allowed) {
  for (const auto& [name, value] : node.attributes.all()) {
    bool known = false;
    for (std::string_view rest = allowed; !rest.empty() && !known;) {
      const size_t end = std::min(rest.find(' '), rest.size());
      known = rest.substr(0, end) == name;
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    if (!known) return Error(Code::kUnimplemented, "attribute '{}' is not supported", name);
  }
  return OkStatus();
}

Status InferNode(Graph& graph, const Node& node, ContentsTable& contents, bool from_file) {
  const OpDef* op = FindOp(node.op);
  if (op == nullptr || (op->internal && from_file)) {
    return Error(Code::kUnimplemented, "the operator is not supported");
  }
  if (node.inputs.size() < op->min_inputs || node.inputs.size() > op->max_inputs) {
    return Error(Code::kInvalidArgument, "it has {} inputs", node.inputs.size());
  }
  InferContext context(graph, node, contents);
  // Variadic operators have no optional inputs among the variadic ones.
  const size_t required = op->max_inputs == kVariadic ? node.inputs.size() : op->min_inputs;
  for (size_t i = 0; i < required; ++i) {
    if (!context.HasInput(i)) return Error(Code::kInvalidArgument, "input {} is missing", i);
  }
  if (!context.WantsOutput(0) && op->max_outputs != kVariadic) {
    return Error(Code::kInvalidArgument, "it has no output");
  }
  for (size_t i = op->max_outputs; i < node.outputs.size(); ++i) {
    if (context.WantsOutput(i)) return Error(Code::kUnimplemented, "output {} is not supported", i);
  }
  TRAWL_TRY(CheckAttributes(node, op->attributes));
  return op->infer(context);
}

}  // namespace

const Tensor* NodeView::constant(size_t i) const {
  if (!HasInput(i)) return nullptr;
  const Value& value = graph_.value(node_.inputs[i]);
  return value.constant ? &*value.constant : nullptr;
}

const SymbolicInts* NodeView::contents(size_t i) const {
  if (!HasInput(i)) return nullptr;
  const auto& contents = contents_[static_cast<size_t>(node_.inputs[i])];
  return contents ? &*contents : nullptr;
}

Result<std::vector<int64_t>> NodeView::Operand(size_t i, std::string_view what) const {
  TRAWL_TRY(RequireDType(i, {DType::kI64, DType::kI32}));
  const SymbolicInts* known = contents(i);
  if (known == nullptr) {
    return Error(Code::kUnimplemented, "{} are known only at run time", what);
  }
  std::vector<int64_t> values;
  for (const SymbolicInt value : *known) {
    if (value.batch != 0) return Error(Code::kUnimplemented, "{} depend on the batch", what);
    values.push_back(value.constant);
  }
  return values;
}

Status NodeView::RequireDType(size_t i, std::initializer_list<DType> allowed) const {
  if (std::find(allowed.begin(), allowed.end(), dtype(i)) != allowed.end()) return OkStatus();
  return Error(Code::kUnimplemented, "input {} is of type {}, which is not supported here", i,
               ToString(dtype(i)));
}

Result<size_t> NodeView::Axis(int64_t axis, size_t rank) {
  const auto signed_rank = static_cast<int64_t>(rank);
  if (axis < -signed_rank || axis >= signed_rank) {
    return Error(Code::kInvalidArgument, "axis {} is out of range for {} dimensions", axis, rank);
  }
  return static_cast<size_t>(axis < 0 ? axis + signed_rank : axis);
}

Status InferContext::SetOutput(size_t i, DType dtype, Shape shape) {
  TRAWL_TRY(CheckShape(shape));
  if (!WantsOutput(i)) return OkStatus();
  Value& value = mutable_graph_.value(node().outputs[i]);
  value.dtype = dtype;
  value.shape = std::move(shape);
  return OkStatus();
}

void InferContext::SetContents(size_t i, SymbolicInts contents) {
  if (!WantsOutput(i) || contents.size() > kMaxTrackedElements) return;
  mutable_contents_[static_cast<size_t>(node().outputs[i])] = std::move(contents);
}

Result<ContentsTable> InferShapes(Graph& graph, bool from_file) {
  ContentsTable contents(graph.value_count());
  for (size_t i = 0; i < graph.value_count(); ++i) {
    const Value& value = graph.value(static_cast<ValueId>(i));
    if (!value.constant) continue;
    if (value.constant->shape().size() > kMaxRank) {
      return Error(Code::kUnimplemented, "constant '{}' has more than {} dimensions", value.name,
                   kMaxRank);
    }
    contents[i] = ConstantContents(*value.constant);
  }
  for (const ValueId id : graph.inputs()) {
    const Value& input = graph.value(id);
    if (!input.shape) return Error(Code::kInvalidArgument, "input '{}' has no shape", input.name);
    if (const Status status = CheckShape(*input.shape); !status.ok()) {
      return Annotate(status, "input '{}'", input.name);
    }
  }
  for (const Node& node : graph.nodes()) {
    if (const Status status = InferNode(graph, node, contents, from_file); !status.ok()) {
      return Annotate(status, "node '{}' ({})", node.name, node.op);
    }
  }
  return contents;
}

}  // namespace trawl::engine
