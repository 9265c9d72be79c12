// Quantised operators by definition, on plain values.
#include "engine/kernels/quantized_number.h"
#include "engine/kernels/tables.h"
#include "engine/ops/window.h"

namespace trawl::engine {
namespace {

/// The elements of a plain [N, C, D, H, W] value, of which D, H and W may be missing.
struct Planes {
  const uint8_t* bytes;
  int64_t channels, size;

  const uint8_t* At(int64_t n, int64_t c) const { return bytes + (n * channels + c) * size; }
};

/// Calls `body(tap, offset)` for all taps of the window at output pixel `pixel`; offset is that of
/// the input's element in its plane, or -1 in the padding.
template <class Body>
void ForEachTap(const Window& w, int64_t pixel, Body body) {
  const int64_t at[] = {pixel / (w.output[1] * w.output[2]), pixel / w.output[2] % w.output[1],
                        pixel % w.output[2]};
  for (int64_t tap = 0; tap < w.KernelSize(); ++tap) {
    const int64_t k[] = {tap / (w.kernel[1] * w.kernel[2]), tap / w.kernel[2] % w.kernel[1],
                         tap % w.kernel[2]};
    int64_t offset = 0;
    for (size_t d = 0; d < Window::kMaxSpatial; ++d) {
      const int64_t i = at[d] * w.stride[d] + k[d] * w.dilation[d] - w.pad_begin[d];
      offset = offset < 0 || i < 0 || i >= w.input[d] ? -1 : offset * w.input[d] + i;
    }
    body(tap, offset);
  }
}

struct Conv {
  Window window;
  int64_t group = 1;
  QuantizedProduct product;
  bool has_residual = false;

  /// Before it is rounded.
  float Pixel(const KernelCall& call, const Planes& x, int64_t n, int64_t c, int64_t pixel) const {
    const auto weights_shape = call.inputs[1].shape;
    const int64_t depth = weights_shape[1], taps = window.KernelSize();
    const int64_t first = c / (weights_shape[0] / group) * depth;
    const int8_t* weights = call.inputs[1].data<int8_t>().data() + c * depth * taps;
    int32_t sum = 0;
    ForEachTap(window, pixel, [&](int64_t tap, int64_t offset) {
      for (int64_t i = 0; i < depth; ++i) {
        const int value = offset < 0 ? product.zero_point : x.At(n, first + i)[offset];
        sum += value * (weights[i * taps + tap] + product.weight_offset);
      }
    });
    const auto channel = static_cast<size_t>(c);
    return std::fma(static_cast<float>(sum), call.inputs[2].data<float>()[channel],
                    call.inputs[3].data<float>()[channel]);
  }

  uint8_t Rounded(const KernelCall& call, float y, size_t i) const {
    const auto residual = [&] { return call.inputs[4].data<uint8_t>()[i]; };
    if (product.joins) return JoinQuantized(product.sum, y, residual());
    const uint8_t rounded = RoundToByte(y, product.low, product.high);
    return has_residual ? AddQuantized(product.sum, rounded, residual()) : rounded;
  }

