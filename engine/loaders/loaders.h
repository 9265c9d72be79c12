#pragma once
// Loaders: model files to Graph. Hostile bytes give a Status, never a crash: every size is checked before it is used.

#include <string>

#include "config/status.h"
#include "engine/graph.h"

namespace trawl::engine {

/// Reads an ONNX file (opset 7 to 17). The first dimension of the image input becomes kBatch. Refuses external data.
/// Errors: kNotFound, kDataLoss (not ONNX, truncated), kInvalidArgument (malformed), kUnimplemented naming node and operator.
Result<Graph> LoadOnnx(const std::string& path);
/// The same from memory; for tests and fuzzers.
Result<Graph> ParseOnnx(std::string_view bytes);

/// Reads an MXNet symbol file (0.8 to 1.9) with its parameters.
Result<Graph> LoadMxnet(const std::string& symbol_path, const std::string& params_path);
Result<Graph> ParseMxnet(std::string_view symbol_json, std::string_view params);

}  // namespace trawl::engine
