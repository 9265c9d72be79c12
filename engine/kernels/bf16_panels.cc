#include "engine/kernels/bf16_panels.h"

#include "engine/blocked.h"
#include "engine/kernels/conv_panels.h"
#include "engine/simd/bf16.h"

namespace trawl::engine {
namespace {

using simd::kBf16Pair;
using simd::kBlock;

}  // namespace

Bf16Panels::Bf16Panels(const Bf16Weights& weights, int max_blocks) {
  const int64_t pairs = (weights.inputs + kBf16Pair - 1) / kBf16Pair;
  int64_t block = 0;
  size_t size = 0;
  for (const int blocks : SplitIntoPanels(BlockCount(weights.outputs), max_blocks)) {
    panels_.push_back({block, blocks, size});
    size += static_cast<size_t>(pairs * blocks * kBlock * kBf16Pair);
    block += blocks;
  }
  buffer_ = WeightBuffer(size * sizeof(uint16_t) / sizeof(float));
  auto* to = reinterpret_cast<uint16_t*>(buffer_.data());
  for (const Bf16Panel& panel : panels_) Pack(weights, panel, to + panel.offset);
}

void Bf16Panels::Pack(const Bf16Weights& weights, const Bf16Panel& panel, uint16_t* to) const {
  for (int64_t first = 0; first < weights.inputs; first += kBf16Pair) {
    for (int64_t lane = 0; lane < panel.blocks * kBlock; ++lane) {
      const int64_t output = panel.block * kBlock + lane;
      for (int64_t input = first; input < first + kBf16Pair; ++input) {
        const bool inside = output < weights.outputs && input < weights.inputs;
        const int64_t at = output * weights.output_step + input * weights.input_step;
        *to++ = inside ? ToBf16(weights.scale * weights.values[static_cast<size_t>(at)]) : 0;
      }
    }
  }
}

}  // namespace trawl::engine
