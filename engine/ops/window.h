#pragma once
// Sliding windows: the geometry that convolutions and poolings share, resolved from attributes and
// the input's size.

#include <array>
#include <span>

#include "config/status.h"
#include "engine/graph.h"

namespace trawl::engine {

/// Spatial geometry (depth, height, width), right-aligned: a window of fewer dimensions has neutral
/// entries in front (1, and 0 for pads), so that code for three dimensions serves one and two.
struct Window {
  static constexpr size_t kMaxSpatial = 3;
  std::array<int64_t, kMaxSpatial> kernel{1, 1, 1}, stride{1, 1, 1}, dilation{1, 1, 1};
  std::array<int64_t, kMaxSpatial> pad_begin{}, pad_end{};
  std::array<int64_t, kMaxSpatial> input{1, 1, 1}, output{1, 1, 1};

  int64_t KernelSize() const { return kernel[0] * kernel[1] * kernel[2]; }
  int64_t InputSize() const { return input[0] * input[1] * input[2]; }
  int64_t OutputSize() const { return output[0] * output[1] * output[2]; }
  bool Padded() const;
  /// Kernel 1 and stride 1 everywhere, no pads: the window is one element.
  bool Pointwise() const;
};

/// Reads auto_pad, pads, strides, dilations and ceil_mode. `kernel` and `input` have one entry per
/// spatial dimension.
/// Errors: kInvalidArgument, among them a window larger than the padded input.
Result<Window> ResolveWindow(const Attributes& attributes, std::span<const int64_t> kernel,
                             std::span<const int64_t> input);

/// The windows of nodes whose shapes are inferred.
Result<Window> ConvWindow(const Graph& graph, const Node& node);
Result<Window> PoolWindow(const Graph& graph, const Node& node);

}  // namespace trawl::engine
