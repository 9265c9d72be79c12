// Concatenation of blocked values along their channels. An input that the execution has laid into
// the output already (engine/buffers.h) is left where it is.
#include <algorithm>
#include <cstring>

#include "engine/kernels/blocked_tasks.h"
#include "engine/kernels/tables.h"

namespace trawl::engine {
namespace {

using simd::kBlock;

constexpr int64_t kPixelBytes = kBlock * sizeof(float);

/// The first `count` channels of a block at x become those of one at y.
void CopyLanes(const float* x, float* y, int64_t count, int64_t pixels) {
  if (count == kBlock) {
    std::memcpy(y, x, static_cast<size_t>(pixels * kPixelBytes));
    return;
  }
  const size_t bytes = static_cast<size_t>(count) * sizeof(float);
  for (int64_t p = 0; p < pixels; ++p) std::memcpy(y + p * kBlock, x + p * kBlock, bytes);
}

/// Fills the task's block of the output from input `x`, which begins at channel `begin` of it.
void CopyInput(const BlockTask& task, const ConstTensorView& x, int64_t begin,
               const TensorView& out) {
  const int64_t first = task.block * kBlock;  // the output's channels of this block
  const int64_t pixels = out.shape[2] * out.shape[3];
  float* y = task.In(out);
  int64_t channel = std::max(first, begin);
  const int64_t end = std::min(first + kBlock, begin + x.shape[1]);
  while (channel < end) {
    const int64_t from = channel - begin;  // of x
    const int64_t count = std::min(end - channel, kBlock - from % kBlock);
    BlockTask source = task;
    source.block = from / kBlock;
    const float* lanes = source.In(x) + from % kBlock;
    float* to = y + channel - first;
    if (lanes != to) CopyLanes(lanes, to, count, pixels);  // else at home already
    channel += count;
  }
}

Status Concatenate(const KernelCall& call) {
  const auto& out = call.outputs[0];
  const int64_t blocks = BlockCount(out.shape[1]);
  call.team->ForEach(out.shape[0] * blocks, [&](int64_t index, int) {
    const BlockTask task{index / blocks, index % blocks, 0, out.shape[2]};
    int64_t begin = 0;
    for (const ConstTensorView& x : call.inputs) {
      CopyInput(task, x, begin, out);
      begin += x.shape[1];
    }
    ClearPadding(out, task.block, task.In(out), out.shape[2] * out.shape[3]);
  });
  return OkStatus();
}

KernelResult MakeConcat(const NodeView&, const simd::Microkernels&) {
  return MakeKernel(Concatenate);
}

std::string WhyNot(const NodeView& node) {
  const auto axis = NodeView::Axis(node.attributes().Int("axis", 0).value_or(0), 4);
  if (!axis || *axis != 1) return "not along the channels";
  for (size_t i = 0; i < node.input_count(); ++i) {
    if (node.constant(i) != nullptr) return "an input is a constant";
  }
  return "";
}

constexpr KernelDef kKernels[] = {
    {.name = "f32_concat_blocked",
     .op = "Concat",
     .rank = 2,
     .why_not = WhyNot,
     .make_simd = MakeConcat,
     .layout = Layout::kBlocked},
};

}  // namespace

std::span<const KernelDef> BlockedConcatKernels() { return kKernels; }

}  // namespace trawl::engine
