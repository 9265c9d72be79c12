// Operators on quantised numbers, made by the pass use_integers from islands of DequantizeLinear,
// an operator of f32 and QuantizeLinear.
#include "engine/ops/quantized.h"

#include <algorithm>

#include "engine/ops.h"
#include "engine/ops/dims.h"
#include "engine/ops/tables.h"
#include "engine/ops/window.h"

namespace trawl::engine {
namespace {

Status CheckWeights(const InferContext& c) {
  TRAWL_TRY(c.RequireDType(0, {DType::kU8}));
  TRAWL_TRY(c.RequireDType(1, {DType::kI8}));
  for (const size_t i : {size_t{2}, size_t{3}}) {
    TRAWL_TRY(c.RequireDType(i, {DType::kF32}));
    if (c.shape(i) != Shape{c.shape(1)[0]}) {
      return Error(Code::kInvalidArgument, "{} of shape {} does not fit weights {}",
                   i == 2 ? "multiplier" : "shift", ToString(c.shape(i)), ToString(c.shape(1)));
    }
  }
  return OkStatus();
}

Status InferQuantizedConv(InferContext& c) {
  TRAWL_TRY(CheckWeights(c));
  const Shape &x = c.shape(0), &w = c.shape(1);
  TRAWL_ASSIGN(const Window window, ConvWindow(c.graph(), c.node()));
  Shape shape = x;
  shape[1] = w[0];
  for (size_t d = 2; d < shape.size(); ++d) {
    shape[d] = window.output[Window::kMaxSpatial - shape.size() + d];
  }
  if (c.HasInput(4)) {
    TRAWL_TRY(c.RequireDType(4, {DType::kU8}));
    if (c.shape(4) != shape) {
      return Error(Code::kInvalidArgument, "residual {} differs from the output {}",
                   ToString(c.shape(4)), ToString(shape));
    }
  }
  return c.SetOutput(0, DType::kU8, std::move(shape));
}

Status InferQuantizedGemm(InferContext& c) {
  TRAWL_TRY(CheckWeights(c));
  const Shape &x = c.shape(0), &w = c.shape(1);
  if (x.size() != 2 || w.size() != 2 || x[1] != w[1]) {
    return Error(Code::kInvalidArgument, "{} does not fit weights {}", ToString(x), ToString(w));
  }
  TRAWL_ASSIGN(const int64_t to_float, c.attributes().Int("to_float", 0));
  return c.SetOutput(0, to_float != 0 ? DType::kF32 : DType::kU8, {x[0], w[0]});
}

Status InferQuantizedAdd(InferContext& c) {
  TRAWL_TRY(c.RequireDType(0, {DType::kU8}));
  TRAWL_TRY(c.RequireDType(1, {DType::kU8}));
  if (c.shape(0) != c.shape(1)) {
    return Error(Code::kInvalidArgument, "{} and {} differ", ToString(c.shape(0)),
                 ToString(c.shape(1)));
  }
  return c.SetOutput(0, DType::kU8, c.shape(0));
}

Status InferQuantizedPool(InferContext& c) {
  TRAWL_TRY(c.RequireDType(0, {DType::kU8}));
  TRAWL_ASSIGN(const Window window, PoolWindow(c.graph(), c.node()));
  Shape shape = c.shape(0);
  for (size_t d = 2; d < shape.size(); ++d) {
    shape[d] = window.output[Window::kMaxSpatial - shape.size() + d];
  }
  return c.SetOutput(0, DType::kU8, std::move(shape));
}

Status InferQuantizedGlobalPool(InferContext& c) {
  TRAWL_TRY(c.RequireDType(0, {DType::kU8}));
  Shape shape = c.shape(0);
  std::fill(shape.begin() + 2, shape.end(), 1);
  TRAWL_ASSIGN(const int64_t to_float, c.attributes().Int("to_float", 0));
  return c.SetOutput(0, to_float != 0 ? DType::kF32 : DType::kU8, std::move(shape));
}

Status InferReorderBytes(InferContext& c) {
  TRAWL_TRY(c.RequireDType(0, {DType::kU8}));
  return c.SetOutput(0, DType::kU8, c.shape(0));
}

Status InferQuantizedConcat(InferContext& c) {
  Shape shape = c.shape(0);
  shape[1] = 0;
  for (size_t i = 0; i < c.input_count(); ++i) {
    TRAWL_TRY(c.RequireDType(i, {DType::kU8}));
    Shape other = c.shape(i);
    if (other.size() != shape.size()) {
      return Error(Code::kInvalidArgument, "{} and {} differ", ToString(c.shape(0)),
                   ToString(other));
    }
    shape[1] += other[1];
    other[1] = shape[1];
    if (other != shape) {
      return Error(Code::kInvalidArgument, "{} and {} differ", ToString(c.shape(0)),
                   ToString(c.shape(i)));
    }
  }
  return c.SetOutput(0, DType::kU8, std::move(shape));
}

constexpr OpDef kOps[] = {
    // x, weights, multiplier and shift by channel, residual?; QuantizedProduct.
    {.name = "QuantizedConv",
     .min_inputs = 4,
     .max_inputs = 5,
     .attributes = "auto_pad dilations group kernel_shape pads strides zero_point weight_offset "
                   "low high joins a_scale b_scale sum_shift sum_low sum_high",
     .infer = InferQuantizedConv,
     .internal = true},
    // x [N, K], weights [M, K], multiplier, shift. With to_float the result is not rounded.
    {.name = "QuantizedGemm",
     .min_inputs = 4,
     .max_inputs = 4,
     .attributes = "zero_point weight_offset low high to_float a_scale b_scale sum_shift sum_low "
                   "sum_high",
     .infer = InferQuantizedGemm,
     .internal = true},
    {.name = "QuantizedAdd",
     .min_inputs = 2,
     .max_inputs = 2,
     .attributes = "a_scale b_scale sum_shift sum_low sum_high",
     .infer = InferQuantizedAdd,
     .internal = true},
    {.name = "QuantizedMaxPool",
     .attributes = "auto_pad ceil_mode dilations kernel_shape pads storage_order strides",
     .infer = InferQuantizedPool,
     .internal = true},
    // The mean, scaled and shifted: a_scale, sum_shift, sum_low and sum_high; b_scale is 0. With
    // to_float the result is not rounded.
    {.name = "QuantizedGlobalAveragePool",
     .attributes = "to_float a_scale b_scale sum_shift sum_low sum_high",
     .infer = InferQuantizedGlobalPool,
     .internal = true},
    // To and from Layout::kInterleaved.
    {.name = "ReorderBytes", .infer = InferReorderBytes, .internal = true},
    // Along the channels. Input i is first mapped to the output's grid: table [256 · inputs].
    {.name = "QuantizedConcat",
     .max_inputs = kVariadic,
     .attributes = "table",
     .infer = InferQuantizedConcat,
     .internal = true},
};

}  // namespace

void SetSum(const QuantizedSum& sum, Attributes& attributes) {
  attributes.Set("a_scale", sum.a_scale);
  attributes.Set("b_scale", sum.b_scale);
  attributes.Set("sum_shift", sum.shift);
  attributes.Set("sum_low", int64_t{sum.low});
  attributes.Set("sum_high", int64_t{sum.high});
}

Result<QuantizedSum> GetSum(const Attributes& attributes) {
  QuantizedSum sum;
  TRAWL_ASSIGN(sum.a_scale, attributes.Float("a_scale", 1));
  TRAWL_ASSIGN(sum.b_scale, attributes.Float("b_scale", 0));
  TRAWL_ASSIGN(sum.shift, attributes.Float("sum_shift", 0));
  TRAWL_ASSIGN(const int64_t low, attributes.Int("sum_low", 0));
  TRAWL_ASSIGN(const int64_t high, attributes.Int("sum_high", 255));
  sum.low = static_cast<int>(low);
  sum.high = static_cast<int>(high);
  return sum;
}

void SetProduct(const QuantizedProduct& product, Attributes& attributes) {
  attributes.Set("zero_point", int64_t{product.zero_point});
  attributes.Set("weight_offset", int64_t{product.weight_offset});
  attributes.Set("low", int64_t{product.low});
  attributes.Set("high", int64_t{product.high});
  if (product.joins) attributes.Set("joins", int64_t{1});
}

Result<QuantizedProduct> GetProduct(const Attributes& attributes) {
  QuantizedProduct product;
  TRAWL_ASSIGN(const int64_t zero_point, attributes.Int("zero_point", 0));
  TRAWL_ASSIGN(const int64_t offset, attributes.Int("weight_offset", 0));
  TRAWL_ASSIGN(const int64_t low, attributes.Int("low", 0));
  TRAWL_ASSIGN(const int64_t high, attributes.Int("high", 255));
  TRAWL_ASSIGN(const int64_t joins, attributes.Int("joins", 0));
  TRAWL_ASSIGN(product.sum, GetSum(attributes));
  product.zero_point = static_cast<int>(zero_point);
  product.weight_offset = static_cast<int>(offset);
  product.joins = joins != 0;
  product.low = static_cast<int>(low);
  product.high = static_cast<int>(high);
  return product;
}

std::span<const OpDef> QuantizedOps() { return kOps; }

}  // namespace trawl::engine
