#include "engine/model.h"

#include <algorithm>
#include <numeric>

#include "engine/compiled_graph.h"
#include "engine/loaders/loaders.h"
#include "engine/ops.h"
#include "engine/ops/dims.h"
#include "engine/passes/pass.h"

namespace trawl::engine {
namespace {

/// Reduces the graph to what a classifier is: one f32 image input with a free batch.
Status CheckInput(const Graph& graph) {
  if (graph.inputs().size() != 1) {
    std::string names;
    for (const ValueId id : graph.inputs()) names += " '" + graph.value(id).name + "'";
    return Error(Code::kInvalidArgument, "a classifier has one input; this graph has {}:{}",
                 graph.inputs().size(), names);
  }
  const Value& input = graph.value(graph.inputs()[0]);
  if (input.dtype != DType::kF32) {
    return Error(Code::kUnimplemented, "input '{}' is of type {} instead of f32", input.name,
                 ToString(input.dtype));
  }
  const Shape& shape = *input.shape;
  if (shape.empty() || shape[0] != kBatch || std::any_of(shape.begin() + 1, shape.end(), IsBatch)) {
    return Error(Code::kInvalidArgument, "input '{}' of shape {} has no batch in front", input.name,
                 ToString(shape));
  }
  return OkStatus();
}

/// Makes the only output a [N, classes] f32 tensor of probabilities. Returns the number of classes.
Result<int> ShapeOutput(Graph& graph, OutputKind kind) {
  if (graph.outputs().empty()) return Error(Code::kInvalidArgument, "the graph has no output");
  graph.outputs().resize(1);
  ValueId output = graph.outputs()[0];
  const Value& value = graph.value(output);
  const std::string name = value.name;
  const Shape shape = *value.shape;
  const bool fits =
      value.dtype == DType::kF32 && shape.size() >= 2 && shape[0] == kBatch && shape[1] > 0 &&
      std::all_of(shape.begin() + 2, shape.end(), [](int64_t dim) { return dim == 1; });
  if (!fits) {
    return Error(Code::kInvalidArgument, "output '{}' is {} {}; a classifier's is f32 [N, classes]",
                 name, ToString(value.dtype), ToString(shape));
  }
  if (shape.size() > 2) {
    output = graph.AddNode(name + "/flatten", "Flatten", {output}, {}, name + "/flat");
  }
  if (kind == OutputKind::kLogits) {
    Attributes attributes;
    attributes.Set("axis", int64_t{1});
    output =
        graph.AddNode(name + "/softmax", "Softmax", {output}, attributes, name + "/probabilities");
  }
  graph.outputs() = {output};
  return static_cast<int>(shape[1]);
}

Status CheckLabels(const ModelPackage& package, int classes) {
  if (package.labels.empty() || package.labels.size() == static_cast<size_t>(classes))
    return OkStatus();
  return Error(Code::kInvalidArgument, "the model has {} classes but its labels file has {} lines",
               classes, package.labels.size());
}

/// The package's graph, cut down to the wanted output.
Result<Graph> LoadClassifier(const ModelPackage& package, int& classes) {
  TRAWL_ASSIGN(Graph graph, LoadGraph(package));
  TRAWL_TRY(SelectOutput(graph, package.output_name));
  if (!graph.outputs().empty()) graph.outputs().resize(1);
  TRAWL_TRY(graph.SortNodes());
  RemoveDeadNodes(graph);
  TRAWL_TRY(graph.Verify());
  TRAWL_TRY(CheckInput(graph));
  if (auto contents = InferShapes(graph, /*from_file=*/true); !contents) {
    return tl::unexpected<Status>(std::move(contents).error());
  }
  TRAWL_ASSIGN(classes, ShapeOutput(graph, package.output_kind));
  TRAWL_TRY(CheckLabels(package, classes));
  return graph;
}

}  // namespace

Model::Model() = default;
Model::~Model() = default;

Result<std::shared_ptr<const Model>> Model::Load(const ModelPackage& package) {
  auto model = std::shared_ptr<Model>(new Model);
  auto graph = LoadClassifier(package, model->classes_);
  if (!graph) return Annotate(graph.error(), "loading model {}", package.graph_path);
  CompileOptions options;
  options.bf16 = package.precision == Precision::kBf16;
  auto compiled = CompiledGraph::Compile(std::move(*graph), options);
  if (!compiled) return Annotate(compiled.error(), "loading model {}", package.graph_path);
  model->package_ = package;
  model->graph_ = std::move(*compiled);
  if (model->graph_->input_count() != 1) {
    return Error(Code::kInvalidArgument,
                 "loading model {}: the output does not depend on the image", package.graph_path);
  }
  return model;
}

size_t Model::input_size() const {
  const auto dims = std::span<const int64_t>(*graph_->input(0).shape).subspan(1);
  return static_cast<size_t>(*CheckedElementCount(dims));
}

struct Session::State {
  std::unique_ptr<Execution> execution;
  Shape input_shape;  // of the current run
};

Session::Session() : state_(std::make_unique<State>()) {}
Session::~Session() = default;

Result<std::unique_ptr<Session>> Session::Create(std::shared_ptr<const Model> model, int max_batch,
                                                 int threads) {
  auto session = std::unique_ptr<Session>(new Session);
  TRAWL_ASSIGN(session->state_->execution, Execution::Create(model->graph(), max_batch, threads));
  session->state_->input_shape = *model->graph().input(0).shape;
  session->model_ = std::move(model);
  session->max_batch_ = max_batch;
  return session;
}

Status Session::Run(std::span<const float> images, int n, std::span<float> probabilities) {
  const auto count = static_cast<size_t>(std::max(n, 0));
  const auto classes = static_cast<size_t>(model_->classes());
  if (n < 1 || n > max_batch_ || images.size() != count * model_->input_size() ||
      probabilities.size() != count * classes) {
    return Error(
        Code::kInvalidArgument,
        "a batch of {} (of at most {}) with {} input floats of {} and {} output floats of {}", n,
        max_batch_, images.size(), count * model_->input_size(), probabilities.size(),
        count * classes);
  }
  state_->input_shape[0] = n;
  const ConstTensorView view{DType::kF32, state_->input_shape,
                             reinterpret_cast<const std::byte*>(images.data())};
  TRAWL_TRY(state_->execution->Run(n, {&view, 1}));
  const auto scores = state_->execution->output(0).data<float>();
  std::copy(scores.begin(), scores.end(), probabilities.begin());
  return OkStatus();
}

size_t Session::arena_bytes() const { return state_->execution->arena_bytes(); }

std::vector<ClassScore> TopK(std::span<const float> probabilities, int k) {
  std::vector<int> order(probabilities.size());
  std::iota(order.begin(), order.end(), 0);
  const auto count = std::min(order.size(), static_cast<size_t>(std::max(k, 0)));
  // A NaN ranks behind all numbers, so that the order stays a strict weak one.
  const auto better = [&](int a, int b) {
    const float x = probabilities[static_cast<size_t>(a)],
                y = probabilities[static_cast<size_t>(b)];
    const bool x_nan = x != x, y_nan = y != y;
    if (x_nan != y_nan) return y_nan;
    if (!x_nan && x != y) return x > y;
    return a < b;
  };
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count), order.end(),
                    better);
  std::vector<ClassScore> scores;
  for (size_t i = 0; i < count; ++i) {
    scores.push_back({order[i], probabilities[static_cast<size_t>(order[i])]});
  }
  return scores;
}

}  // namespace trawl::engine
