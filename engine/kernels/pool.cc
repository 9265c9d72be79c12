// Max and average pooling over whole rows.
#include <algorithm>
#include <limits>

#include "engine/kernels/pool_taps.h"
#include "engine/kernels/row_window.h"
#include "engine/kernels/tables.h"

namespace trawl::engine {
namespace {

/// Calls `row(plane, oh, y)` for each output row of each plane.
template <class Row>
Status ForEachOutputRow(const KernelCall& call, const Window& w, Row row) {
  const float* x = call.inputs[0].data<float>().data();
  float* y = call.outputs[0].data<float>().data();
  const int64_t planes = call.inputs[0].shape[0] * call.inputs[0].shape[1];
  for (int64_t p = 0; p < planes; ++p, x += w.InputSize()) {
    for (int64_t oh = 0; oh < w.output[1]; ++oh, y += w.output[2]) row(x, oh, y);
  }
  return OkStatus();
}

KernelResult MakeMaxPool(const NodeView& node) {
  TRAWL_ASSIGN(const Window window, PoolWindow(node.graph(), node.node()));
  return MakeKernel([w = window](const KernelCall& call) {
    return ForEachOutputRow(call, w, [&](const float* plane, int64_t oh, float* y) {
      std::fill_n(y, w.output[2], std::numeric_limits<float>::lowest());
      ForEachTapRow(w, plane, oh, [&](const float* row, int64_t first, int64_t last, int64_t) {
        for (int64_t i = first; i < last; ++i) y[i] = std::max(y[i], row[i * w.stride[2]]);
      });
    });
  });
}

KernelResult MakeAveragePool(const NodeView& node) {
  TRAWL_ASSIGN(const Window window, PoolWindow(node.graph(), node.node()));
  TRAWL_ASSIGN(const int64_t include_pad, node.attributes().Int("count_include_pad", 0));
  std::vector<float> column_taps;
  for (int64_t i = 0; i < window.output[2]; ++i) {
    column_taps.push_back(static_cast<float>(CountedTaps(window, 2, i, include_pad != 0)));
  }
  return MakeKernel([w = window, include_pad, column_taps](const KernelCall& call) {
    return ForEachOutputRow(call, w, [&](const float* plane, int64_t oh, float* y) {
      std::fill_n(y, w.output[2], 0.0f);
      ForEachTapRow(w, plane, oh, [&](const float* row, int64_t first, int64_t last, int64_t) {
        for (int64_t i = first; i < last; ++i) y[i] += row[i * w.stride[2]];
      });
      const auto row_taps = static_cast<float>(CountedTaps(w, 1, oh, include_pad != 0));
      for (int64_t i = 0; i < w.output[2]; ++i) {
        // A dilated window may see nothing but padding; its average is 0.
        y[i] /= std::max(1.0f, row_taps * column_taps[static_cast<size_t>(i)]);
      }
    });
  });
}

std::string WhyNot(const NodeView& node) {
  const auto window = PoolWindow(node.graph(), node.node());
  if (!window) return window.error().message();
  return IsPlanar(*window) ? "" : "three spatial dimensions";
}

constexpr KernelDef kKernels[] = {
    {.name = "f32_maxpool_rows",
     .op = "MaxPool",
     .rank = 1,
     .why_not = WhyNot,
     .make = MakeMaxPool},
    {.name = "f32_avgpool_rows",
     .op = "AveragePool",
     .rank = 1,
     .why_not = WhyNot,
     .make = MakeAveragePool},
};

}  // namespace

std::span<const KernelDef> PoolKernels() { return kKernels; }

}  // namespace trawl::engine
