#pragma once
// Graph to ONNX file.

#include <string>

#include "config/status.h"
#include "engine/graph.h"

namespace trawl::engine {

/// The bytes of an ONNX file of opset 18, which is the form of engine/ops.h, with the batch left
/// open. The same graph always gives the same bytes. Names of values that occur twice get a number.
/// `graph`: verified, shapes inferred, without internal operators. Errors: kUnimplemented for what
/// ONNX has no words for; kResourceExhausted when the file would be larger than protobuf allows.
Result<std::string> SerializeOnnx(const Graph& graph);

}  // namespace trawl::engine
