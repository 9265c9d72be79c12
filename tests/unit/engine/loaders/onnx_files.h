#pragma once
// Small ONNX files, written in protobuf's text format.

#include <string>

namespace trawl::engine::testing {

/// The bytes of a model whose GraphProto is `graph`, in text format. CHECKs that the text is one.
std::string OnnxModel(int opset, const std::string& graph);

/// `input { … }` and `output { … }` of a graph: f32 tensors. A dimension that is no number is
/// symbolic.
std::string OnnxInput(const std::string& name, const std::string& dims);
std::string OnnxOutput(const std::string& name);

}  // namespace trawl::engine::testing
