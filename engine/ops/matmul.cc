// Gemm and MatMul.
#include <algorithm>

#include "engine/ops/dims.h"
#include "engine/ops/tables.h"

namespace trawl::engine {
namespace {

Status InferGemm(InferContext& c) {
  for (size_t i = 0; i < c.input_count(); ++i) {
    if (c.HasInput(i)) TRAWL_TRY(c.RequireDType(i, {DType::kF32}));
  }
  const Shape& a = c.shape(0);
  const Shape& b = c.shape(1);
  if (a.size() != 2 || b.size() != 2) {
    return Error(Code::kInvalidArgument, "{} and {} are not matrices", ToString(a), ToString(b));
  }
  TRAWL_ASSIGN(const int64_t trans_a, c.attributes().Int("transA", 0));
  TRAWL_ASSIGN(const int64_t trans_b, c.attributes().Int("transB", 0));
  for (const char* name : {"alpha", "beta"}) {
    TRAWL_ASSIGN([[maybe_unused]] const float value, c.attributes().Float(name, 1));
  }
  const int64_t m = a[trans_a ? 1 : 0], k = a[trans_a ? 0 : 1];
  const int64_t n = b[trans_b ? 0 : 1];
  if (k != b[trans_b ? 1 : 0] || IsBatch(k)) {
    return Error(Code::kInvalidArgument, "matrices {} and {} do not multiply", ToString(a),
                 ToString(b));
  }
  if (c.HasInput(2) && !BroadcastsTo(c.shape(2), {m, n})) {
    return Error(Code::kInvalidArgument, "c {} does not broadcast to {}", ToString(c.shape(2)),
                 ToString(Shape{m, n}));
  }
  return c.SetOutput(0, DType::kF32, {m, n});
}

Status InferMatMul(InferContext& c) {
  TRAWL_TRY(c.RequireDType(0, {DType::kF32}));
  TRAWL_TRY(c.RequireDType(1, {DType::kF32}));
  Shape a = c.shape(0);
  Shape b = c.shape(1);
  if (a.empty() || b.empty()) return Error(Code::kInvalidArgument, "an operand is a scalar");
  // numpy's rule: a vector is a row on the left and a column on the right, and its dimension leaves
  // the result.
  const bool row = a.size() == 1, column = b.size() == 1;
  if (row) a.insert(a.begin(), 1);
  if (column) b.push_back(1);
  const int64_t k = a.back();
  if (k != b[b.size() - 2] || IsBatch(k)) {
    return Error(Code::kInvalidArgument, "{} and {} do not multiply", ToString(c.shape(0)),
                 ToString(c.shape(1)));
  }
  TRAWL_ASSIGN(Shape out,
               BroadcastShapes(Shape(a.begin(), a.end() - 2), Shape(b.begin(), b.end() - 2)));
  if (!row) out.push_back(a[a.size() - 2]);
  if (!column) out.push_back(b.back());
  return c.SetOutput(0, DType::kF32, std::move(out));
}

constexpr OpDef kOps[] = {
    {.name = "Gemm",
     .min_inputs = 2,
     .max_inputs = 3,
     .attributes = "alpha beta transA transB",
     .infer = InferGemm},
    // act(alpha · a · b + beta · c).
    {.name = "FusedGemm",
     .min_inputs = 2,
     .max_inputs = 3,
     .attributes = "alpha beta transA transB activation activation_alpha activation_beta",
     .infer = InferGemm,
     .internal = true},
    {.name = "MatMul", .min_inputs = 2, .max_inputs = 2, .infer = InferMatMul},
};

}  // namespace

std::span<const OpDef> MatMulOps() { return kOps; }

}  // namespace trawl::engine
