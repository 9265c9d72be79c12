// Reorder: [N, C, H, W] to and from Layout::kBlocked. It stands at the borders of the blocked part
// of a network, where values are small, or in networks that the blocked kernels serve only partly.
#include <algorithm>

#include "engine/blocked.h"
#include "engine/kernels/tables.h"

namespace trawl::engine {
namespace {

using simd::kBlock;

/// Pixels at a time: 16 channels of them fit the first-level cache on both sides.
constexpr int64_t kPixels = 128;

/// blocked[pixel][channel] = planes[channel][pixel], zero from `channels` on.
void Block(const float* planes, int64_t plane, int64_t channels, int64_t pixels, float* blocked) {
  for (int64_t c = 0; c < kBlock; ++c) {
    if (c < channels) {
      const float* from = planes + c * plane;
      for (int64_t p = 0; p < pixels; ++p) blocked[p * kBlock + c] = from[p];
    } else {
      for (int64_t p = 0; p < pixels; ++p) blocked[p * kBlock + c] = 0;
    }
  }
}

void Unblock(const float* blocked, int64_t plane, int64_t channels, int64_t pixels, float* planes) {
  for (int64_t c = 0; c < channels; ++c) {
    float* to = planes + c * plane;
    for (int64_t p = 0; p < pixels; ++p) to[p] = blocked[p * kBlock + c];
  }
}

/// One block of one image.
struct Task {
  int64_t image, block;
  int64_t channels;  // that mean something
};

template <class Body>
void ForEachBlock(const KernelCall& call, Body body) {
  const auto shape = call.outputs[0].shape;
  const int64_t blocks = BlockCount(shape[1]);
  call.team->ForEach(shape[0] * blocks, [&](int64_t task, int) {
    const int64_t block = task % blocks;
    body(Task{task / blocks, block, std::min<int64_t>(kBlock, shape[1] - block * kBlock)});
  });
}

KernelResult MakeBlock(const NodeView&) {
  return MakeKernel([](const KernelCall& call) {
    const auto& to = call.outputs[0];
    const int64_t plane = to.shape[2] * to.shape[3];
    const auto* x = reinterpret_cast<const float*>(call.inputs[0].bytes);
    auto* y = reinterpret_cast<float*>(to.bytes);
    ForEachBlock(call, [&](const Task& task) {
      const float* planes = x + (task.image * to.shape[1] + task.block * kBlock) * plane;
      float* blocked = y + task.image * to.image_stride + task.block * kBlock * plane;
      for (int64_t p = 0; p < plane; p += kPixels) {
        Block(planes + p, plane, task.channels, std::min(kPixels, plane - p), blocked + p * kBlock);
      }
    });
    return OkStatus();
  });
}

KernelResult MakeUnblock(const NodeView&) {
  return MakeKernel([](const KernelCall& call) {
    const auto& from = call.inputs[0];
    const int64_t plane = from.shape[2] * from.shape[3];
    const auto* x = reinterpret_cast<const float*>(from.bytes);
    auto* y = reinterpret_cast<float*>(call.outputs[0].bytes);
    ForEachBlock(call, [&](const Task& task) {
      const float* blocked = x + task.image * from.image_stride + task.block * kBlock * plane;
      float* planes = y + (task.image * from.shape[1] + task.block * kBlock) * plane;
      for (int64_t p = 0; p < plane; p += kPixels) {
        Unblock(blocked + p * kBlock, plane, task.channels, std::min(kPixels, plane - p),
                planes + p);
      }
    });
    return OkStatus();
  });
}

constexpr KernelDef kKernels[] = {
    {.name = "f32_reorder_blocked",
     .op = "Reorder",
     .rank = 1,
     .make = MakeBlock,
     .layout = Layout::kBlocked,
     .plain_input = true},
    {.name = "f32_reorder_plain", .op = "Reorder", .rank = 1, .make = MakeUnblock},
};

}  // namespace

std::span<const KernelDef> ReorderKernels() { return kKernels; }

}  // namespace trawl::engine
