// The first convolution of a network: it reads a plain image of few channels and writes blocks. A
// step of the microkernel takes one tap of one channel, so none is wasted on channels that are not
// there.
//
// The rows that a chunk of the output sees are copied into a strip with zeros for padding and with
// the columns sorted by their remainder of the stride, so that neighbouring pixels see neighbours.
#include <algorithm>
#include <cstring>

#include "engine/blocked.h"
#include "engine/kernels/conv_panels.h"
#include "engine/kernels/tables.h"

namespace trawl::engine {
namespace {

using simd::kBlock;

/// Beyond, blocks waste less than the copies cost.
constexpr int64_t kMaxChannels = 4;
/// Floats of a strip: half of a first-level cache, since every tap reads it anew.
constexpr int64_t kStripFloats = 6 << 10;
constexpr double kMaxRowBytes = 32 << 20;

/// [channels][rows][remainders][columns].
struct PlanarStrip {
  PlanarStrip(const ConvNode& conv, const simd::Microkernels& microkernels)
      : w(conv.window), channels(conv.inputs), every_second(microkernels.narrow_conv.every_second) {
    const int64_t reach = (w.kernel[2] - 1) * w.dilation[2];
    remainders = std::min(w.stride[2], reach + 1);
    columns = w.output[2] + reach / w.stride[2];
    for (int64_t i = 0; i < remainders; ++i) spans.push_back(SpanOf(i));
    // (rows - 1) · stride more input rows for `rows` rows of the output than for one.
    const int64_t fixed = (w.kernel[1] - 1) * w.dilation[1] + 1;
    const int64_t affordable = kStripFloats / (channels * row_floats()) - fixed;
    rows = std::clamp<int64_t>(affordable / w.stride[1] + 1, 1, w.output[1]);
    const int64_t chunks = (w.output[1] + rows - 1) / rows;
    rows = (w.output[1] + chunks - 1) / chunks;  // even chunks
    input_rows = (rows - 1) * w.stride[1] + fixed;
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t ky = 0; ky < w.kernel[1]; ++ky) {
        for (int64_t kx = 0; kx < w.kernel[2]; ++kx) {
          const int64_t row = c * input_rows + ky * w.dilation[1], shift = kx * w.dilation[2];
          taps.push_back(row * row_floats() + shift % w.stride[2] * columns + shift / w.stride[2]);
        }
      }
    }
  }

  /// The columns of a remainder that are not padding.
  struct Span {
    int64_t begin, end;
    int64_t from;  // the input column that the first of them sees
  };

  Span SpanOf(int64_t remainder) const {
    const int64_t stride = w.stride[2], start = remainder - w.pad_begin[2];
    const int64_t room = w.input[2] - start;
    const int64_t begin =
        std::clamp<int64_t>(start >= 0 ? 0 : (-start + stride - 1) / stride, 0, columns);
    const int64_t end =
        std::clamp<int64_t>(room <= 0 ? 0 : (room + stride - 1) / stride, begin, columns);
    return {begin, end, start + begin * stride};
  }

  int64_t row_floats() const { return remainders * columns; }
  int64_t floats() const { return channels * input_rows * row_floats(); }

  /// From x: [channels][H][W], for output rows from `first` on.
  void Fill(const float* x, int64_t first, float* strip) const {
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t i = 0; i < input_rows; ++i, strip += row_floats()) {
        const int64_t row = first * w.stride[1] + i - w.pad_begin[1];
        if (row < 0 || row >= w.input[1]) {
          std::fill_n(strip, row_floats(), 0.0f);
        } else {
          FillRow(x + (c * w.input[1] + row) * w.input[2], strip);
        }
      }
    }
  }

  void FillRow(const float* row, float* to) const {
    for (const Span& span : spans) {
      std::fill_n(to, span.begin, 0.0f);
      Gather(row + span.from, span.end - span.begin, to + span.begin);
      std::fill_n(to + span.end, columns - span.end, 0.0f);
      to += columns;
    }
  }

  /// Every stride-th number.
  void Gather(const float* from, int64_t count, float* to) const {
    const int64_t stride = w.stride[2];
    if (stride == 1) {
      std::copy_n(from, count, to);
    } else if (stride == 2) {
      every_second(from, count, to);
    } else {
      for (int64_t i = 0; i < count; ++i) to[i] = from[i * stride];
    }
  }

  Window w;
  int64_t channels;
  void (*every_second)(const float* x, ptrdiff_t count, float* y);
  int64_t rows = 1;  // of the output
  int64_t remainders = 1, columns = 1, input_rows = 1;
  std::vector<Span> spans;      // of the remainders
  std::vector<ptrdiff_t> taps;  // channel by channel
};

class PlanarConv final : public Kernel {
 public:
  PlanarConv(ConvNode conv, const simd::Microkernels& microkernels)
      : conv_(std::move(conv)),
        microkernels_(microkernels),
        strip_(conv_, microkernels),
        panels_(SplitIntoPanels(BlockCount(conv_.outputs), microkernels.conv.max_blocks)),
        narrow_(conv_.outputs <= simd::kNarrow),
        weights_(static_cast<size_t>(BlockCount(conv_.outputs) * kBlock * Depth())) {
    narrow_ ? PackNarrow() : Pack();
    conv_.weights = {};
  }

  int InPlaceInput() const override { return conv_.has_residual ? 3 : -1; }
  bool PacksInput(size_t i) const override { return ConvNode::Packs(i); }
  size_t PackedBytes() const override { return weights_.bytes(); }
  size_t ScratchBytes(int64_t, int threads) const override {
    return static_cast<size_t>(threads * StripFloats()) * sizeof(float);
  }

