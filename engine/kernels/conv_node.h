#pragma once
// What the dense convolutions on blocked values read of a node at load.

#include <optional>
#include <string>

#include "engine/kernels/activation.h"
#include "engine/kernels/kernel.h"
#include "engine/ops/window.h"
#include "engine/simd/epilogue.h"

namespace trawl::engine {

/// A Conv or FusedConv of two spatial dimensions with constant weights.
struct ConvNode {
  Window window;
  int64_t group = 1;
  int64_t inputs = 0, outputs = 0;  // channels
  Tensor weights;                   // [outputs, inputs / group, KH, KW]
  Tensor bias;                      // [outputs] filled up to whole blocks
  std::optional<Tensor> scale;      // likewise
  bool has_residual = false;
  Activation activation;

  int64_t taps() const { return window.kernel[1] * window.kernel[2]; }
  int64_t group_inputs() const { return inputs / group; }
  int64_t group_outputs() const { return outputs / group; }
  /// Whether the kernels have a copy of their own of the node's input `i`: weights, bias or scale.
  static bool Packs(size_t i) { return i == 1 || i == 2 || i == 4; }
  /// The epilogue for the output channels from `block` on, without the residual.
  simd::Epilogue EpilogueFrom(int64_t block) const;
  /// Applies the activation to stored pixels, where the epilogue has not done it.
  void FinishPixels(const simd::Microkernels& microkernels, float* y, int64_t pixels) const;
};

/// Why `node` is nothing for these kernels; empty when it may be.
std::string WhyNotDense(const NodeView& node);
/// Of a node for which WhyNotDense is empty: whether each input channel is a group of its own.
bool IsDepthwise(const NodeView& node);
/// Likewise.
Result<ConvNode> ReadConv(const NodeView& node);

}  // namespace trawl::engine
