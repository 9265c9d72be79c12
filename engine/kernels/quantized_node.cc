#include "engine/kernels/quantized_node.h"

#include <algorithm>

namespace trawl::engine {
namespace {

using simd::kInt8Depth;
using simd::kInt8Panel;

int64_t RoundUp(int64_t bytes) { return (bytes + kInt8Depth - 1) / kInt8Depth * kInt8Depth; }

/// By panel and lane, 0 where there is no channel.
Tensor ByLane(const Tensor& values, const QuantizedNode& node) {
  Tensor lanes(DType::kF32, {node.panels(), node.panel_size()});
  const auto from = values.data<float>();
  auto to = lanes.mutable_data<float>().begin();
  for (int64_t panel = 0; panel < node.panels(); ++panel) {
    for (int lane = 0; lane < node.panel_size(); ++lane, ++to) {
      const auto channel = static_cast<size_t>(node.ChannelOf(panel, lane));
      if (channel < from.size()) *to = from[channel];
    }
  }
  return lanes;
}

}  // namespace

Result<QuantizedNode> ReadQuantizedConv(const NodeView& node) {
  QuantizedNode read;
  TRAWL_ASSIGN(read.window, ConvWindow(node.graph(), node.node()));
  TRAWL_ASSIGN(read.group, node.attributes().Int("group", 1));
  TRAWL_ASSIGN(read.product, GetProduct(node.attributes()));
  read.inputs = node.shape(0)[1];
  read.weights = *node.constant(1);
  read.outputs = read.weights.shape()[0];
  read.has_residual = node.HasInput(4);
  return read;
}

Result<QuantizedNode> ReadQuantizedGemm(const NodeView& node) {
  QuantizedNode read;
  TRAWL_ASSIGN(read.product, GetProduct(node.attributes()));
  TRAWL_ASSIGN(const int64_t to_float, node.attributes().Int("to_float", 0));
  read.inputs = node.shape(0)[1];
  read.weights = *node.constant(1);
  read.outputs = read.weights.shape()[0];
  read.to_float = to_float != 0;
  return read;
}

QuantizedEpilogues::QuantizedEpilogues(const NodeView& node, const QuantizedNode& read)
    : multiplier_(ByLane(*node.constant(2), read)), shift_(ByLane(*node.constant(3), read)) {
  const QuantizedProduct& product = read.product;
  common_.low = static_cast<uint8_t>(product.low);
  common_.high = static_cast<uint8_t>(product.high);
  common_.has_residual = read.has_residual;
  common_.joins = product.joins;
  common_.own_scale = product.sum.a_scale;
  common_.residual_scale = product.sum.b_scale;
  common_.sum_shift = product.sum.shift;
  common_.sum_low = static_cast<uint8_t>(product.sum.low);
  common_.sum_high = static_cast<uint8_t>(product.sum.high);
  common_.to_float = read.to_float;
  panel_size_ = read.panel_size();
}

simd::Int8Epilogue QuantizedEpilogues::Of(int64_t panel) const {
  simd::Int8Epilogue epilogue = common_;
  epilogue.multiplier = multiplier_.data<float>().data() + panel * panel_size_;
  epilogue.shift = shift_.data<float>().data() + panel * panel_size_;
  return epilogue;
}

QuantizedPanels::QuantizedPanels(const QuantizedNode& node, int64_t step, bool joined) {
  size_t bytes = 0;
  const int64_t taps = joined ? node.window.kernel[1] : node.taps();
  for (int64_t i = 0; i < node.panels(); ++i) {
    // Of a grouped convolution, a panel reads the channels that its groups lie in.
    const int64_t first = i * kInt8Panel, last = std::min(first + kInt8Panel, node.outputs) - 1;
    const int64_t first_input = first / node.group_outputs() * node.group_inputs();
    const int64_t end = (last / node.group_outputs() + 1) * node.group_inputs();
    Panel panel{.first_input = first_input / kInt8Depth * kInt8Depth, .offset = bytes};
    panel.depth = joined ? RoundUp(node.window.kernel[2] * step)
                         : std::min(step, RoundUp(end)) - panel.first_input;
    bytes += static_cast<size_t>(taps * panel.depth * kInt8Panel);
    panels_.push_back(panel);
  }
  buffer_ = WeightBuffer(bytes / sizeof(float) + 1);
  for (int64_t i = 0; i < node.panels(); ++i) Pack(node, i, step, joined);
  ones_.resize(static_cast<size_t>(panels_[0].depth));
  for (size_t b = 0; b < ones_.size(); ++b) {
    const auto channel = static_cast<int64_t>(b) % step;
    const bool in_row = static_cast<int64_t>(b) / step < node.window.kernel[2];
    ones_[b] = in_row && channel < node.inputs ? 1 : 0;
  }
}

void QuantizedPanels::Pack(const QuantizedNode& node, int64_t index, int64_t step, bool joined) {
  const Panel& panel = panels_[static_cast<size_t>(index)];
  const auto from = node.weights.data<int8_t>();
  const int64_t columns = node.window.kernel[2], depth = node.group_inputs();
  auto* to = reinterpret_cast<int8_t*>(buffer_.data()) + panel.offset;
  for (int64_t tap = 0; tap < (joined ? node.window.kernel[1] : node.taps()); ++tap) {
    for (int64_t group = 0; group < panel.depth; group += kInt8Depth) {
      for (int lane = 0; lane < kInt8Panel; ++lane) {
        const int64_t output = node.ChannelOf(index, lane);
        for (int64_t b = group; b < group + kInt8Depth; ++b) {
          const int64_t input = joined ? b % step : panel.first_input + b;
          const int64_t source_tap = joined ? tap * columns + b / step : tap;
          const int64_t in_group = input - output / node.group_outputs() * depth;
          const bool meets = (!joined || b / step < columns) && output < node.outputs &&
                             input < node.inputs && in_group >= 0 && in_group < depth;
          *to++ = meets ? from[static_cast<size_t>((output * depth + in_group) * node.taps() +
                                                   source_tap)]
                        : int8_t{0};
        }
      }
    }
  }
}

}  // namespace trawl::engine
