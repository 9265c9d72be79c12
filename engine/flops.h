#pragma once
// The arithmetic that a graph asks for: what `trawl model` divides times by.

#include <cstdint>

#include "engine/graph.h"

namespace trawl::engine {

/// Floating-point operations of one node in a run of `batch`: two for each multiply-add of its
/// convolution or matrix product as the definition has them, taps on padding among them, whatever
/// the kernel saves by a better algorithm. Bias, activation, pooling and all other operators count
/// nothing: they are under 1 % of a classifier. `node` is one of `graph`'s, after shape inference.
double NodeFlops(const Graph& graph, const Node& node, int64_t batch);

/// The sum over all nodes.
double GraphFlops(const Graph& graph, int64_t batch);

}  // namespace trawl::engine
