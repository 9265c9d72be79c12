// LoadGraph and InspectGraph: the format's loader, and whether the graph suits its package.

#include <algorithm>

#include "config/suggest.h"
#include "engine/loaders/inspect.h"
#include "engine/loaders/loaders.h"

namespace trawl::engine {
namespace {

/// [kBatch, C, H, W], or in the package's own order.
Shape PictureShape(const PreprocessSpec& spec) {
  if (spec.layout == TensorLayout::kNhwc) {
    return {kBatch, spec.height, spec.width, spec.channel_count()};
  }
  return {kBatch, spec.channel_count(), spec.height, spec.width};
}

/// Errors: kInvalidArgument unless the graph takes pictures as the package makes them.
Status CheckInput(const Graph& graph, const ModelPackage& package) {
  std::vector<std::string> names;
  for (const ValueId id : graph.inputs()) names.push_back(graph.value(id).name);
  if (!package.input_name.empty() && std::ranges::count(names, package.input_name) == 0) {
    return Error(Code::kInvalidArgument, "the graph has no input '{}'{}", package.input_name,
                 DidYouMean(package.input_name, names));
  }
  if (names.size() != 1) {
    return Error(Code::kUnimplemented, "the graph has {} inputs; models of one are supported",
                 names.size());
  }
  const Value& input = graph.value(graph.inputs()[0]);
  if (input.dtype != DType::kF32) {
    return Error(Code::kUnimplemented, "input '{}' is of type {}; only floats are supported",
                 input.name, ToString(input.dtype));
  }
  const Shape expected = PictureShape(package.preprocess);
  if (input.shape != expected) {
    return Error(Code::kInvalidArgument, "input '{}' takes {}, but the package makes {}",
                 input.name, ToString(*input.shape), ToString(expected));
  }
  return OkStatus();
}

}  // namespace

Result<Graph> LoadGraph(const ModelPackage& package) {
  const Shape picture = PictureShape(package.preprocess);
  Result<Graph> graph =
      package.format == ModelFormat::kOnnx
          ? LoadOnnx(package.graph_path, {.free_batch = true, .input_shape = picture})
          : LoadMxnet(package.graph_path, package.params_path, {.input_shape = picture});
  if (!graph) return graph;
  TRAWL_TRY(CheckInput(*graph, package));
  return graph;
}

Result<GraphFacts> InspectGraph(ModelFormat format, const std::string& graph_path) {
  return format == ModelFormat::kOnnx ? InspectOnnx(graph_path) : InspectMxnet(graph_path);
}

}  // namespace trawl::engine
