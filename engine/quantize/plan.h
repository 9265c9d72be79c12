#pragma once
// Which nodes of a graph compute on quantised numbers, and which of its values become such.

#include <map>
#include <vector>

#include "engine/graph.h"
#include "engine/quantize/histogram.h"

namespace trawl::engine {

/// Nodes whose activations are u8. Products (Conv, Gemm) have s8 weights, too; what lies between
/// them (Add, Concat, pooling) follows where all its inputs come from quantised nodes.
struct QuantizationPlan {
  std::vector<bool> nodes;  // by node: quantised
  /// Values that get a QuantizeLinear, each with the value that stands for its range: what MaxPool
  /// and Concat take and give has one range, so that they move numbers and never convert them. Not
  /// of them: what one convolution makes for a sum, which it adds the rest to before it rounds.
  std::map<ValueId, ValueId> ranges;
};

/// Whether a node multiplies activations by constant weights: 2-D Conv, or plain Gemm, with no bias
/// or a constant one.
bool IsProduct(const Graph& graph, const Node& node);

/// Products that can be quantised, in order. The last of the graph is left out where it makes one
/// number per class and picture: it is a thousandth of the work, and decides the answer. `graph`:
/// shapes inferred.
std::vector<size_t> QuantizableProducts(const Graph& graph);

/// `products`: of QuantizableProducts, those to quantise. `followers`: quantise what lies between
/// them, too.
QuantizationPlan PlanQuantization(const Graph& graph, const std::vector<size_t>& products,
                                  bool followers = true);

/// By value that gets a QuantizeLinear.
using Mappings = std::map<ValueId, Quantization>;

/// Of two convolutions that are made for their sum alone, either could add the other's result
/// before it rounds: takes away the range of the one with the coarser mapping.
void LeaveUnrounded(const Graph& graph, const Mappings& mappings, QuantizationPlan& plan);

/// The inputs of a node that are activations.
std::vector<ValueId> ActivationInputs(const Graph& graph, const Node& node);

}  // namespace trawl::engine
