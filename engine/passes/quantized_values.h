#pragma once
// Reading quantisation out of a graph: grids of activations, and weights as the integer kernels
// want them.

#include <string>
#include <vector>

#include "engine/graph.h"
#include "engine/kernels/activation.h"
#include "engine/ops/quantized.h"

namespace trawl::engine {

/// real = scale · (byte - zero_point).
struct Grid {
  float scale = 1;
  int zero_point = 0;  // of u8; a file's i8 is 128 less
  bool operator==(const Grid&) const = default;
};

/// The grid of a QuantizeLinear or DequantizeLinear of activations. nullopt: it is not constant,
/// varies by channel, or is not of u8 or i8.
std::optional<Grid> GridOf(const Graph& graph, const Node& node);

/// Constant weights or biases in integers with a scale for each output channel.
struct QuantizedConstant {
  std::vector<int64_t> values;  // without zero point
  std::vector<double> scales;   // by channel
};

/// The DequantizeLinear's constant, whose dimension `axis` has `channels` output channels. Errors:
/// kUnimplemented, why it cannot be used.
Result<QuantizedConstant> ReadConstant(const Graph& graph, const Node& dequantize, size_t axis,
                                       size_t channels);

/// A product in integers.
struct IntegerProduct {
  Tensor weights;            // i8
  Tensor multiplier, shift;  // f32, by output channel
  QuantizedProduct parameters;
};

/// From weights [channels, …] and biases in real numbers to the grid `y`; `y` may be {1, 0} for
/// results in f32. Errors: kUnimplemented, why the integer kernels cannot compute it.
Result<IntegerProduct> MakeProduct(const QuantizedConstant& weights, const Shape& shape,
                                   std::span<const double> bias, const Grid& x, const Grid& y);

/// The least and the greatest byte that an activation leaves. nullopt: it is no bound.
std::optional<std::pair<int, int>> BytesOf(const Activation& activation, const Grid& y);

}  // namespace trawl::engine