  Status Run(const KernelCall& call) const {
    const auto shape = call.outputs[0].shape;
    const Planes x{call.inputs[0].data<uint8_t>().data(), call.inputs[0].shape[1],
                   window.InputSize()};
    const auto y = call.outputs[0].data<uint8_t>();
    size_t i = 0;
    for (int64_t n = 0; n < shape[0]; ++n) {
      for (int64_t c = 0; c < shape[1]; ++c) {
        for (int64_t pixel = 0; pixel < window.OutputSize(); ++pixel, ++i) {
          y[i] = Rounded(call, Pixel(call, x, n, c, pixel), i);
        }
      }
    }
    return OkStatus();
  }
};

KernelResult MakeConv(const NodeView& node) {
  Conv conv;
  TRAWL_ASSIGN(conv.window, ConvWindow(node.graph(), node.node()));
  TRAWL_ASSIGN(conv.group, node.attributes().Int("group", 1));
  TRAWL_ASSIGN(conv.product, GetProduct(node.attributes()));
  conv.has_residual = node.HasInput(4);
  return MakeKernel([conv](const KernelCall& call) { return conv.Run(call); });
}

KernelResult MakeGemm(const NodeView& node) {
  TRAWL_ASSIGN(const QuantizedProduct product, GetProduct(node.attributes()));
  return MakeKernel([product](const KernelCall& call) {
    const int64_t rows = call.inputs[0].shape[0], depth = call.inputs[0].shape[1];
    const int64_t columns = call.inputs[1].shape[0];
    const auto x = call.inputs[0].data<uint8_t>();
    const auto w = call.inputs[1].data<int8_t>();
    for (int64_t i = 0; i < rows * columns; ++i) {
      const int64_t row = i / columns, column = i % columns;
      int32_t sum = 0;
      for (int64_t k = 0; k < depth; ++k) {
        sum += x[static_cast<size_t>(row * depth + k)] *
               (w[static_cast<size_t>(column * depth + k)] + product.weight_offset);
      }
      const auto channel = static_cast<size_t>(column), at = static_cast<size_t>(i);
      const float y = std::fma(static_cast<float>(sum), call.inputs[2].data<float>()[channel],
                               call.inputs[3].data<float>()[channel]);
      if (call.outputs[0].dtype == DType::kF32) {
        call.outputs[0].data<float>()[at] = y;
      } else {
        call.outputs[0].data<uint8_t>()[at] = RoundToByte(y, product.low, product.high);
      }
    }
    return OkStatus();
  });
}

KernelResult MakeAdd(const NodeView& node) {
  TRAWL_ASSIGN(const QuantizedSum sum, GetSum(node.attributes()));
  return MakeKernel([sum](const KernelCall& call) {
    const auto a = call.inputs[0].data<uint8_t>(), b = call.inputs[1].data<uint8_t>();
    const auto y = call.outputs[0].data<uint8_t>();
    for (size_t i = 0; i < y.size(); ++i) y[i] = AddQuantized(sum, a[i], b[i]);
    return OkStatus();
  });
}

KernelResult MakeMaxPool(const NodeView& node) {
  TRAWL_ASSIGN(const Window window, PoolWindow(node.graph(), node.node()));
  return MakeKernel([window](const KernelCall& call) {
    const int64_t planes = call.inputs[0].shape[0] * call.inputs[0].shape[1];
    const uint8_t* x = call.inputs[0].data<uint8_t>().data();
    uint8_t* y = call.outputs[0].data<uint8_t>().data();
    for (int64_t plane = 0; plane < planes; ++plane, x += window.InputSize()) {
      for (int64_t pixel = 0; pixel < window.OutputSize(); ++pixel) {
        uint8_t greatest = 0;
        ForEachTap(window, pixel, [&](int64_t, int64_t offset) {
          if (offset >= 0) greatest = std::max(greatest, x[offset]);
        });
        *y++ = greatest;
      }
    }
    return OkStatus();
  });
}

KernelResult MakeGlobalAveragePool(const NodeView& node) {
  TRAWL_ASSIGN(const QuantizedSum sum, GetSum(node.attributes()));
  return MakeKernel([sum](const KernelCall& call) {
    const auto x = call.inputs[0].data<uint8_t>();
    const auto shape = call.outputs[0].shape;
    const auto count = static_cast<size_t>(shape[0] * shape[1]);
    const bool to_float = call.outputs[0].dtype == DType::kF32;
    const size_t plane = count == 0 ? 0 : x.size() / count;
    for (size_t i = 0; i < count; ++i) {
      int32_t total = 0;
      for (size_t k = 0; k < plane; ++k) total += x[i * plane + k];
      const float mean = MeanOf(sum, total, static_cast<int64_t>(plane));
      if (to_float) {
        call.outputs[0].data<float>()[i] = mean;
      } else {
        call.outputs[0].data<uint8_t>()[i] = RoundToByte(mean, sum.low, sum.high);
      }
    }
    return OkStatus();
  });
}

KernelResult MakeConcat(const NodeView& node) {
  TRAWL_ASSIGN(const std::vector<int64_t> table, node.attributes().Ints("table", {}));
  return MakeKernel([table](const KernelCall& call) {
    uint8_t* y = call.outputs[0].data<uint8_t>().data();
    for (int64_t n = 0; n < call.outputs[0].shape[0]; ++n) {
      for (size_t i = 0; i < call.inputs.size(); ++i) {
        const auto x = call.inputs[i].data<uint8_t>();
        const size_t image = x.size() / static_cast<size_t>(call.inputs[i].shape[0]);
        for (const uint8_t value : x.subspan(static_cast<size_t>(n) * image, image)) {
          *y++ = static_cast<uint8_t>(table[i * 256 + value]);
        }
      }
    }
    return OkStatus();
  });
}

constexpr KernelDef kKernels[] = {
    {.name = "reference", .op = "QuantizedConv", .make = MakeConv},
    {.name = "reference", .op = "QuantizedGemm", .make = MakeGemm},
    {.name = "reference", .op = "QuantizedAdd", .make = MakeAdd},
    {.name = "reference", .op = "QuantizedMaxPool", .make = MakeMaxPool},
    {.name = "reference", .op = "QuantizedGlobalAveragePool", .make = MakeGlobalAveragePool},
    {.name = "reference", .op = "QuantizedConcat", .make = MakeConcat},
};

}  // namespace

std::span<const KernelDef> ReferenceQuantizedKernels() { return kKernels; }

}  // namespace trawl::engine
