// Reductions over chosen dimensions.
#include "engine/ops/operands.h"
#include "engine/ops/tables.h"

namespace trawl::engine {
namespace {

void ReduceContents(InferContext& c) {
  const SymbolicInts* contents = c.contents(0);
  if (contents == nullptr || c.node().op != "ReduceProd" || c.shape(0).size() != 1) return;
  SymbolicInt product{1, 0};
  for (const SymbolicInt factor : *contents) {
    // (c + bN) times a plain number; products of two batches and overflows are not followed.
    const SymbolicInt a = product.batch == 0 ? product : factor;
    const SymbolicInt b = product.batch == 0 ? factor : product;
    if (a.batch != 0 || __builtin_mul_overflow(a.constant, b.constant, &product.constant) ||
        __builtin_mul_overflow(a.constant, b.batch, &product.batch)) {
      return;
    }
  }
  c.SetContents(0, {product});
}

Status InferReduce(InferContext& c) {
  TRAWL_TRY(c.RequireDType(0, {DType::kF32, DType::kI64, DType::kI32}));
  TRAWL_ASSIGN(const auto reduced, ReducedDims(c));
  TRAWL_ASSIGN(const int64_t keep, c.attributes().Int("keepdims", 1));
  Shape shape;
  bool any = false;
  for (size_t i = 0; i < reduced.size(); ++i) {
    if (!reduced[i]) {
      shape.push_back(c.shape(0)[i]);
    } else if (keep != 0) {
      shape.push_back(1);
    }
    any = any || reduced[i];
  }
  TRAWL_TRY(c.SetOutput(0, c.dtype(0), std::move(shape)));
  if (any) ReduceContents(c);
  return OkStatus();
}

Status InferReduceMean(InferContext& c) {
  TRAWL_TRY(c.RequireDType(0, {DType::kF32}));
  return InferReduce(c);
}

constexpr OpDef Reduce(std::string_view name, Status (*infer)(InferContext&) = InferReduce) {
  return {
      .name = name, .max_inputs = 2, .attributes = "keepdims noop_with_empty_axes", .infer = infer};
}

constexpr OpDef kOps[] = {Reduce("ReduceMean", InferReduceMean), Reduce("ReduceSum"),
                          Reduce("ReduceMax"), Reduce("ReduceMin"), Reduce("ReduceProd")};

}  // namespace

std::span<const OpDef> ReduceOps() { return kOps; }

}  // namespace trawl::engine
