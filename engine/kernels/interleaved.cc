// What stands between quantised convolutions, on interleaved values: quantisation of a network's
// input, residual sums, pooling, concatenation, and the way back to the plain layout.
#include "engine/interleaved.h"

#include <array>
#include <cstring>
#include <vector>

#include "engine/kernels/quantized_number.h"
#include "engine/kernels/tables.h"
#include "engine/ops/operands.h"
#include "engine/ops/window.h"

namespace trawl::engine {
namespace {

/// Pixels at a time: few enough for the first-level cache.
constexpr int64_t kPixels = 256;

/// One image of an interleaved value.
uint8_t* ImageOf(const TensorView& view, int64_t n) {
  return reinterpret_cast<uint8_t*>(view.bytes) + n * InterleavedImageSize(view.shape);
}
const uint8_t* ImageOf(const ConstTensorView& view, int64_t n) {
  return reinterpret_cast<const uint8_t*>(view.bytes) + n * InterleavedImageSize(view.shape);
}

/// A value's pixels, cut into parts of kPixels: calls `body(image, first, count)` for all.
template <class Body>
void ForEachPart(const KernelCall& call, std::span<const int64_t> shape, Body body) {
  const int64_t pixels = shape[2] * shape[3], parts = (pixels + kPixels - 1) / kPixels;
  call.team->ForEach(shape[0] * parts, [&](int64_t task, int) {
    const int64_t first = task % parts * kPixels;
    body(task / parts, first, std::min(kPixels, pixels - first));
  });
}

/// y[p · step + c] = planes[c][p] for up to four channels; the others of the four become 0.
void InterleaveFour(const std::array<std::array<uint8_t, kPixels>, 4>& planes, int64_t count,
                    int64_t step, uint8_t* y) {
  for (int64_t p = 0; p < count; ++p) {
    const auto i = static_cast<size_t>(p);
    const std::array<uint8_t, 4> pixel{planes[0][i], planes[1][i], planes[2][i], planes[3][i]};
    std::memcpy(y + p * step, pixel.data(), pixel.size());
  }
}

class Quantize final : public Kernel {
 public:
  Quantize(float scale, float zero_point, const simd::Int8Microkernels& microkernels)
      : scale_(scale), zero_point_(zero_point), quantize_(microkernels.quantize) {}

  Status Run(const KernelCall& call) const override {
    const TensorView& out = call.outputs[0];
    const int64_t channels = out.shape[1], step = InterleavedStep(channels);
    const int64_t plane = out.shape[2] * out.shape[3];
    ForEachPart(call, out.shape, [&](int64_t n, int64_t first, int64_t count) {
      const auto* x = reinterpret_cast<const float*>(call.inputs[0].bytes) + n * channels * plane;
      std::array<uint8_t, 4 * kPixels> pixels;
      for (int64_t c = 0; c < step; c += 4) {
        const float* planes[4] = {};
        for (int64_t i = c; i < std::min(c + 4, channels); ++i) {
          planes[i - c] = x + i * plane + first;
        }
        uint8_t* y = ImageOf(out, n) + first * step + c;
        quantize_(planes, count, scale_, zero_point_, step == 4 ? y : pixels.data());
        if (step == 4) continue;
        for (int64_t p = 0; p < count; ++p) std::memcpy(y + p * step, pixels.data() + 4 * p, 4);
      }
    });
    return OkStatus();
  }

