// Movement: operators that only rearrange, join, cut or pad.

#include <algorithm>
#include <limits>
#include <numeric>

#include "engine/loaders/mxnet_tables.h"

namespace trawl::engine {
namespace {

using Ints = std::vector<int64_t>;

constexpr int64_t kInferred = std::numeric_limits<int64_t>::min();

Status FinishWith(MxnetConversion& conversion, Result<ValueId> output) {
  TRAWL_ASSIGN(const ValueId id, std::move(output));
  conversion.Finish({id});
  return OkStatus();
}

Status ConvertConcat(MxnetConversion& conversion) {
  TRAWL_ASSIGN(const int64_t axis, conversion.node().Int("dim", 1));
  Attributes attributes;
  attributes.Set("axis", axis);
  return FinishWith(conversion,
                    conversion.Emit("Concat", conversion.inputs(), std::move(attributes)));
}

Status ConvertFlatten(MxnetConversion& conversion) {
  TRAWL_ASSIGN(const ValueId data, conversion.Input(0));
  return FinishWith(conversion, conversion.Emit("Flatten", {data}));
}

/// MXNet's reshape codes: 0 copies a dimension, -1 is inferred, -2 copies all that are left, -3
/// merges two, -4 splits one in two. Dimensions of the batch are negative (engine/tensor.h).
class ReshapeTarget {
 public:
  ReshapeTarget(const Shape& from, const Ints& codes) : from_(from), codes_(codes) {}

  Result<Ints> Compute() {
    while (code_ < codes_.size()) TRAWL_TRY(Take(codes_[code_++]));
    return target_;
  }

 private:
  Result<int64_t> Source() {
    if (source_ < from_.size()) return from_[source_++];
    return Error(Code::kInvalidArgument, "its shape has more codes than the data has dimensions");
  }

  Status Take(int64_t code) {
    if (code > 0 || code == -1) {
      target_.push_back(code > 0 ? code : kInferred);
      ++source_;
      return OkStatus();
    }
    if (code == -2) {
      while (source_ < from_.size()) target_.push_back(from_[source_++]);
      return OkStatus();
    }
    if (code == -4) return Split();
    if (code != 0 && code != -3) {
      return Error(Code::kInvalidArgument, "{} is no code of a shape", code);
    }
    TRAWL_ASSIGN(int64_t dim, Source());
    if (code == -3) {
      TRAWL_ASSIGN(const int64_t next, Source());
      if (__builtin_mul_overflow(dim, next, &dim)) {
        return Error(Code::kInvalidArgument, "its dimensions are too large");
      }
    }
    target_.push_back(dim);
    return OkStatus();
  }

  Status Split() {
    if (code_ + 2 > codes_.size()) {
      return Error(Code::kInvalidArgument, "the code -4 needs two factors after it");
    }
    int64_t first = codes_[code_], second = codes_[code_ + 1];
    code_ += 2;
    TRAWL_ASSIGN(const int64_t dim, Source());
    if (first == -1 && second > 0) first = dim / second;
    if (second == -1 && first > 0) second = dim / first;
    const bool whole = first > 0 && second > 0 && dim % first == 0 && dim / first == second;
    if (!whole) return Error(Code::kInvalidArgument, "the code -4 does not divide {}", dim);
    target_.insert(target_.end(), {first, second});
    return OkStatus();
  }

