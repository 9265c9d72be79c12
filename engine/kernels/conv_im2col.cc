// Convolution as matrix products: the windows of some rows of the output become the columns of a
// matrix, which the weights multiply. A pointwise convolution needs no columns: the image is the
// matrix.
#include <algorithm>
#include <cstring>

#include "engine/kernels/activation.h"
#include "engine/kernels/blas.h"
#include "engine/kernels/tables.h"
#include "engine/ops/window.h"

namespace trawl::engine {
namespace {

/// Columns at a time: they are written and read again at once, so they should stay in a
/// second-level cache.
constexpr int64_t kColumnBytes = 512 << 10;

/// Copies what tap (kd, kh, kw) of one channel sees in output row (od, oh) to `to`, zeros where it
/// sees padding.
void CopyTapRow(const Window& w, const float* plane, int64_t d, int64_t h, int64_t kw, float* to) {
  const int64_t width = w.output[2];
  if (d < 0 || d >= w.input[0] || h < 0 || h >= w.input[1]) {
    std::fill_n(to, width, 0.0f);
    return;
  }
  const float* row = plane + (d * w.input[1] + h) * w.input[2];
  const int64_t start = kw * w.dilation[2] - w.pad_begin[2], stride = w.stride[2];
  // Output positions [first, last) read inside the row.
  const int64_t first =
      std::clamp<int64_t>(start >= 0 ? 0 : (-start + stride - 1) / stride, 0, width);
  const int64_t room = w.input[2] - start;
  const int64_t last =
      std::clamp<int64_t>(room <= 0 ? 0 : (room + stride - 1) / stride, first, width);
  std::fill_n(to, first, 0.0f);
  if (stride == 1) {
    std::copy_n(row + start + first, last - first, to + first);
  } else {
    for (int64_t i = first; i < last; ++i) to[i] = row[start + i * stride];
  }
  std::fill_n(to + last, width - last, 0.0f);
}

class Im2colConv final : public Kernel {
 public:
  Im2colConv(const Window& window, Activation activation, int64_t group, const Shape& weights,
             bool has_residual)
      : window_(window),
        activation_(activation),
        group_(group),
        group_inputs_(weights[1]),
        group_outputs_(weights[0] / group),
        depth_(weights[1] * window.KernelSize()),
        has_residual_(has_residual) {
    const int64_t row_bytes =
        std::max<int64_t>(1, depth_ * window.output[2]) * static_cast<int64_t>(sizeof(float));
    rows_ = std::clamp<int64_t>(kColumnBytes / row_bytes, 1,
                                std::max<int64_t>(1, window.output[0] * window.output[1]));
  }

  size_t ScratchBytes(int64_t, int) const override {
    if (window_.Pointwise()) return 0;
    return static_cast<size_t>(depth_ * rows_ * window_.output[2]) * sizeof(float);
  }
  int InPlaceInput() const override { return has_residual_ ? 3 : -1; }

  Status Run(const KernelCall& call) const override {
    const float* x = call.inputs[0].data<float>().data();
    float* y = call.outputs[0].data<float>().data();
    if (has_residual_ && call.inputs[3].bytes != call.outputs[0].bytes) {
      std::memcpy(y, call.inputs[3].bytes, call.outputs[0].byte_size());
    }
    for (int64_t n = 0; n < call.inputs[0].shape[0]; ++n) {
      for (int64_t g = 0; g < group_; ++g) {
        const int64_t in = (n * group_ + g) * group_inputs_ * window_.InputSize();
        const int64_t out = (n * group_ + g) * group_outputs_ * window_.OutputSize();
        ConvolveGroup(call, g, x + in, y + out);
      }
    }
    return OkStatus();
  }

 private:
  /// x: [group inputs, D, H, W]; y: [group outputs, …], which holds the residual if there is one.
  void ConvolveGroup(const KernelCall& call, int64_t g, const float* x, float* y) const {
    const int64_t size = window_.OutputSize();
    if (window_.Pointwise()) {
      MultiplyPanel(call, g, x, size, y, size);
      return;
    }
    const int64_t all_rows = window_.output[0] * window_.output[1];
    auto* columns = reinterpret_cast<float*>(call.scratch);
    for (int64_t row = 0; row < all_rows; row += rows_) {
      const int64_t rows = std::min(rows_, all_rows - row);
      FillColumns(x, row, rows, columns);
      MultiplyPanel(call, g, columns, rows * window_.output[2], y + row * window_.output[2],
                    rows * window_.output[2]);
    }
  }

