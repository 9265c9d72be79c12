#include "engine/kernels/conv_panels.h"

#include "engine/blocked.h"

namespace trawl::engine {
namespace {

using simd::kBlock;

/// The panel of `blocks` blocks from `block` on, and what its groups read.
ConvPanel PanelAt(const ConvNode& conv, int64_t block, int blocks) {
  ConvPanel panel{.block = block, .blocks = blocks};
  const int64_t first = block * kBlock;
  const int64_t last = std::min(conv.outputs, first + blocks * kBlock) - 1;
  const int64_t first_input = first / conv.group_outputs() * conv.group_inputs();
  const int64_t end = (last / conv.group_outputs() + 1) * conv.group_inputs();
  panel.input_block = first_input / kBlock;
  panel.channels = end - panel.input_block * kBlock;
  return panel;
}

}  // namespace

std::vector<int> SplitIntoPanels(int64_t blocks, int max_blocks) {
  std::vector<int> sizes;
  while (blocks > 0) {
    const int size = max_blocks >= 3 && blocks == 3
                         ? 3
                         : static_cast<int>(std::min<int64_t>({blocks, max_blocks, 2}));
    sizes.push_back(size);
    blocks -= size;
  }
  return sizes;
}

ConvPanels::ConvPanels(const ConvNode& conv, int max_blocks) {
  // Small groups: one block, so that a panel reads no more than its groups need.
  const bool narrow = conv.group > 1 && conv.group_outputs() < 2 * kBlock;
  int64_t block = 0;
  size_t size = 0;
  for (const int blocks : SplitIntoPanels(BlockCount(conv.outputs), narrow ? 1 : max_blocks)) {
    ConvPanel panel = PanelAt(conv, block, blocks);
    panel.offset = size;
    size += static_cast<size_t>(panel.channels * conv.taps() * blocks * kBlock);
    panels_.push_back(panel);
    block += blocks;
  }
  weights_ = WeightBuffer(size);
  for (const ConvPanel& panel : panels_) Pack(conv, panel);
}

void ConvPanels::Pack(const ConvNode& conv, const ConvPanel& panel) {
  const auto from = conv.weights.data<float>();
  const int64_t taps = conv.taps(), depth = conv.group_inputs();
  float* to = weights_.data() + panel.offset;
  for (int64_t first = 0; first < panel.channels; first += kBlock) {
    const int64_t channels = std::min<int64_t>(kBlock, panel.channels - first);
    for (int64_t tap = 0; tap < taps; ++tap) {
      for (int64_t c = 0; c < channels; ++c) {
        const int64_t input = panel.input_block * kBlock + first + c;
        for (int64_t lane = 0; lane < panel.blocks * kBlock; ++lane) {
          const int64_t output = panel.block * kBlock + lane;
          const int64_t in_group = input - output / conv.group_outputs() * depth;
          const bool joined = output < conv.outputs && in_group >= 0 && in_group < depth;
          *to++ = joined ? from[static_cast<size_t>((output * depth + in_group) * taps + tap)] : 0;
        }
      }
    }
  }
}

}  // namespace trawl::engine
