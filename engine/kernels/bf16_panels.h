#pragma once
// Weights rounded to bf16, as simd::Bf16Microkernels::pointwise reads them: panels of a few blocks
// of output channels.

#include <span>
#include <vector>

#include "engine/bf16.h"
#include "engine/kernels/weight_buffer.h"

namespace trawl::engine {

struct Bf16Panel {
  int64_t block = 0;  // the first of output channels
  int blocks = 0;
  size_t offset = 0;  // of its weights
};

/// A matrix of weights by output and input channel.
struct Bf16Weights {
  std::span<const float> values;
  int64_t inputs = 0, outputs = 0;
  int64_t input_step = 1, output_step = 1;  // from one number to the next
  float scale = 1;
};

class Bf16Panels {
 public:
  Bf16Panels(const Bf16Weights& weights, int max_blocks);

  const std::vector<Bf16Panel>& all() const { return panels_; }
  const uint16_t* weights(const Bf16Panel& panel) const { return numbers() + panel.offset; }
  size_t bytes() const { return buffer_.bytes(); }

 private:
  void Pack(const Bf16Weights& weights, const Bf16Panel& panel, uint16_t* to) const;
  const uint16_t* numbers() const { return reinterpret_cast<const uint16_t*>(buffer_.data()); }

  std::vector<Bf16Panel> panels_;
  WeightBuffer buffer_;
};

}  // namespace trawl::engine
