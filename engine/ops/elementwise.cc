// Elementwise operators: unary functions, activations, binary and n-ary arithmetic with
// broadcasting, casts.
#include <algorithm>

#include "engine/ops/dims.h"
#include "engine/ops/tables.h"

namespace trawl::engine {
namespace {

Status InferUnary(InferContext& c) {
  TRAWL_TRY(c.RequireDType(0, {DType::kF32}));
  return c.SetOutput(0, c.dtype(0), c.shape(0));
}

/// Unary functions that shape arithmetic applies to integers, too.
Status InferArithmeticUnary(InferContext& c) {
  TRAWL_TRY(c.RequireDType(0, {DType::kF32, DType::kI64, DType::kI32}));
  return c.SetOutput(0, c.dtype(0), c.shape(0));
}

/// HardSigmoid, Elu …: their attributes must be floats.
Status InferParametricUnary(InferContext& c) {
  for (const char* name : {"alpha", "beta", "gamma"}) {
    TRAWL_ASSIGN([[maybe_unused]] const float value, c.attributes().Float(name, 0));
  }
  return InferUnary(c);
}

Status InferGelu(InferContext& c) {
  TRAWL_ASSIGN(const std::string approximate, c.attributes().String("approximate", "none"));
  if (approximate != "none") {
    return Error(Code::kUnimplemented, "the approximation '{}' is not supported", approximate);
  }
  return InferUnary(c);
}

Status InferPRelu(InferContext& c) {
  TRAWL_TRY(c.RequireDType(0, {DType::kF32}));
  TRAWL_TRY(c.RequireDType(1, {DType::kF32}));
  if (!BroadcastsTo(c.shape(1), c.shape(0))) {
    return Error(Code::kInvalidArgument, "slope {} does not broadcast to {}", ToString(c.shape(1)),
                 ToString(c.shape(0)));
  }
  return c.SetOutput(0, DType::kF32, c.shape(0));
}

Status InferClip(InferContext& c) {
  TRAWL_TRY(c.RequireDType(0, {DType::kF32, DType::kI8, DType::kI32, DType::kI64}));
  for (size_t i = 1; i < 3; ++i) {
    if (!c.HasInput(i)) continue;
    TRAWL_TRY(c.RequireDType(i, {c.dtype(0)}));
    if (const auto size = CheckedElementCount(c.shape(i)); size != 1) {
      return Error(Code::kInvalidArgument, "a bound has shape {}", ToString(c.shape(i)));
    }
  }
  return c.SetOutput(0, c.dtype(0), c.shape(0));
}

/// One element of shape arithmetic; nullopt where the result is not `constant + batch * N` or
/// overflows.
std::optional<SymbolicInt> Combine(std::string_view op, SymbolicInt a, SymbolicInt b) {
  SymbolicInt out;
  if (op == "Add") {
    if (__builtin_add_overflow(a.constant, b.constant, &out.constant) ||
        __builtin_add_overflow(a.batch, b.batch, &out.batch)) {
      return std::nullopt;
    }
    return out;
  }
  if (op == "Sub") {
    if (__builtin_sub_overflow(a.constant, b.constant, &out.constant) ||
        __builtin_sub_overflow(a.batch, b.batch, &out.batch)) {
      return std::nullopt;
    }
    return out;
  }
  if (op == "Mul") {
    if (a.batch != 0) std::swap(a, b);
    if (a.batch != 0 || __builtin_mul_overflow(a.constant, b.constant, &out.constant) ||
        __builtin_mul_overflow(a.constant, b.batch, &out.batch)) {
      return std::nullopt;
    }
    return out;
  }
  if (op == "Div") {
    // Exact in both parts, or plain non-negative numbers: then truncation, C++'s rule, is also
    // ONNX's.
    if (b.batch != 0 || b.constant <= 0) return std::nullopt;
    const bool exact = a.constant % b.constant == 0 && a.batch % b.constant == 0;
    if (!exact && (a.batch != 0 || a.constant < 0)) return std::nullopt;
    return SymbolicInt{a.constant / b.constant, a.batch / b.constant};
  }
  return std::nullopt;
}

/// Follows shape arithmetic: inputs whose contents are known, scalars or vectors of one length
/// (deeper broadcasting does not occur in it). `combine` gets one element of each input and may
/// give up.
template <class Combine>
void CombineContents(InferContext& c, Combine combine) {
  size_t length = 1;
  for (size_t i = 0; i < c.input_count(); ++i) {
    const SymbolicInts* contents = c.contents(i);
    if (contents == nullptr || contents->empty() || c.shape(i).size() > 1) return;
    if (contents->size() != 1) length = contents->size();
  }
  SymbolicInts out;
  for (size_t k = 0; k < length; ++k) {
    std::vector<SymbolicInt> elements;
    for (size_t i = 0; i < c.input_count(); ++i) {
      const SymbolicInts& contents = *c.contents(i);
      elements.push_back(contents[contents.size() == 1 ? 0 : k]);
    }
    const std::optional<SymbolicInt> element = combine(elements);
    if (!element) return;
    out.push_back(*element);
  }
  c.SetContents(0, std::move(out));
}

/// Whether a equals b at every batch; nullopt when that depends on the batch.
std::optional<SymbolicInt> CombineEqual(const std::vector<SymbolicInt>& of) {
  const SymbolicInt a = of[0], b = of[1];
  if (a.batch == b.batch) return SymbolicInt{a.constant == b.constant ? 1 : 0, 0};
  // k·N is positive, so it is never the 0 or -1 that the comparison looks for.
  const bool never = (a.constant == 0 && a.batch > 0 && b.batch == 0 && b.constant <= 0) ||
                     (b.constant == 0 && b.batch > 0 && a.batch == 0 && a.constant <= 0);
  return never ? std::optional(SymbolicInt{0, 0}) : std::nullopt;
}

Status InferBinary(InferContext& c) {
  TRAWL_TRY(c.RequireDType(0, {DType::kF32, DType::kI64, DType::kI32}));
  TRAWL_TRY(c.RequireDType(1, {c.dtype(0)}));
  TRAWL_ASSIGN(Shape shape, BroadcastShapes(c.shape(0), c.shape(1)));
  TRAWL_TRY(c.SetOutput(0, c.dtype(0), std::move(shape)));
  CombineContents(c, [&](const auto& of) { return Combine(c.node().op, of[0], of[1]); });
  return OkStatus();
}

Status InferPow(InferContext& c) {
  TRAWL_TRY(c.RequireDType(0, {DType::kF32}));
  return InferBinary(c);
}

Status InferEqual(InferContext& c) {
  TRAWL_TRY(c.RequireDType(0, {DType::kF32, DType::kI64, DType::kI32}));
  TRAWL_TRY(c.RequireDType(1, {c.dtype(0)}));
  TRAWL_ASSIGN(Shape shape, BroadcastShapes(c.shape(0), c.shape(1)));
  TRAWL_TRY(c.SetOutput(0, DType::kBool, std::move(shape)));
  CombineContents(c, CombineEqual);
  return OkStatus();
}

Status InferWhere(InferContext& c) {
  TRAWL_TRY(c.RequireDType(0, {DType::kBool}));
  TRAWL_TRY(c.RequireDType(1, {DType::kF32, DType::kI64, DType::kI32}));
  TRAWL_TRY(c.RequireDType(2, {c.dtype(1)}));
  TRAWL_ASSIGN(const Shape values, BroadcastShapes(c.shape(1), c.shape(2)));
  TRAWL_ASSIGN(Shape shape, BroadcastShapes(c.shape(0), values));
  TRAWL_TRY(c.SetOutput(0, c.dtype(1), std::move(shape)));
  CombineContents(c, [](const auto& of) -> std::optional<SymbolicInt> {
    return of[0].constant != 0 ? of[1] : of[2];
  });
  return OkStatus();
}

Status InferVariadic(InferContext& c) {
  TRAWL_TRY(c.RequireDType(0, {DType::kF32, DType::kI64, DType::kI32}));
  Shape shape = c.shape(0);
  for (size_t i = 1; i < c.input_count(); ++i) {
    TRAWL_TRY(c.RequireDType(i, {c.dtype(0)}));
    TRAWL_ASSIGN(shape, BroadcastShapes(shape, c.shape(i)));
  }
  return c.SetOutput(0, c.dtype(0), std::move(shape));
}

Status InferFloatVariadic(InferContext& c) {
  TRAWL_TRY(c.RequireDType(0, {DType::kF32}));
  return InferVariadic(c);
}

Status InferCast(InferContext& c) {
  TRAWL_ASSIGN(const std::string to, c.attributes().String("to", ""));
  for (const DType dtype :
       {DType::kF32, DType::kF64, DType::kI8, DType::kU8, DType::kI32, DType::kI64, DType::kBool}) {
    if (ToString(dtype) != to) continue;
    TRAWL_TRY(c.SetOutput(0, dtype, c.shape(0)));
    const bool integral = dtype == DType::kI64 || dtype == DType::kI32;
    if (const SymbolicInts* contents = c.contents(0); contents && integral) {
      c.SetContents(0, *contents);
    }
    return OkStatus();
  }
  return Error(Code::kUnimplemented, "a cast to type '{}' is not supported", to);
}

Status InferIdentity(InferContext& c) {
  TRAWL_TRY(c.SetOutput(0, c.dtype(0), c.shape(0)));
  if (const SymbolicInts* contents = c.contents(0)) c.SetContents(0, *contents);
  return OkStatus();
}

Status InferDropout(InferContext& c) {
  if (c.HasInput(2)) {
    const Tensor* training = c.constant(2);
    const bool off = training != nullptr && training->dtype() == DType::kBool &&
                     training->size() == 1 && !training->data<bool>()[0];
    if (!off) return Error(Code::kUnimplemented, "training mode is not supported");
  }
  TRAWL_TRY(c.SetOutput(1, DType::kBool, c.shape(0)));
  return InferIdentity(c);
}

constexpr OpDef Unary(std::string_view name) { return {.name = name, .infer = InferUnary}; }

constexpr OpDef Parametric(std::string_view name, std::string_view attributes) {
  return {.name = name, .attributes = attributes, .infer = InferParametricUnary};
}

constexpr OpDef Binary(std::string_view name, Status (*infer)(InferContext&) = InferBinary) {
  return {.name = name, .min_inputs = 2, .max_inputs = 2, .infer = infer};
}

constexpr OpDef Variadic(std::string_view name, Status (*infer)(InferContext&)) {
  return {.name = name, .min_inputs = 1, .max_inputs = kVariadic, .infer = infer};
}

constexpr OpDef kOps[] = {
    {.name = "Abs", .infer = InferArithmeticUnary},
    {.name = "Neg", .infer = InferArithmeticUnary},
    Unary("Ceil"),
    Unary("Erf"),
    Unary("Exp"),
    Unary("Floor"),
    Unary("HardSwish"),
    Unary("Log"),
    Unary("Reciprocal"),
    Unary("Relu"),
    Unary("Round"),
    Unary("Sigmoid"),
    Unary("Sign"),
    Unary("Softplus"),
    Unary("Softsign"),
    Unary("Sqrt"),
    Unary("Tanh"),
    Parametric("Celu", "alpha"),
    Parametric("Elu", "alpha"),
    Parametric("HardSigmoid", "alpha beta"),
    Parametric("LeakyRelu", "alpha"),
    Parametric("Selu", "alpha gamma"),
    Parametric("Swish", "alpha"),
    Parametric("ThresholdedRelu", "alpha"),
    {.name = "Gelu", .attributes = "approximate", .infer = InferGelu},
    Binary("PRelu", InferPRelu),
    {.name = "Clip", .min_inputs = 1, .max_inputs = 3, .infer = InferClip},
    Binary("Add"),
    Binary("Sub"),
    Binary("Mul"),
    Binary("Div"),
    Binary("Pow", InferPow),
    Binary("Equal", InferEqual),
    {.name = "Where", .min_inputs = 3, .max_inputs = 3, .infer = InferWhere},
    Variadic("Max", InferVariadic),
    Variadic("Min", InferVariadic),
    Variadic("Sum", InferFloatVariadic),
    Variadic("Mean", InferFloatVariadic),
    {.name = "Cast", .attributes = "to", .infer = InferCast},
    {.name = "Identity", .infer = InferIdentity},
    {.name = "Dropout", .max_inputs = 3, .max_outputs = 2, .infer = InferDropout},
};

}  // namespace

std::span<const OpDef> ElementwiseOps() { return kOps; }

}  // namespace trawl::engine
