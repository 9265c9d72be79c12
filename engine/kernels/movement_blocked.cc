// Slice and Pad of blocked values: crops, borders, and the shortcuts of ResNets without projections
// (CIFAR's). Both read the input at an affine place per dimension; what lies outside is padding.
#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "engine/kernels/blocked_tasks.h"
#include "engine/kernels/tables.h"
#include "engine/ops/operands.h"

namespace trawl::engine {
namespace {

using simd::kBlock;

/// Element i of an output dimension is element `start + step * i` of the input's.
struct Line {
  int64_t start = 0, step = 1;
  int64_t operator()(int64_t i) const { return start + step * i; }
  bool IsIdentity(int64_t in, int64_t out) const { return start == 0 && step == 1 && in == out; }
};

/// Channels (their step is 1), rows and columns.
using Lines = std::array<Line, 3>;

bool Holds(int64_t dim, int64_t i) { return i >= 0 && i < dim; }

/// The outputs [first, last) along a dimension of `out` that lie within the input's `in`.
std::pair<int64_t, int64_t> Inside(const Line& line, int64_t in, int64_t out) {
  int64_t first = 0, last = out;
  while (first < last && !Holds(in, line(first))) ++first;
  while (last > first && !Holds(in, line(last - 1))) --last;
  return {first, last};
}

/// `count` channels of each pixel; steps in floats.
void CopyPixels(const float* x, int64_t x_step, float* y, int64_t pixels, int64_t count) {
  if (count == kBlock) {
    for (int64_t p = 0; p < pixels; ++p) {
      std::memcpy(y + p * kBlock, x + p * x_step, kBlock * sizeof(float));
    }
    return;
  }
  for (int64_t p = 0; p < pixels; ++p) {
    std::copy_n(x + p * x_step, count, y + p * kBlock);
  }
}

/// Output channels [channel, channel + count) of the task's block, which lie in one block of x.
void CopyChannels(const BlockTask& task, const Lines& lines, const ConstTensorView& x,
                  const TensorView& out, int64_t channel, int64_t count) {
  const auto& [channels, rows, columns] = lines;
  const int64_t from = channels(channel), x_width = x.shape[3], width = out.shape[3];
  BlockTask source = task;
  source.block = from / kBlock;
  const float* lanes = source.In(x) + from % kBlock;
  float* to = task.In(out) + channel % kBlock;
  const auto [first, last] = Inside(columns, x_width, width);
  if (first == last) return;
  for (int64_t row = task.first_row; row < task.last_row; ++row) {
    if (!Holds(x.shape[2], rows(row))) continue;
    CopyPixels(lanes + (rows(row) * x_width + columns(first)) * kBlock, columns.step * kBlock,
               to + (row * width + first) * kBlock, last - first, count);
  }
}

class BlockedMove final : public Kernel {
 public:
  /// `fill`: of what lies outside the input, when anything does.
  BlockedMove(const Lines& lines, std::optional<float> fill) : lines_(lines), fill_(fill) {}

  Status Run(const KernelCall& call) const override {
    const ConstTensorView& x = call.inputs[0];
    const TensorView& out = call.outputs[0];
    ForEachBlockTask(call, [&](const BlockTask& task) {
      const int64_t row_size = out.shape[3] * kBlock;
      float* y = task.In(out) + task.first_row * row_size;
      const int64_t pixels = (task.last_row - task.first_row) * out.shape[3];
      if (fill_) std::fill_n(y, pixels * kBlock, *fill_);
      const int64_t first = task.block * kBlock;
      const int64_t end = std::min(first + kBlock, out.shape[1]);
      for (int64_t channel = first; channel < end;) {
        const int64_t from = lines_[0](channel);
        if (!Holds(x.shape[1], from)) {
          ++channel;
          continue;
        }
        const int64_t count = std::min({end - channel, kBlock - from % kBlock, x.shape[1] - from});
        CopyChannels(task, lines_, x, out, channel, count);
        channel += count;
      }
      ClearPadding(out, task.block, y, pixels);
    });
    return OkStatus();
  }

 private:
  Lines lines_;
  std::optional<float> fill_;
};

KernelResult MakeSlice(const NodeView& node, const simd::Microkernels&) {
  TRAWL_ASSIGN(const auto ranges, SliceRanges(node));
  Lines lines;
  for (size_t i = 0; i < lines.size(); ++i) lines[i] = {ranges[i + 1].start, ranges[i + 1].step};
  return std::make_unique<BlockedMove>(lines, std::nullopt);
}

std::string WhyNoSlice(const NodeView& node) {
  const auto ranges = SliceRanges(node);
  if (!ranges) return ranges.error().message();
  const Line images{ranges->at(0).start, ranges->at(0).step};
  if (!images.IsIdentity(node.shape(0)[0], node.output_shape(0)[0])) return "a part of the batch";
  return ranges->at(1).step == 1 ? "" : "channels with a step";
}

KernelResult MakePad(const NodeView& node, const simd::Microkernels&) {
  TRAWL_ASSIGN(const PadSpec spec, ReadPads(node));
  Lines lines;
  for (size_t i = 0; i < lines.size(); ++i) lines[i].start = -spec.begin[i + 1];
  const float fill = node.HasInput(2) ? node.constant(2)->data<float>()[0] : 0.0f;
  return std::make_unique<BlockedMove>(lines, fill);
}

std::string WhyNoPad(const NodeView& node) {
  const auto spec = ReadPads(node);
  if (!spec) return spec.error().message();
  if (spec->mode != PadMode::kConstant) return "mode is not constant";
  if (spec->begin[0] != 0 || spec->end[0] != 0) return "a padded batch";
  return node.HasInput(2) && node.constant(2) == nullptr ? "the padding value is computed" : "";
}

constexpr KernelDef kKernels[] = {
    {.name = "f32_slice_blocked",
     .op = "Slice",
     .rank = 2,
     .why_not = WhyNoSlice,
     .make_simd = MakeSlice,
     .layout = Layout::kBlocked},
    {.name = "f32_pad_blocked",
     .op = "Pad",
     .rank = 2,
     .why_not = WhyNoPad,
     .make_simd = MakePad,
     .layout = Layout::kBlocked},
};

}  // namespace

std::span<const KernelDef> BlockedMovementKernels() { return kKernels; }

}  // namespace trawl::engine
