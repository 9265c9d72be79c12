// QuantizeLinear, DequantizeLinear, and the two fused: rounding to the quantised grid while staying
// in f32.
#include "engine/ops/operands.h"
#include "engine/ops/tables.h"

namespace trawl::engine {
namespace {

Status CheckScale(InferContext& c) {
  TRAWL_TRY(c.RequireDType(1, {DType::kF32}));
  TRAWL_ASSIGN([[maybe_unused]] const size_t axis, QuantizationAxis(c));
  if (!c.HasInput(2) || c.shape(2) == c.shape(1)) return OkStatus();
  // Some exporters write one of them as a scalar and the other as [1].
  if (CheckedElementCount(c.shape(1)) == 1 && CheckedElementCount(c.shape(2)) == 1)
    return OkStatus();
  return Error(Code::kInvalidArgument, "scale {} and zero point {} do not agree",
               ToString(c.shape(1)), ToString(c.shape(2)));
}

Status InferQuantize(InferContext& c) {
  TRAWL_TRY(c.RequireDType(0, {DType::kF32}));
  TRAWL_TRY(CheckScale(c));
  if (!c.HasInput(2)) return c.SetOutput(0, DType::kU8, c.shape(0));
  TRAWL_TRY(c.RequireDType(2, {DType::kU8, DType::kI8}));
  return c.SetOutput(0, c.dtype(2), c.shape(0));
}

Status InferDequantize(InferContext& c) {
  TRAWL_TRY(c.RequireDType(0, {DType::kU8, DType::kI8, DType::kI32}));
  TRAWL_TRY(CheckScale(c));
  if (c.HasInput(2)) TRAWL_TRY(c.RequireDType(2, {c.dtype(0)}));
  return c.SetOutput(0, DType::kF32, c.shape(0));
}

Status InferFakeQuantize(InferContext& c) {
  TRAWL_TRY(c.RequireDType(0, {DType::kF32}));
  TRAWL_TRY(c.RequireDType(2, {DType::kU8, DType::kI8}));
  TRAWL_TRY(CheckScale(c));
  return c.SetOutput(0, DType::kF32, c.shape(0));
}

constexpr OpDef kOps[] = {
    {.name = "QuantizeLinear",
     .min_inputs = 2,
     .max_inputs = 3,
     .attributes = "axis",
     .infer = InferQuantize},
    {.name = "DequantizeLinear",
     .min_inputs = 2,
     .max_inputs = 3,
     .attributes = "axis",
     .infer = InferDequantize},
    // DequantizeLinear(QuantizeLinear(x, scale, zero_point), scale, zero_point); with unscaled = 1
    // the quantised number less the zero point, an integer in f32.
    {.name = "FakeQuantize",
     .min_inputs = 3,
     .max_inputs = 3,
     .attributes = "axis unscaled",
     .infer = InferFakeQuantize,
     .internal = true},
};

}  // namespace

std::span<const OpDef> QuantizeOps() { return kOps; }

}  // namespace trawl::engine