 private:
  float scale_, zero_point_;
  void (*quantize_)(const float* const*, ptrdiff_t, float, float, uint8_t*);
};

KernelResult MakeQuantize(const NodeView& node, const simd::Microkernels& microkernels) {
  const float scale = node.constant(1)->data<float>()[0];
  const auto zero_point =
      static_cast<float>(node.HasInput(2) ? node.constant(2)->data<uint8_t>()[0] : 0);
  return std::make_unique<Quantize>(scale, zero_point, *microkernels.int8);
}

KernelResult MakeInterleave(const NodeView&) {
  return MakeKernel([](const KernelCall& call) {
    const TensorView& out = call.outputs[0];
    const int64_t channels = out.shape[1], step = InterleavedStep(channels);
    const int64_t plane = out.shape[2] * out.shape[3];
    ForEachPart(call, out.shape, [&](int64_t n, int64_t first, int64_t count) {
      const auto* x =
          reinterpret_cast<const uint8_t*>(call.inputs[0].bytes) + n * channels * plane + first;
      std::array<std::array<uint8_t, kPixels>, 4> planes{};
      for (int64_t c = 0; c < step; c += 4) {
        for (int64_t i = 0; i < 4; ++i) {
          auto& bytes = planes[static_cast<size_t>(i)];
          if (c + i < channels) {
            std::memcpy(bytes.data(), x + (c + i) * plane, static_cast<size_t>(count));
          } else {
            bytes.fill(0);
          }
        }
        InterleaveFour(planes, count, step, ImageOf(out, n) + first * step + c);
      }
    });
    return OkStatus();
  });
}

KernelResult MakePlain(const NodeView&) {
  return MakeKernel([](const KernelCall& call) {
    const auto shape = call.outputs[0].shape;
    const int64_t plane = shape[2] * shape[3], step = InterleavedStep(shape[1]);
    auto* y = reinterpret_cast<uint8_t*>(call.outputs[0].bytes);
    ForEachPart(call, shape, [&](int64_t n, int64_t first, int64_t count) {
      const uint8_t* x = ImageOf(call.inputs[0], n) + first * step;
      for (int64_t c = 0; c < shape[1]; ++c) {
        uint8_t* to = y + (n * shape[1] + c) * plane + first;
        for (int64_t p = 0; p < count; ++p) to[p] = x[p * step + c];
      }
    });
    return OkStatus();
  });
}

class Add final : public Kernel {
 public:
  Add(const QuantizedSum& sum, const simd::Int8Microkernels& microkernels)
      : add_(microkernels.add) {
    epilogue_.own_scale = sum.a_scale;
    epilogue_.residual_scale = sum.b_scale;
    epilogue_.sum_shift = sum.shift;
    epilogue_.sum_low = static_cast<uint8_t>(sum.low);
    epilogue_.sum_high = static_cast<uint8_t>(sum.high);
  }

  int InPlaceInput() const override { return 0; }

  Status Run(const KernelCall& call) const override {
    const int64_t step = InterleavedStep(call.outputs[0].shape[1]);
    ForEachPart(call, call.outputs[0].shape, [&](int64_t n, int64_t first, int64_t count) {
      const int64_t at = first * step;
      add_(epilogue_, ImageOf(call.inputs[0], n) + at, ImageOf(call.inputs[1], n) + at,
           ImageOf(call.outputs[0], n) + at, count * step);
    });
    return OkStatus();
  }

