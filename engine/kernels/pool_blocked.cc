// Pooling of blocked values.
#include <limits>

#include "engine/kernels/blocked_tasks.h"
#include "engine/kernels/pool_taps.h"
#include "engine/kernels/row_window.h"
#include "engine/kernels/tables.h"
#include "engine/kernels/window_runs.h"

namespace trawl::engine {
namespace {

KernelResult MakeMaxPool(const NodeView& node, const simd::Microkernels& microkernels) {
  TRAWL_ASSIGN(const Window window, PoolWindow(node.graph(), node.node()));
  return MakeKernel(
      [runs = WindowRuns(window), max = microkernels.window.max](const KernelCall& call) {
        ForEachBlockTask(call, [&](const BlockTask& task) {
          for (int64_t row = task.first_row; row < task.last_row; ++row) {
            runs.ForEach(task.In(call.inputs[0]), task.In(call.outputs[0]), row,
                         [&](const simd::WindowRun& run, TapRange, TapRange, int64_t) {
                           max(run, std::numeric_limits<float>::lowest());
                         });
          }
        });
        return OkStatus();
      });
}

class BlockedAveragePool final : public Kernel {
 public:
  BlockedAveragePool(const Window& window, bool include_pad, const simd::Microkernels& microkernels)
      : runs_(window), include_pad_(include_pad), average_(microkernels.window.average) {}

  Status Run(const KernelCall& call) const override {
    ForEachBlockTask(call, [&](const BlockTask& task) {
      for (int64_t row = task.first_row; row < task.last_row; ++row) {
        const int64_t row_taps = CountedTaps(runs_.window(), 1, row, include_pad_);
        runs_.ForEach(task.In(call.inputs[0]), task.In(call.outputs[0]), row,
                      [&](const simd::WindowRun& run, TapRange, TapRange, int64_t pixel) {
                        AverageRun(run, row_taps, pixel);
                      });
      }
    });
    return OkStatus();
  }

 private:
  /// Pixels of a run see the same taps, but those past an edge may count differently.
  void AverageRun(simd::WindowRun run, int64_t row_taps, int64_t pixel) const {
    const int64_t end = pixel + run.pixels;
    while (pixel < end) {
      const int64_t taps = CountedTaps(runs_.window(), 2, pixel, include_pad_);
      run.pixels = 1;
      while (pixel + run.pixels < end &&
             CountedTaps(runs_.window(), 2, pixel + run.pixels, include_pad_) == taps) {
        ++run.pixels;
      }
      average_(run, std::max(1.0f, static_cast<float>(row_taps * taps)));
      pixel += run.pixels;
      run.x += run.pixels * run.pixel_step;
      run.y += run.pixels * simd::kBlock;
    }
  }

  WindowRuns runs_;
  bool include_pad_;
  void (*average_)(const simd::WindowRun& run, float divisor);
};

KernelResult MakeAveragePool(const NodeView& node, const simd::Microkernels& microkernels) {
  TRAWL_ASSIGN(const Window window, PoolWindow(node.graph(), node.node()));
  TRAWL_ASSIGN(const int64_t include_pad, node.attributes().Int("count_include_pad", 0));
  return std::make_unique<BlockedAveragePool>(window, include_pad != 0, microkernels);
}

KernelResult MakeGlobalAveragePool(const NodeView&, const simd::Microkernels& microkernels) {
  return MakeKernel([mean = microkernels.window.mean](const KernelCall& call) {
    const int64_t pixels = call.inputs[0].shape[2] * call.inputs[0].shape[3];
    ForEachBlockTask(call, [&](const BlockTask& task) {
      mean(task.In(call.inputs[0]), pixels, task.In(call.outputs[0]));
    });
    return OkStatus();
  });
}

std::string WhyNot(const NodeView& node) {
  const auto window = PoolWindow(node.graph(), node.node());
  if (!window) return window.error().message();
  return IsPlanar(*window) ? "" : "three spatial dimensions";
}

constexpr KernelDef kKernels[] = {
    {.name = "f32_maxpool_blocked",
     .op = "MaxPool",
     .rank = 2,
     .why_not = WhyNot,
     .make_simd = MakeMaxPool,
     .layout = Layout::kBlocked},
    {.name = "f32_avgpool_blocked",
     .op = "AveragePool",
     .rank = 2,
     .why_not = WhyNot,
     .make_simd = MakeAveragePool,
     .layout = Layout::kBlocked},
    {.name = "f32_gavgpool_blocked",
     .op = "GlobalAveragePool",
     .rank = 2,
     .make_simd = MakeGlobalAveragePool,
     .layout = Layout::kBlocked},
};

}  // namespace

std::span<const KernelDef> BlockedPoolKernels() { return kKernels; }

}  // namespace trawl::engine
