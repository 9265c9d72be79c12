#pragma once
// Which nodes of a graph compute on quantised numbers, and which of its values become such.

#include <map>
#include <vector>

#include "engine/graph.h"

namespace trawl::engine {

/// Nodes whose activations are u8. Products (Conv, Gemm) have s8 weights, too; what lies between
/// them (Add, Concat, pooling) follows where all its inputs come from quantised nodes.
struct QuantizationPlan {
  std::vector<bool> nodes;  // by node: quantised
  /// Values that get a QuantizeLinear, each with the value that stands for its range: what MaxPool
  /// and Concat take and give has one range, so that they move numbers and never convert them.
  std::map<ValueId, ValueId> ranges;
};

/// Nodes with weights that can be quantised, in order: 2-D Conv, and plain Gemm, with constant
/// weights and no bias, or a constant one. The last of the graph is left out where it makes one
/// number per class and picture: it is a thousandth of the work, and decides the answer.
/// `graph`: shapes inferred.
std::vector<size_t> QuantizableProducts(const Graph& graph);

/// `products`: of QuantizableProducts, those to quantise. `followers`: quantise what lies between
/// them, too.
QuantizationPlan PlanQuantization(const Graph& graph, const std::vector<size_t>& products,
                                  bool followers = true);

/// The inputs of a node that are activations.
std::vector<ValueId> ActivationInputs(const Graph& graph, const Node& node);

}  // namespace trawl::engine