  /// columns: [group inputs · taps, rows · output width] for output rows row … row + rows - 1.
  void FillColumns(const float* x, int64_t row, int64_t rows, float* columns) const {
    const Window& w = window_;
    for (int64_t c = 0; c < group_inputs_; ++c, x += w.InputSize()) {
      for (int64_t tap = 0; tap < w.KernelSize(); ++tap) {
        const int64_t kw = tap % w.kernel[2];
        const int64_t kh = tap / w.kernel[2] % w.kernel[1];
        const int64_t kd = tap / w.kernel[2] / w.kernel[1];
        for (int64_t r = row; r < row + rows; ++r, columns += w.output[2]) {
          const int64_t d = r / w.output[1] * w.stride[0] - w.pad_begin[0] + kd * w.dilation[0];
          const int64_t h = r % w.output[1] * w.stride[1] - w.pad_begin[1] + kh * w.dilation[1];
          CopyTapRow(w, x, d, h, kw, columns);
        }
      }
    }
  }

  /// y[:, 0:count] of each output channel = act(weights · columns + bias + what y holds if there is
  /// a residual).
  void MultiplyPanel(const KernelCall& call, int64_t g, const float* columns, int64_t count,
                     float* y, int64_t ldb) const {
    const float* weights = call.inputs[1].data<float>().data() + g * group_outputs_ * depth_;
    Sgemm({.m = group_outputs_,
           .n = count,
           .k = depth_,
           .a = weights,
           .lda = depth_,
           .b = columns,
           .ldb = ldb,
           .beta = has_residual_ ? 1.0f : 0.0f,
           .c = y,
           .ldc = window_.OutputSize()});
    const bool has_bias = call.inputs.size() > 2 && call.inputs[2].bytes != nullptr;
    const float* bias =
        has_bias ? call.inputs[2].data<float>().data() + g * group_outputs_ : nullptr;
    const bool has_scale = call.inputs.size() > 4;
    const float* scale =
        has_scale ? call.inputs[4].data<float>().data() + g * group_outputs_ : nullptr;
    for (int64_t m = 0; m < group_outputs_; ++m) {
      AddBiasAndActivate(activation_, has_bias ? bias[m] : 0, has_scale ? scale[m] : 1,
                         y + m * window_.OutputSize(), static_cast<size_t>(count));
    }
  }

  Window window_;
  Activation activation_;
  int64_t group_, group_inputs_, group_outputs_;
  int64_t depth_;  // group inputs · taps: the depth of the matrix product
  int64_t rows_ = 1;
  bool has_residual_;
};

std::string WhyNot(const NodeView& node) {
  const auto window = ConvWindow(node.graph(), node.node());
  if (!window) return window.error().message();
  const bool empty = ElementCount(node.shape(1)) == 0 || window->OutputSize() == 0;
  return empty ? "the weights or the output are empty" : "";
}

KernelResult MakeConv(const NodeView& node) {
  TRAWL_ASSIGN(const Window window, ConvWindow(node.graph(), node.node()));
  TRAWL_ASSIGN(const Activation activation, GetActivation(node.attributes()));
  TRAWL_ASSIGN(const int64_t group, node.attributes().Int("group", 1));
  return std::make_unique<Im2colConv>(window, activation, group, node.shape(1), node.HasInput(3));
}

constexpr KernelDef kKernels[] = {
    {.name = "f32_conv_im2col__openblas",
     .op = "Conv",
     .rank = 1,
     .why_not = WhyNot,
     .make = MakeConv},
    {.name = "f32_conv_im2col__openblas",
     .op = "FusedConv",
     .rank = 1,
     .why_not = WhyNot,
     .make = MakeConv},
};

}  // namespace

std::span<const KernelDef> ConvKernels() { return kKernels; }

}  // namespace trawl::engine