  Status Run(const KernelCall& call) const override {
    const int64_t rows = conv_.window.output[1];
    const int64_t chunks = (rows + strip_.rows - 1) / strip_.rows;
    call.team->ForEach(call.inputs[0].shape[0] * chunks, [&](int64_t task, int member) {
      const int64_t image = task / chunks, first = task % chunks * strip_.rows;
      float* strip = reinterpret_cast<float*>(call.scratch) + member * StripFloats();
      const float* x = reinterpret_cast<const float*>(call.inputs[0].bytes);
      strip_.Fill(x + image * conv_.inputs * conv_.window.InputSize(), first, strip);
      RunChunk(call, image, first, std::min(rows, first + strip_.rows), strip);
    });
    return OkStatus();
  }

 private:
  int64_t Depth() const { return conv_.inputs * conv_.taps(); }
  /// With what narrow tiles read behind the last pixel.
  int64_t StripFloats() const { return strip_.floats() + microkernels_.narrow_conv.pixels - 1; }

  /// [panels][depth][panel].
  void Pack() {
    const auto from = conv_.weights.data<float>();
    float* to = weights_.data();
    int64_t first = 0;
    for (const int blocks : panels_) {
      for (int64_t d = 0; d < Depth(); ++d) {
        for (int64_t k = first; k < first + blocks * kBlock; ++k) {
          *to++ = k < conv_.outputs ? from[static_cast<size_t>(k * Depth() + d)] : 0;
        }
      }
      first += blocks * kBlock;
    }
  }

  /// [depth][kNarrow][pixels], each weight as often as pixels share a register.
  void PackNarrow() {
    const auto from = conv_.weights.data<float>();
    float* to = weights_.data();
    const int pixels = microkernels_.narrow_conv.pixels;
    for (int64_t d = 0; d < Depth(); ++d) {
      for (int64_t k = 0; k < simd::kNarrow; ++k, to += pixels) {
        std::fill_n(to, pixels,
                    k < conv_.outputs ? from[static_cast<size_t>(k * Depth() + d)] : 0.0f);
      }
    }
  }

  void RunChunk(const KernelCall& call, int64_t image, int64_t first, int64_t last,
                const float* strip) const {
    const auto& output = call.outputs[0];
    const int64_t row_floats = conv_.window.output[2] * kBlock;
    const int64_t plane = conv_.window.output[1] * row_floats;
    simd::ConvRun run;
    run.taps = strip_.taps.data();
    run.tap_count = Depth();
    run.weights = weights_.data();
    run.y_block_stride = plane;
    run.pixels = conv_.window.output[2];
    int64_t block = 0;
    for (const int blocks : panels_) {
      run.blocks = blocks;
      simd::Epilogue epilogue = conv_.EpilogueFrom(block);
      epilogue.residual_block_stride = plane;
      for (int64_t row = first; row < last; ++row) {
        const int64_t offset = block * plane + row * row_floats;
        run.x = strip + (row - first) * conv_.window.stride[1] * strip_.row_floats();
        run.y = reinterpret_cast<float*>(output.bytes) + image * output.image_stride + offset;
        if (conv_.has_residual) {
          const auto& residual = call.inputs[3];
          epilogue.residual = reinterpret_cast<const float*>(residual.bytes) +
                              image * residual.image_stride + offset;
        }
        (narrow_ ? microkernels_.narrow_conv.run : microkernels_.conv.planar)(run, epilogue);
        for (int b = 0; b < blocks; ++b) {
          conv_.FinishPixels(microkernels_, run.y + b * plane, run.pixels);
        }
      }
      run.weights += Depth() * blocks * kBlock;
      block += blocks;
    }
  }

  ConvNode conv_;
  const simd::Microkernels& microkernels_;
  PlanarStrip strip_;
  std::vector<int> panels_;  // blocks of each
  bool narrow_;              // simd::NarrowConvMicrokernels serve it
  WeightBuffer weights_;
};

std::string WhyNot(const NodeView& node) {
  if (std::string why = WhyNotDense(node); !why.empty()) return why;
  if (node.shape(0)[1] > kMaxChannels) return "more than four channels";
  if (node.attributes().Int("group", 1).value_or(1) != 1) return "groups";
  if (node.shape(0)[1] == 1 && node.shape(1)[0] == 1) return "depthwise";
  const Window w = *ConvWindow(node.graph(), node.node());
  double row_bytes = static_cast<double>((w.kernel[1] - 1) * w.dilation[1] + 1);
  row_bytes *= static_cast<double>(sizeof(float)) *
               static_cast<double>((w.kernel[2] - 1) * w.dilation[2] + w.stride[2] * w.output[2]);
  return row_bytes > kMaxRowBytes ? "a row of its windows is too large" : "";
}

KernelResult MakePlanar(const NodeView& node, const simd::Microkernels& microkernels) {
  TRAWL_ASSIGN(ConvNode conv, ReadConv(node));
  return std::make_unique<PlanarConv>(std::move(conv), microkernels);
}

constexpr KernelDef Def(std::string_view op) {
  return {.name = "f32_conv_planar",
          .op = op,
          .rank = 40,
          .why_not = WhyNot,
          .make_simd = MakePlanar,
          .layout = Layout::kBlocked,
          .plain_input = true};
}

constexpr KernelDef kKernels[] = {Def("Conv"), Def("FusedConv")};

}  // namespace

std::span<const KernelDef> PlanarConvKernels() { return kKernels; }

}  // namespace trawl::engine