  const Shape& from_;
  const Ints& codes_;
  size_t source_ = 0, code_ = 0;
  Ints target_;
};

/// In ONNX's codes: 0 copies the dimension at the same place, -1 is inferred.
Status ToOnnxCodes(const Shape& from, Ints& target) {
  bool inferred = false;
  for (size_t i = 0; i < target.size(); ++i) {
    if (target[i] == 0) return Error(Code::kUnimplemented, "empty data is not supported");
    if (target[i] > 0) continue;
    if (target[i] != kInferred && i < from.size() && from[i] == target[i]) {
      target[i] = 0;
      continue;
    }
    if (inferred) return Error(Code::kUnimplemented, "two dimensions depend on the batch");
    inferred = true;
    target[i] = -1;
  }
  return OkStatus();
}

/// The codes, from either attribute: `shape`, or the one that it replaced in 0.9.
Result<Ints> ReshapeCodes(const SymbolNode& node) {
  TRAWL_ASSIGN(Ints codes, node.Ints("shape", {}));
  if (!codes.empty()) return codes;
  TRAWL_ASSIGN(codes, node.Ints("target_shape", {}));
  TRAWL_ASSIGN(const bool keep_highest, node.Bool("keep_highest", false));
  std::ranges::replace(codes, 0, -1);
  if (keep_highest && !codes.empty()) codes[0] = 0;
  if (codes.empty()) return Error(Code::kInvalidArgument, "attribute shape is missing");
  return codes;
}

Status ConvertReshape(MxnetConversion& conversion) {
  TRAWL_ASSIGN(const ValueId data, conversion.Input(0));
  TRAWL_ASSIGN(const bool reverse, conversion.node().Bool("reverse", false));
  TRAWL_ASSIGN(const Ints codes, ReshapeCodes(conversion.node()));
  const Shape from = conversion.shape(data);
  if (reverse && std::ranges::any_of(codes, [](int64_t c) { return c == 0 || c < -1; })) {
    return Error(Code::kUnimplemented, "reverse is not supported");
  }
  TRAWL_ASSIGN(Ints target, ReshapeTarget(from, codes).Compute());
  TRAWL_TRY(ToOnnxCodes(from, target));
  const ValueId operand = conversion.Ints(std::move(target));
  return FinishWith(conversion, conversion.Emit("Reshape", {data, operand}));
}

Status ConvertTranspose(MxnetConversion& conversion) {
  TRAWL_ASSIGN(const ValueId data, conversion.Input(0));
  TRAWL_ASSIGN(Ints axes, conversion.node().Ints("axes", {}));
  if (axes.empty()) {
    axes.resize(conversion.shape(data).size());
    std::iota(axes.rbegin(), axes.rend(), 0);
  }
  Attributes attributes;
  attributes.Set("perm", axes);
  return FinishWith(conversion, conversion.Emit("Transpose", {data}, std::move(attributes)));
}

Status ConvertSwapAxis(MxnetConversion& conversion) {
  TRAWL_ASSIGN(const ValueId data, conversion.Input(0));
  TRAWL_ASSIGN(const int64_t a, conversion.node().Int("dim1", 0));
  TRAWL_ASSIGN(const int64_t b, conversion.node().Int("dim2", 0));
  Ints axes(conversion.shape(data).size());
  std::iota(axes.begin(), axes.end(), 0);
  const auto rank = static_cast<int64_t>(axes.size());
  if (a < 0 || b < 0 || a >= rank || b >= rank) {
    return Error(Code::kInvalidArgument, "axes {} and {} of {}", a, b, rank);
  }
  std::swap(axes[static_cast<size_t>(a)], axes[static_cast<size_t>(b)]);
  Attributes attributes;
  attributes.Set("perm", axes);
  return FinishWith(conversion, conversion.Emit("Transpose", {data}, std::move(attributes)));
}

Status ConvertPad(MxnetConversion& conversion) {
  const SymbolNode& node = conversion.node();
  TRAWL_ASSIGN(const ValueId data, conversion.Input(0));
  TRAWL_ASSIGN(const std::string mode, node.Text("mode", ""));
  TRAWL_ASSIGN(const Ints width, node.Ints("pad_width", {}));
  TRAWL_ASSIGN(const float value, node.Float("constant_value", 0.0f));
  if (width.size() != 2 * conversion.shape(data).size()) {
    return Error(Code::kInvalidArgument, "its pad_width has {} numbers for {} dimensions",
                 width.size(), conversion.shape(data).size());
  }
  Ints pads(width.size());  // from (begin, end) per axis to all begins, then all ends
  for (size_t i = 0; i < width.size(); ++i) pads[i % 2 * width.size() / 2 + i / 2] = width[i];
  std::vector<ValueId> inputs = {data, conversion.Ints(std::move(pads))};
  Attributes attributes;
  attributes.Set("mode", mode);
  if (mode == "constant" && value != 0) inputs.push_back(conversion.Scalar(value));
  return FinishWith(conversion, conversion.Emit("Pad", inputs, std::move(attributes)));
}

Status ConvertSliceAxis(MxnetConversion& conversion) {
  const SymbolNode& node = conversion.node();
  TRAWL_ASSIGN(const ValueId data, conversion.Input(0));
  TRAWL_ASSIGN(const int64_t axis, node.Int("axis", std::nullopt));
  TRAWL_ASSIGN(const int64_t begin, node.Int("begin", 0));
  TRAWL_ASSIGN(const int64_t end, node.Int("end", std::numeric_limits<int64_t>::max()));
  const ValueId starts = conversion.Ints({begin});
  const ValueId ends = conversion.Ints({end});
  const ValueId axes = conversion.Ints({axis});
  return FinishWith(conversion, conversion.Emit("Slice", {data, starts, ends, axes}));
}

Status ConvertSliceChannel(MxnetConversion& conversion) {
  const SymbolNode& node = conversion.node();
  TRAWL_ASSIGN(const ValueId data, conversion.Input(0));
  TRAWL_ASSIGN(const int64_t count, node.Int("num_outputs", std::nullopt));
  TRAWL_ASSIGN(const int64_t axis, node.Int("axis", 1));
  TRAWL_ASSIGN(const bool squeeze, node.Bool("squeeze_axis", false));
  const auto rank = static_cast<int64_t>(conversion.shape(data).size());
  const int64_t along = axis < 0 ? axis + rank : axis;
  if (along < 0 || along >= rank) return Error(Code::kInvalidArgument, "axis {} of {}", axis, rank);
  const int64_t size = conversion.shape(data)[static_cast<size_t>(along)];
  constexpr int64_t kMaxParts = 1'000;
  if (count < 1 || count > kMaxParts || size < 1 || size % count != 0) {
    return Error(Code::kInvalidArgument, "{} parts of a dimension of {}", count, size);
  }
  Attributes attributes;
  attributes.Set("axis", along);
  attributes.Set("num_outputs", count);
  TRAWL_ASSIGN(
      std::vector<ValueId> parts,
      conversion.EmitMany("Split", {data}, std::move(attributes), static_cast<size_t>(count)));
  for (ValueId& part : parts) {
    if (!squeeze) break;
    const ValueId axes = conversion.Ints({along});
    TRAWL_ASSIGN(part, conversion.Emit("Squeeze", {part, axes}));
  }
  conversion.Finish(std::move(parts));
  return OkStatus();
}

Status ConvertExpandDims(MxnetConversion& conversion) {
  TRAWL_ASSIGN(const ValueId data, conversion.Input(0));
  TRAWL_ASSIGN(const int64_t axis, conversion.node().Int("axis", std::nullopt));
  const ValueId axes = conversion.Ints({axis});
  return FinishWith(conversion, conversion.Emit("Unsqueeze", {data, axes}));
}

Status ConvertSqueeze(MxnetConversion& conversion) {
  TRAWL_ASSIGN(const ValueId data, conversion.Input(0));
  TRAWL_ASSIGN(const Ints axes, conversion.node().Ints("axis", {}));
  std::vector<ValueId> inputs = {data};
  if (!axes.empty()) inputs.push_back(conversion.Ints(axes));
  return FinishWith(conversion, conversion.Emit("Squeeze", inputs));
}

constexpr MxnetOperator kMovement[] = {
    {"Concat", ConvertConcat},
    {"Flatten", ConvertFlatten},
    {"Pad", ConvertPad},
    {"Reshape", ConvertReshape},
    {"SliceChannel", ConvertSliceChannel},
    {"SwapAxis", ConvertSwapAxis},
    {"concat", ConvertConcat},
    {"expand_dims", ConvertExpandDims},
    {"flatten", ConvertFlatten},
    {"pad", ConvertPad},
    {"reshape", ConvertReshape},
    {"slice_axis", ConvertSliceAxis},
    {"split", ConvertSliceChannel},
    {"squeeze", ConvertSqueeze},
    {"swapaxes", ConvertSwapAxis},
    {"transpose", ConvertTranspose},
};

}  // namespace

std::span<const MxnetOperator> MxnetMovement() { return kMovement; }

}  // namespace trawl::engine
