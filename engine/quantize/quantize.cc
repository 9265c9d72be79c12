#include "engine/quantize/quantize.h"

#include <algorithm>
#include <cmath>

#include "engine/loaders/loaders.h"
#include "engine/passes/pass.h"
#include "engine/passes/uses.h"
#include "engine/quantize/means.h"

namespace trawl::engine {
namespace {

/// What would leave ONNX's vocabulary, or bind the graph to one kind of kernel.
std::vector<std::string> PassesForKernels() {
  std::vector<std::string> others;
  for (const std::string& name : PassNames()) {
    const bool keep = name == "resolve_shapes" || name == "fold_constants" ||
                      name == "eliminate_identities" || name == "fold_batch_norm";
    if (!keep) others.push_back(name);
  }
  return others;
}

bool IsQuantized(const Graph& graph) {
  return std::ranges::any_of(graph.nodes(), [](const Node& node) {
    return node.op == "QuantizeLinear" || node.op == "DequantizeLinear";
  });
}

}  // namespace

Result<Graph> LoadForQuantization(const ModelPackage& package) {
  if (package.precision != Precision::kF32) {
    return Error(Code::kInvalidArgument, "the model is in bf16, not in f32");
  }
  TRAWL_ASSIGN(Graph graph, LoadGraph(package));
  TRAWL_TRY(SelectOutput(graph, package.output_name));
  graph.outputs().resize(1);
  TRAWL_TRY(graph.SortNodes());
  if (IsQuantized(graph)) return Error(Code::kInvalidArgument, "the model is quantised already");
  CompileOptions options;
  options.disabled_passes = PassesForKernels();
  options.integers = false;
  std::vector<PassReport> reports;
  if (auto contents = RunPasses(graph, options, reports); !contents) {
    return tl::unexpected<Status>(std::move(contents).error());
  }
  return graph;
}

ValueId ScoresOf(const Graph& graph) {
  const Uses uses(graph);
  ValueId id = graph.outputs()[0];
  for (auto producer = uses.Producer(id); producer; producer = uses.Producer(id)) {
    const Node& node = graph.nodes()[*producer];
    if (node.op == "Softmax") return node.inputs[0];
    if (node.op != "Flatten" && node.op != "Reshape") break;
    id = node.inputs[0];
  }
  return graph.outputs()[0];
}

Result<Mappings> Calibrate(const Graph& graph, const QuantizationPlan& plan,
                           const Pictures& pictures, const RunOptions& options) {
  std::vector<ValueId> values;
  std::map<ValueId, Extremes> extremes;  // by range
  for (const auto& [id, range] : plan.ranges) {
    values.push_back(id);
    extremes[range];
  }
  const auto range_of = [&](size_t i) { return plan.ranges.at(values[i]); };
  TRAWL_ASSIGN(const auto runner, GraphRunner::Create(graph, values, options));
  TRAWL_TRY(runner->Run(pictures, [&](size_t i, const ConstTensorView& x) {
    extremes[range_of(i)].Add(x.data<float>());
  }));
  std::map<ValueId, Histogram> histograms;
  for (const auto& [range, seen] : extremes) histograms.emplace(range, Histogram(seen));
  TRAWL_TRY(runner->Run(pictures, [&](size_t i, const ConstTensorView& x) {
    histograms.at(range_of(i)).Add(x.data<float>());
  }));
  Mappings by_range, mappings;
  for (const auto& [range, histogram] : histograms) by_range[range] = histogram.BestQuantization();
  for (const auto& [id, range] : plan.ranges) mappings[id] = by_range.at(range);
  return mappings;
}

Result<InputMeans> MeasureMeans(const Graph& graph, const std::vector<size_t>& products,
                                const Mappings& mappings, const Pictures& pictures,
                                const RunOptions& options) {
  std::map<ValueId, MeansCounter> counters;
  for (const size_t product : products) counters[graph.nodes()[product].inputs[0]];
  std::vector<ValueId> values;
  for (const auto& [id, counter] : counters) values.push_back(id);
  TRAWL_ASSIGN(const auto runner, GraphRunner::Create(graph, values, options));
  TRAWL_TRY(runner->Run(pictures, [&](size_t i, const ConstTensorView& x) {
    counters[values[i]].Add(x, mappings.at(values[i]));
  }));
  InputMeans means;
  for (const auto& [id, counter] : counters) means[id] = counter.Means();
  return means;
}

Result<std::unique_ptr<GraphRunner>> ScoresRunner(const Graph& graph, const RunOptions& options) {
  return GraphRunner::Create(graph, {ScoresOf(graph)}, options);
}

Result<Scores> ComputeScores(GraphRunner& runner, const Pictures& pictures) {
  Scores scores;
  TRAWL_TRY(runner.Run(pictures, [&](size_t, const ConstTensorView& x) {
    const auto values = x.data<float>();
    scores.classes = values.size() / static_cast<size_t>(x.shape[0]);
    scores.values.insert(scores.values.end(), values.begin(), values.end());
  }));
  return scores;
}

double RelativeError(const Scores& scores, const Scores& reference) {
  CHECK(scores.values.size() == reference.values.size());
  double error = 0, total = 0;
  for (size_t i = 0; i < scores.values.size(); ++i) {
    const double difference = double{scores.values[i]} - reference.values[i];
    error += difference * difference;
    total += double{reference.values[i]} * reference.values[i];
  }
  if (total == 0) return error == 0 ? 0 : 1;
  return std::sqrt(error / total);
}

Result<std::vector<LayerError>> MeasureLayers(const Graph& graph,
                                              const std::vector<size_t>& products,
                                              const Mappings& mappings, const InputMeans& means,
                                              const RoundedWeights& rounded,
                                              const Pictures& pictures, const RunOptions& options) {
  TRAWL_ASSIGN(const auto exact, ScoresRunner(graph, options));
  TRAWL_ASSIGN(const Scores reference, ComputeScores(*exact, pictures));
  std::vector<LayerError> errors;
  for (const size_t product : products) {
    const QuantizationPlan plan = PlanQuantization(graph, {product}, /*followers=*/false);
    TRAWL_ASSIGN(const auto runner,
                 ScoresRunner(QuantizeGraph(graph, plan, mappings, means, rounded), options));
    TRAWL_ASSIGN(const Scores scores, ComputeScores(*runner, pictures));
    errors.push_back({product, RelativeError(scores, reference)});
  }
  return errors;
}

}  // namespace trawl::engine
