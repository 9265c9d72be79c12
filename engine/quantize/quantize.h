#pragma once
// Post-training static quantisation: a graph in f32 and a few dozen pictures become a graph in
// ONNX's QDQ form (QuantizeLinear and DequantizeLinear around operators of f32): s8 weights with a
// scale per output channel, u8 activations with a scale and a zero point per tensor, s32 biases.

#include <map>
#include <string>
#include <vector>

#include "engine/model_package.h"
#include "engine/quantize/histogram.h"
#include "engine/quantize/plan.h"
#include "engine/quantize/run_graph.h"

namespace trawl::engine {

/// The package's graph with one output, constants folded and BatchNormalization folded into
/// convolutions: what the functions below take. Errors: those of loading;
/// kInvalidArgument when it is quantised already, or in bf16.
Result<Graph> LoadForQuantization(const ModelPackage& package);

/// The value that scores are compared by: the output, or what goes into the softmax that makes it.
ValueId ScoresOf(const Graph& graph);

/// The same function, and the same nodes, with weights that bring the channels of what will be
/// rounded to ranges as alike as pays, judged by what `pictures` give.
Result<Graph> EqualizeChannels(const Graph& graph, const QuantizationPlan& plan,
                               const Pictures& pictures, const RunOptions& options);

/// For each value of the plan, the mapping with the least squared error over what `pictures` give.
Result<Mappings> Calibrate(const Graph& graph, const QuantizationPlan& plan,
                           const Pictures& pictures, const RunOptions& options);

/// Means of a value by channel, over all pictures and pixels: of its numbers, and of those that its
/// mapping has for them.
struct ChannelMeans {
  std::vector<double> exact, rounded;
};
/// By value that a product reads.
using InputMeans = std::map<ValueId, ChannelMeans>;
Result<InputMeans> MeasureMeans(const Graph& graph, const std::vector<size_t>& products,
                                const Mappings& mappings, const Pictures& pictures,
                                const RunOptions& options);

/// Weights as s8, by output of their product.
using RoundedWeights = std::map<ValueId, Tensor>;
/// Of convolutions, so that what `pictures` give moves least (engine/quantize/rounding.h). Those
/// that would take too much memory, and other products, are left out.
Result<RoundedWeights> RoundWeights(const Graph& graph, const std::vector<size_t>& products,
                                    const Mappings& mappings, const Pictures& pictures,
                                    const RunOptions& options);

/// The QDQ form. `mappings`: of every value of the plan, and perhaps of others. `means`: of what
/// products read; their biases take back by how much rounding moves their results on average. Those
/// of whose input there are none keep their biases. `rounded`: of some products, in place of each
/// weight's nearest.
Graph QuantizeGraph(const Graph& graph, const QuantizationPlan& plan, const Mappings& mappings,
                    const InputMeans& means = {}, const RoundedWeights& rounded = {});

/// Scores of all pictures, one after the other.
struct Scores {
  size_t classes = 0;
  std::vector<float> values;

  size_t pictures() const { return classes == 0 ? 0 : values.size() / classes; }
  std::span<const float> Of(size_t picture) const {
    return std::span(values).subspan(picture * classes, classes);
  }
};
/// A runner of ScoresOf(graph), and what it gives for `pictures`.
Result<std::unique_ptr<GraphRunner>> ScoresRunner(const Graph& graph, const RunOptions& options);
Result<Scores> ComputeScores(GraphRunner& runner, const Pictures& pictures);

/// Root mean square of `scores` - `reference`, relative to that of `reference`.
double RelativeError(const Scores& scores, const Scores& reference);

/// A layer and the relative error of the scores when it alone is quantised.
struct LayerError {
  size_t node = 0;
  double error = 0;
};
/// One for each of `products`, in order, with what QuantizeGraph would write.
Result<std::vector<LayerError>> MeasureLayers(const Graph& graph,
                                              const std::vector<size_t>& products,
                                              const Mappings& mappings, const InputMeans& means,
                                              const RoundedWeights& rounded,
                                              const Pictures& pictures, const RunOptions& options);

}  // namespace trawl::engine
