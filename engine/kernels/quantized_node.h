#pragma once
// What the quantised convolutions and products read of a node at load, and the parameters of their
// epilogues by panel.

#include <vector>

#include "engine/interleaved.h"
#include "engine/kernels/kernel.h"
#include "engine/kernels/weight_buffer.h"
#include "engine/ops/quantized.h"
#include "engine/ops/window.h"

namespace trawl::engine {

/// A QuantizedConv of two spatial dimensions, or a QuantizedGemm as one of a single pixel.
struct QuantizedNode {
  Window window;
  int64_t group = 1;
  int64_t inputs = 0, outputs = 0;  // channels
  Tensor weights;                   // i8, [outputs, inputs / group, taps]
  QuantizedProduct product;
  bool has_residual = false;
  bool to_float = false;

  int64_t taps() const { return window.kernel[1] * window.kernel[2]; }
  int64_t group_inputs() const { return inputs / group; }
  int64_t group_outputs() const { return outputs / group; }
  bool IsDepthwise() const { return group == inputs && group == outputs && group > 1; }
  int64_t panel_size() const { return IsDepthwise() ? simd::kInt8WidePanel : simd::kInt8Panel; }
  int64_t panels() const { return (outputs + panel_size() - 1) / panel_size(); }
  /// The taps of a row are contiguous in memory.
  bool JoinsTaps() const { return group == 1 && window.dilation[2] == 1; }
  /// A row of taps has fewer products of four bytes when its pixels have no bytes between them.
  bool GainsFromNarrowPixels() const {
    const int64_t columns = window.kernel[2];
    return JoinsTaps() && inputs < simd::kInt8Depth &&
           (columns * inputs + simd::kInt8Depth - 1) / simd::kInt8Depth < columns;
  }
  /// Output channels of a panel.
  int Stored(int64_t panel, int64_t step) const {
    return static_cast<int>(std::min(panel_size(), step - panel * panel_size()));
  }
  /// The channel whose sum is at `lane` of the panel's registers. Where a wide panel holds several
  /// pixels, their channels repeat.
  int64_t ChannelOf(int64_t panel, int lane) const {
    if (!IsDepthwise()) return panel * panel_size() + simd::Int8Channel(lane);
    return panel * panel_size() + simd::Int8WideChannel(lane) % (panel_size() / wide_pixels());
  }
  /// Pixels whose channels fit a wide panel exactly; 1 where none do.
  int64_t wide_pixels() const {
    const int64_t step = InterleavedStep(outputs);
    return simd::kInt8WidePanel % step == 0 ? simd::kInt8WidePanel / step : 1;
  }
  static bool Packs(size_t i) { return i >= 1 && i <= 3; }
};

Result<QuantizedNode> ReadQuantizedConv(const NodeView& node);
Result<QuantizedNode> ReadQuantizedGemm(const NodeView& node);

/// Multipliers and shifts by panel and lane.
class QuantizedEpilogues {
 public:
  QuantizedEpilogues() = default;
  QuantizedEpilogues(const NodeView& node, const QuantizedNode& read);
  simd::Int8Epilogue Of(int64_t panel) const;

 private:
  simd::Int8Epilogue common_;
  int64_t panel_size_ = simd::kInt8Panel;
  Tensor multiplier_, shift_;  // [panels, panel_size]
};

/// Weights of dense convolutions in panels, for simd::Int8Microkernels::conv.
class QuantizedPanels {
 public:
  struct Panel {
    int64_t first_input = 0;  // channel, a multiple of kInt8Depth
    int64_t depth = 0;        // bytes at each tap
    size_t offset = 0;        // of its weights
  };

  QuantizedPanels() = default;
  /// `joined`: taps of a row are one, `step` bytes each, filled up to a multiple of kInt8Depth.
  QuantizedPanels(const QuantizedNode& node, int64_t step, bool joined);
  const Panel& panel(int64_t i) const { return panels_[static_cast<size_t>(i)]; }
  const int8_t* weights(int64_t i) const { return Data() + panel(i).offset; }
  /// 1 for each byte of panel 0's taps that belongs to a channel.
  const std::vector<int8_t>& ones() const { return ones_; }
  size_t bytes() const { return buffer_.bytes(); }

 private:
  const int8_t* Data() const { return reinterpret_cast<const int8_t*>(buffer_.data()); }
  void Pack(const QuantizedNode& node, int64_t index, int64_t step, bool joined);

  std::vector<Panel> panels_;
  std::vector<int8_t> ones_;
  WeightBuffer buffer_;
};

}  // namespace trawl::engine