 private:
  simd::Int8Epilogue epilogue_;
  void (*add_)(const simd::Int8Epilogue&, const uint8_t*, const uint8_t*, uint8_t*, ptrdiff_t);
};

KernelResult MakeAdd(const NodeView& node, const simd::Microkernels& microkernels) {
  TRAWL_ASSIGN(const QuantizedSum sum, GetSum(node.attributes()));
  return std::make_unique<Add>(sum, *microkernels.int8);
}

/// The taps of one dimension of a window that meet the input: the first one's place, and how many.
struct Met {
  int64_t first = 0, count = 0;
};

Met TapsMet(const Window& w, size_t dimension, int64_t output) {
  const int64_t dilation = w.dilation[dimension];
  const int64_t begin = output * w.stride[dimension] - w.pad_begin[dimension];
  const int64_t skipped = begin < 0 ? (dilation - 1 - begin) / dilation : 0;
  const int64_t first = begin + skipped * dilation;
  const int64_t inside = (w.input[dimension] - first + dilation - 1) / dilation;
  // A window may lie in the padding as a whole.
  return {first, std::max<int64_t>(0, std::min(inside, w.kernel[dimension] - skipped))};
}

KernelResult MakeMaxPool(const NodeView& node, const simd::Microkernels& microkernels) {
  TRAWL_ASSIGN(const Window window, PoolWindow(node.graph(), node.node()));
  return MakeKernel([window, maximum = microkernels.int8->maximum](const KernelCall& call) {
    const auto shape = call.outputs[0].shape;
    const int64_t step = InterleavedStep(shape[1]), row_step = window.input[2] * step;
    call.team->ForEach(shape[0] * shape[2], [&](int64_t task, int) {
      const int64_t n = task / shape[2], row = task % shape[2];
      const Met rows = TapsMet(window, 1, row);
      uint8_t* y = ImageOf(call.outputs[0], n) + row * shape[3] * step;
      for (int64_t i = 0; i < shape[3]; ++i, y += step) {
        const Met columns = TapsMet(window, 2, i);
        maximum(ImageOf(call.inputs[0], n) + rows.first * row_step + columns.first * step,
                rows.count, window.dilation[1] * row_step, columns.count, window.dilation[2] * step,
                y, step);
      }
    });
    return OkStatus();
  });
}

/// Sums of kMeans channels over all pixels at a time; `store(n, channel, sums)` gets them.
constexpr int64_t kMeans = 16;
template <class Store>
void ForEachMean(const KernelCall& call, Store store) {
  const auto shape = call.inputs[0].shape;
  const int64_t pixels = shape[2] * shape[3], step = InterleavedStep(shape[1]);
  call.team->ForEach(shape[0], [&](int64_t n, int) {
    const uint8_t* x = ImageOf(call.inputs[0], n);
    for (int64_t first = 0; first < step; first += kMeans) {
      const int64_t count = std::min(kMeans, step - first);
      std::array<int32_t, kMeans> totals{};
      for (int64_t p = 0; p < pixels; ++p) {
        for (int64_t c = 0; c < count; ++c) {
          totals[static_cast<size_t>(c)] += x[p * step + first + c];
        }
      }
      store(n, first, std::span(totals).first(static_cast<size_t>(count)));
    }
  });
}

KernelResult MakeGlobalAveragePool(const NodeView& node) {
  TRAWL_ASSIGN(const QuantizedSum sum, GetSum(node.attributes()));
  return MakeKernel([sum](const KernelCall& call) {
    const auto shape = call.inputs[0].shape;
    ForEachMean(call, [&](int64_t n, int64_t channel, std::span<const int32_t> totals) {
      uint8_t* y = ImageOf(call.outputs[0], n) + channel;
      for (const int32_t total : totals) {
        *y++ = RoundToByte(MeanOf(sum, total, shape[2] * shape[3]), sum.low, sum.high);
      }
    });
    return OkStatus();
  });
}

KernelResult MakeGlobalAverageToFloat(const NodeView& node) {
  TRAWL_ASSIGN(const QuantizedSum sum, GetSum(node.attributes()));
  return MakeKernel([sum](const KernelCall& call) {
    const auto shape = call.inputs[0].shape;
    ForEachMean(call, [&](int64_t n, int64_t channel, std::span<const int32_t> totals) {
      float* y = call.outputs[0].data<float>().data() + n * shape[1] + channel;
      const int64_t count = std::min(static_cast<int64_t>(totals.size()), shape[1] - channel);
      for (int64_t c = 0; c < count; ++c) {
        y[c] = MeanOf(sum, totals[static_cast<size_t>(c)], shape[2] * shape[3]);
      }
    });
    return OkStatus();
  });
}

KernelResult MakeConcat(const NodeView& node) {
  TRAWL_ASSIGN(const std::vector<int64_t> numbers, node.attributes().Ints("table", {}));
  std::vector<uint8_t> table(numbers.size());
  std::ranges::transform(numbers, table.begin(), [](int64_t i) { return static_cast<uint8_t>(i); });
  std::vector<bool> moves;  // inputs that have the output's grid
  for (size_t i = 0; i < table.size(); i += 256) {
    const auto part = std::span(table).subspan(i, 256);
    int64_t number = 0;
    moves.push_back(std::ranges::all_of(part, [&](uint8_t y) { return y == number++; }));
  }
  return MakeKernel([table = std::move(table), moves = std::move(moves)](const KernelCall& call) {
    const auto shape = call.outputs[0].shape;
    const int64_t step = InterleavedStep(shape[1]);
    ForEachPart(call, shape, [&](int64_t n, int64_t first, int64_t count) {
      uint8_t* y = ImageOf(call.outputs[0], n) + first * step;
      for (size_t i = 0; i < call.inputs.size(); ++i) {
        const int64_t channels = call.inputs[i].shape[1], from_step = InterleavedStep(channels);
        const uint8_t* x = ImageOf(call.inputs[i], n) + first * from_step;
        const uint8_t* grid = table.data() + 256 * i;
        for (int64_t p = 0; p < count; ++p) {
          if (moves[i]) {
            std::memcpy(y + p * step, x + p * from_step, static_cast<size_t>(channels));
            continue;
          }
          for (int64_t c = 0; c < channels; ++c) y[p * step + c] = grid[x[p * from_step + c]];
        }
        y += channels;
      }
    });
    return OkStatus();
  });
}

std::string WhyNotQuantize(const NodeView& node) {
  const auto axis = QuantizationAxis(node);
  if (!axis) return axis.error().message();
  const bool constant =
      node.constant(1) != nullptr && (!node.HasInput(2) || node.constant(2) != nullptr);
  if (!constant) return "the scale is not constant";
  if (ElementCount(node.shape(1)) != 1) return "there is a scale for each channel";
  return node.HasInput(2) && node.dtype(2) != DType::kU8 ? "not to u8" : "";
}

std::string WhyNotToFloat(const NodeView& node) {
  return node.attributes().Has("to_float") ? "" : "its result is quantised";
}

constexpr KernelDef kKernels[] = {
    {.name = "u8_quantize_interleaved",
     .op = "QuantizeLinear",
     .rank = 10,
     .why_not = WhyNotQuantize,
     .make_simd = MakeQuantize,
     .layout = Layout::kInterleaved,
     .plain_input = true,
     .needs_int8 = true},
    {.name = "u8_reorder_interleaved",
     .op = "ReorderBytes",
     .rank = 1,
     .make = MakeInterleave,
     .layout = Layout::kInterleaved,
     .plain_input = true},
    {.name = "u8_reorder_plain", .op = "ReorderBytes", .rank = 1, .make = MakePlain},
    {.name = "u8_add_interleaved",
     .op = "QuantizedAdd",
     .rank = 10,
     .make_simd = MakeAdd,
     .layout = Layout::kInterleaved,
     .needs_int8 = true},
    {.name = "u8_maxpool_interleaved",
     .op = "QuantizedMaxPool",
     .rank = 10,
     .make_simd = MakeMaxPool,
     .layout = Layout::kInterleaved,
     .needs_int8 = true},
    {.name = "u8_gavgpool_interleaved",
     .op = "QuantizedGlobalAveragePool",
     .rank = 10,
     .make = MakeGlobalAveragePool,
     .layout = Layout::kInterleaved},
    {.name = "u8_gavgpool_to_f32",
     .op = "QuantizedGlobalAveragePool",
     .rank = 10,
     .why_not = WhyNotToFloat,
     .make = MakeGlobalAverageToFloat,
     .interleaved_input = true},
    {.name = "u8_concat_interleaved",
     .op = "QuantizedConcat",
     .rank = 10,
     .make = MakeConcat,
     .layout = Layout::kInterleaved},
};

}  // namespace

std::span<const KernelDef> InterleavedKernels() { return kKernels; }

}  // namespace trawl::engine
