#pragma once
// Operators that exporters write out in arithmetic because the opset of the file has no name for
// them.

#include "engine/ops.h"
#include "engine/passes/uses.h"

namespace trawl::engine {

/// When `product` is the last product of 0.5 · x · (1 + erf(x / √2)), makes it Gelu(x).
bool ComposeGelu(const Graph& graph, const Uses& uses, Node& product);

/// When node `at` is the quotient of (x - mean(x)) / sqrt(mean((x - mean(x))²) + epsilon) over the
/// last dimensions, or over the channels of images, makes it a LayerNormalization or a
/// ChannelNormalization, which stands where the last node stood that it takes in: a product with
/// one constant per number, and a sum. What it leaves without readers is for the pass manager to
/// prune.
bool ComposeNormalization(Graph& graph, const ContentsTable& contents, const Uses& uses, size_t at);

}  // namespace trawl::engine
