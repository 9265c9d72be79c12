// Kernels of quantisation: x / scale rounded half to even, plus the zero point, saturated; as ONNX
// says.
#include <algorithm>
#include <limits>

#include "engine/kernels/quantized_number.h"
#include "engine/kernels/tables.h"
#include "engine/ops/operands.h"

namespace trawl::engine {
namespace {

int64_t Product(std::span<const int64_t> dims) {
  int64_t product = 1;
  for (const int64_t dim : dims) product *= dim;
  return product;
}

/// Calls `body(first, count, channel)` for each run of elements that share one scale.
template <class Body>
void ForEachRun(std::span<const int64_t> shape, size_t axis, Body body) {
  if (axis >= shape.size()) return body(size_t{0}, static_cast<size_t>(Product(shape)), size_t{0});
  const auto run = static_cast<size_t>(Product(shape.subspan(axis + 1)));
  const auto channels = static_cast<size_t>(shape[axis]);
  const auto outer = static_cast<size_t>(Product(shape.first(axis)));
  for (size_t i = 0; i < outer * channels; ++i) body(i * run, run, i % channels);
}

/// saturate(round(x / scale) + zero_point) - zero_point.
template <class Q>
float OffsetOf(float x, float scale, float zero_point) {
  return QuantizedOffset(x, scale, static_cast<float>(std::numeric_limits<Q>::min()) - zero_point,
                         static_cast<float>(std::numeric_limits<Q>::max()) - zero_point);
}

template <class Q>
Q ZeroPoint(const KernelCall& call, size_t channel) {
  const bool given = call.inputs.size() > 2 && call.inputs[2].bytes != nullptr;
  return given ? call.inputs[2].data<Q>()[channel] : Q{0};
}

template <class Q>
KernelResult QuantizeOf(size_t axis) {
  return MakeKernel([axis](const KernelCall& call) {
    const auto x = call.inputs[0].data<float>();
    const auto y = call.outputs[0].data<Q>();
    ForEachRun(call.inputs[0].shape, axis, [&](size_t first, size_t count, size_t channel) {
      const float scale = call.inputs[1].data<float>()[channel];
      const auto zero_point = static_cast<float>(ZeroPoint<Q>(call, channel));
      for (size_t i = first; i < first + count; ++i) {
        y[i] = static_cast<Q>(OffsetOf<Q>(x[i], scale, zero_point) + zero_point);
      }
    });
    return OkStatus();
  });
}

KernelResult MakeQuantize(const NodeView& node) {
  TRAWL_ASSIGN(const size_t axis, QuantizationAxis(node));
  const bool is_signed = node.HasInput(2) && node.dtype(2) == DType::kI8;
  return is_signed ? QuantizeOf<int8_t>(axis) : QuantizeOf<uint8_t>(axis);
}

template <class Q>
KernelResult DequantizeOf(size_t axis) {
  return MakeKernel([axis](const KernelCall& call) {
    const auto x = call.inputs[0].data<Q>();
    const auto y = call.outputs[0].data<float>();
    ForEachRun(call.inputs[0].shape, axis, [&](size_t first, size_t count, size_t channel) {
      const float scale = call.inputs[1].data<float>()[channel];
      const auto zero_point = static_cast<int64_t>(ZeroPoint<Q>(call, channel));
      for (size_t i = first; i < first + count; ++i) {
        y[i] = static_cast<float>(static_cast<int64_t>(x[i]) - zero_point) * scale;
      }
    });
    return OkStatus();
  });
}

KernelResult MakeDequantize(const NodeView& node) {
  TRAWL_ASSIGN(const size_t axis, QuantizationAxis(node));
  switch (node.dtype(0)) {
    case DType::kU8:
      return DequantizeOf<uint8_t>(axis);
    case DType::kI8:
      return DequantizeOf<int8_t>(axis);
    default:
      return DequantizeOf<int32_t>(axis);
  }
}

template <class Q>
KernelResult FakeQuantizeOf(size_t axis, bool unscaled) {
  return MakeKernel(
      [axis, unscaled](const KernelCall& call) {
        const auto x = call.inputs[0].data<float>();
        const auto y = call.outputs[0].data<float>();
        ForEachRun(call.inputs[0].shape, axis, [&](size_t first, size_t count, size_t channel) {
          const float scale = call.inputs[1].data<float>()[channel];
          const float result_scale = unscaled ? 1 : scale;
          const auto zero_point = static_cast<float>(ZeroPoint<Q>(call, channel));
          for (size_t i = first; i < first + count; ++i) {
            y[i] = OffsetOf<Q>(x[i], scale, zero_point) * result_scale;
          }
        });
        return OkStatus();
      },
      0);
}

KernelResult MakeFakeQuantize(const NodeView& node) {
  TRAWL_ASSIGN(const size_t axis, QuantizationAxis(node));
  TRAWL_ASSIGN(const int64_t unscaled, node.attributes().Int("unscaled", 0));
  return node.dtype(2) == DType::kI8 ? FakeQuantizeOf<int8_t>(axis, unscaled != 0)
                                     : FakeQuantizeOf<uint8_t>(axis, unscaled != 0);
}

constexpr KernelDef kKernels[] = {
    {.name = "reference", .op = "QuantizeLinear", .make = MakeQuantize},
    {.name = "reference", .op = "DequantizeLinear", .make = MakeDequantize},
    {.name = "reference", .op = "FakeQuantize", .make = MakeFakeQuantize},
};

}  // namespace

std::span<const KernelDef> ReferenceQuantizeKernels() { return kKernels; }

}  // namespace trawl::engine
