// Normalisations: batch, instance and layer norm, LRN, softmax.
#include <algorithm>

#include "engine/ops/dims.h"
#include "engine/ops/tables.h"

namespace trawl::engine {
namespace {

/// Inputs 1 … count are vectors with one element per channel.
Status RequirePerChannel(InferContext& c, size_t count) {
  TRAWL_TRY(c.RequireDType(0, {DType::kF32}));
  const Shape& x = c.shape(0);
  if (x.size() < 2 || std::any_of(x.begin() + 1, x.end(), IsBatch)) {
    return Error(Code::kUnimplemented, "an input of shape {} is not supported", ToString(x));
  }
  for (size_t i = 1; i <= count; ++i) {
    TRAWL_TRY(c.RequireDType(i, {DType::kF32}));
    if (c.shape(i) != Shape{x[1]}) {
      return Error(Code::kInvalidArgument, "input {} of shape {} does not fit {} channels", i,
                   ToString(c.shape(i)), x[1]);
    }
  }
  TRAWL_ASSIGN([[maybe_unused]] const float epsilon, c.attributes().Float("epsilon", 1e-5f));
  return OkStatus();
}

Status InferBatchNormalization(InferContext& c) {
  TRAWL_TRY(RequirePerChannel(c, 4));
  TRAWL_ASSIGN(const int64_t training, c.attributes().Int("training_mode", 0));
  if (training != 0) return Error(Code::kUnimplemented, "training mode is not supported");
  return c.SetOutput(0, DType::kF32, c.shape(0));
}

Status InferInstanceNormalization(InferContext& c) {
  TRAWL_TRY(RequirePerChannel(c, 2));
  return c.SetOutput(0, DType::kF32, c.shape(0));
}

/// The dimensions from `axis` on are normalised together; scale and bias have their shape.
Status InferLayerNormalization(InferContext& c) {
  TRAWL_TRY(c.RequireDType(0, {DType::kF32}));
  const Shape& x = c.shape(0);
  TRAWL_ASSIGN(const int64_t given, c.attributes().Int("axis", -1));
  TRAWL_ASSIGN(const size_t axis, InferContext::Axis(given, x.size()));
  const Shape normalised(x.begin() + static_cast<ptrdiff_t>(axis), x.end());
  if (std::ranges::any_of(normalised, IsBatch)) {
    return Error(Code::kUnimplemented, "an input of shape {} is not supported", ToString(x));
  }
  for (size_t i = 1; i < c.input_count(); ++i) {
    if (!c.HasInput(i)) continue;
    TRAWL_TRY(c.RequireDType(i, {DType::kF32}));
    if (c.shape(i) != normalised) {
      return Error(Code::kInvalidArgument, "input {} of shape {} does not fit {}", i,
                   ToString(c.shape(i)), ToString(normalised));
    }
  }
  TRAWL_ASSIGN([[maybe_unused]] const float epsilon, c.attributes().Float("epsilon", 1e-5f));
  TRAWL_ASSIGN(const int64_t stash_type, c.attributes().Int("stash_type", 1));
  if (stash_type != 1) {
    return Error(Code::kUnimplemented, "a stash_type of {} is not supported", stash_type);
  }
  return c.SetOutput(0, DType::kF32, x);
}

Status InferChannelNormalization(InferContext& c) {
  TRAWL_TRY(RequirePerChannel(c, c.HasInput(2) ? 2 : 1));
  return c.SetOutput(0, DType::kF32, c.shape(0));
}

Status InferLrn(InferContext& c) {
  TRAWL_TRY(RequirePerChannel(c, 0));
  TRAWL_ASSIGN(const int64_t size, c.attributes().Int("size", 0));
  if (size < 1) return Error(Code::kInvalidArgument, "a size of {} is not positive", size);
  for (const char* name : {"alpha", "beta", "bias"}) {
    TRAWL_ASSIGN([[maybe_unused]] const float value, c.attributes().Float(name, 0));
  }
  return c.SetOutput(0, DType::kF32, c.shape(0));
}

Status InferSoftmax(InferContext& c) {
  TRAWL_TRY(c.RequireDType(0, {DType::kF32}));
  const Shape& x = c.shape(0);
  TRAWL_ASSIGN(const int64_t axis, c.attributes().Int("axis", -1));
  TRAWL_ASSIGN(const int64_t flatten, c.attributes().Int("flatten", 0));
  // The rule before opset 13 allows axis = rank: every element is then normalised alone.
  if (flatten == 0 || axis != static_cast<int64_t>(x.size())) {
    TRAWL_ASSIGN([[maybe_unused]] const size_t checked, InferContext::Axis(axis, x.size()));
  }
  return c.SetOutput(0, DType::kF32, x);
}

constexpr OpDef kOps[] = {
    {.name = "BatchNormalization",
     .min_inputs = 5,
     .max_inputs = 5,
     .attributes = "epsilon training_mode",
     .infer = InferBatchNormalization},
    {.name = "InstanceNormalization",
     .min_inputs = 3,
     .max_inputs = 3,
     .attributes = "epsilon",
     .infer = InferInstanceNormalization},
    {.name = "LayerNormalization",
     .min_inputs = 2,
     .max_inputs = 3,
     .attributes = "axis epsilon stash_type",
     .infer = InferLayerNormalization},
    // The same over the channels of each pixel: (x, scale, bias?).
    {.name = "ChannelNormalization",
     .min_inputs = 2,
     .max_inputs = 3,
     .attributes = "epsilon",
     .infer = InferChannelNormalization,
     .internal = true},
    {.name = "LRN", .attributes = "alpha beta bias size", .infer = InferLrn},
    {.name = "Softmax", .attributes = "axis flatten", .infer = InferSoftmax},
    {.name = "LogSoftmax", .attributes = "axis flatten", .infer = InferSoftmax},
};

}  // namespace

std::span<const OpDef> NormalizeOps() { return kOps; }

}  // namespace trawl::engine
