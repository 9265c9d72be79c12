#pragma once
// Passes: rewrites of the graph between loading and binding kernels. The pass manager runs them in
// a fixed order; after each it verifies the graph and infers shapes anew.

#include <string_view>
#include <vector>

#include "config/status.h"
#include "engine/compiled_graph.h"
#include "engine/ops.h"

namespace trawl::engine {

/// Runs all passes. The graph is pruned, verified and inferred before the first and after each;
/// `contents` are those of the result. `options.isa` and `options.integers` are set. Errors:
/// kInvalidArgument for an unknown name among disabled_passes; a pass's own, naming pass and node.
Result<ContentsTable> RunPasses(Graph& graph, const CompileOptions& options,
                                std::vector<PassReport>& reports);

/// Makes inputs that are known now constants. Errors: kInvalidArgument for an unknown input or
/// another type or shape.
Status BindInputs(Graph& graph, const CompileOptions& options);

/// Makes `name` (a value, or a node's first output) the only output; "" leaves the graph's. Errors:
/// kInvalidArgument.
Status SelectOutput(Graph& graph, std::string_view name);

/// Removes what no output needs: nodes, inputs, and the storage of constants. Returns how many
/// nodes went.
int RemoveDeadNodes(Graph& graph);

// The passes, in order; each returns how many nodes it changed.
/// Turns shape arithmetic that is known at load into constants, and Reshape's targets with it.
Result<int> ResolveShapes(Graph& graph, const ContentsTable& contents);
/// Operators between DequantizeLinear and QuantizeLinear compute in integers.
Result<int> UseIntegers(Graph& graph, const ContentsTable& contents);
/// The sum with a residual becomes part of the quantised convolution before it.
Result<int> FuseIntegerSums(Graph& graph, const ContentsTable& contents);
/// QuantizeLinear followed by DequantizeLinear becomes one FakeQuantize, which rounds in f32;
/// convolutions between dequantised tensors compute on the integers.
Result<int> FuseQuantization(Graph& graph, const ContentsTable& contents);
/// Computes nodes whose inputs are constants (among them the dequantisation of weights).
Result<int> FoldConstants(Graph& graph, const ContentsTable& contents);
/// Removes nodes that change nothing: Identity, Dropout, Reshape to the same shape …
Result<int> EliminateIdentities(Graph& graph, const ContentsTable& contents);
/// x · Sigmoid(x) becomes Swish, the mean of planes GlobalAveragePool, arithmetic with means or Erf
/// LayerNormalization or Gelu: what they were before they were exported.
Result<int> ComposeOperators(Graph& graph, const ContentsTable& contents);
/// What lies between a transposition of images to channels last and one back works on channels
/// first.
Result<int> WorkOnChannelsFirst(Graph& graph, const ContentsTable& contents);
/// BatchNormalization and per-channel Mul, Div, Add and Sub behind a Conv or Gemm move into its
/// weights and bias.
Result<int> FoldBatchNorm(Graph& graph, const ContentsTable& contents);
/// Residual add and activation behind a Conv (activation behind a Gemm) become part of it.
Result<int> FuseEpilogues(Graph& graph, const ContentsTable& contents);
/// Convolutions, and what can follow them, work on values in Layout::kBlocked; Reorder nodes stand
/// where layouts meet.
Result<int> BlockChannels(Graph& graph, const ContentsTable& contents);
/// Quantised images get Layout::kInterleaved; ReorderBytes nodes stand where layouts meet.
Result<int> InterleavePixels(Graph& graph, const ContentsTable& contents);

}  // namespace trawl::engine
