#pragma once
// The weights of a convolution as the microkernels read them: panels of a few blocks of output
// channels.

#include <vector>

#include "engine/kernels/conv_node.h"
#include "engine/kernels/weight_buffer.h"

namespace trawl::engine {

struct ConvPanel {
  int64_t block = 0;        // the first of output channels
  int blocks = 0;           // of output channels
  int64_t input_block = 0;  // the first that it reads
  int64_t channels = 0;     // that it reads, from there on
  size_t offset = 0;        // of its weights
};

/// Blocks of output channels in panels of two, and one of three where a single one would be left.
std::vector<int> SplitIntoPanels(int64_t blocks, int max_blocks);

/// Panels for simd::ConvMicrokernels::blocked. Of a grouped convolution, a panel reads the blocks
/// that its groups lie in; weights between different groups are zero.
class ConvPanels {
 public:
  ConvPanels() = default;
  ConvPanels(const ConvNode& conv, int max_blocks);

  const std::vector<ConvPanel>& all() const { return panels_; }
  const float* weights(const ConvPanel& panel) const { return weights_.data() + panel.offset; }
  size_t bytes() const { return weights_.bytes(); }

 private:
  void Pack(const ConvNode& conv, const ConvPanel& panel);

  std::vector<ConvPanel> panels_;
  WeightBuffer weights_;
};

}  // namespace trawl::engine
