#pragma once
// Loaders: model files to Graph. Hostile bytes give a Status, never a crash: every size is checked
// before it is used.

#include <string>
#include <string_view>

#include "config/status.h"
#include "engine/graph.h"
#include "engine/model_package.h"

namespace trawl::engine {

/// Reads the package's graph and weights. The picture's input is a graph input of shape
/// [kBatch, C, H, W] (or [kBatch, H, W, C]) with the package's size; the outputs are the file's.
/// Errors: as LoadOnnx and LoadMxnet; kInvalidArgument when the package's size, layout or channels
/// are not the graph's.
Result<Graph> LoadGraph(const ModelPackage& package);

struct OnnxOptions {
  /// The first dimension of a graph input becomes kBatch where the file leaves it open (absent,
  /// symbolic, 0), and, with a single input, where it is 1. Off: shapes stay as they are written,
  /// which the standard's own tests need.
  bool free_batch = true;
  /// Dimensions to take where the file leaves them open; empty: such dimensions are an error.
  Shape input_shape;
};

/// Reads an ONNX file: opset 7 and later, as far as its operators are known. Refuses external data.
/// Errors: kNotFound, kDataLoss (not ONNX, truncated), kInvalidArgument (malformed),
/// kUnimplemented naming node and operator.
Result<Graph> LoadOnnx(const std::string& path, const OnnxOptions& options = {});
/// The same from memory; for tests and fuzzers.
Result<Graph> ParseOnnx(std::string_view bytes, const OnnxOptions& options = {});

struct MxnetOptions {
  /// Of the picture's input, which MXNet's files do not tell.
  Shape input_shape = {kBatch, 3, 224, 224};
};

/// Reads an MXNet symbol file (0.8 to 1.9) with its parameters. The output of node `n` is the
/// value `n_output`.
/// Errors: as LoadOnnx.
Result<Graph> LoadMxnet(const std::string& symbol_path, const std::string& params_path,
                        const MxnetOptions& options = {});
Result<Graph> ParseMxnet(std::string_view symbol_json, std::string_view params,
                         const MxnetOptions& options = {});

/// What a graph file says of itself, without its weights.
struct GraphFacts {
  Shape input_shape;  // of the only input; kBatch for every dimension left open; empty: unknown
  bool output_is_probability = false;  // a softmax or sigmoid makes the (first) output
};

/// Errors: as LoadOnnx; no operator is unsupported here.
Result<GraphFacts> InspectGraph(ModelFormat format, const std::string& graph_path);

}  // namespace trawl::engine
