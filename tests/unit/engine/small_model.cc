#include "tests/unit/engine/small_model.h"

#include <fmt/format.h>

#include <fstream>

#include "tests/unit/engine/loaders/onnx_files.h"

namespace trawl::engine::testing {
namespace {

/// Weights that differ from channel to channel, written out.
std::string Weights(const std::string& name, int outputs, int inputs, int kernel) {
  std::string text =
      fmt::format("initializer {{ name: '{}' data_type: 1 dims: {} dims: {} dims: {} dims: {}",
                  name, outputs, inputs, kernel, kernel);
  for (int i = 0; i < outputs * inputs * kernel * kernel; ++i) {
    text += fmt::format(" float_data: {}", (i * 7919 % 31 - 15) / 50.0);
  }
  return text + " } ";
}

std::string Node(const std::string& op, const std::string& inputs, const std::string& output,
                 const std::string& attributes = "") {
  return fmt::format("node {{ op_type: '{}' name: '{}_node' {} output: '{}' {} }} ", op, output,
                     inputs, output, attributes);
}

std::string Ints(const std::string& name, const std::string& values) {
  return fmt::format("attribute {{ name: '{}' type: INTS {} }} ", name, values);
}

}  // namespace

ModelPackage WriteSmallModel(const std::string& folder) {
  const std::string pads = Ints("pads", "ints: 1 ints: 1 ints: 1 ints: 1");
  const std::string graph =
      "name: 'small' " + OnnxInput("data", "N 3 8 8") + OnnxOutput("logits") +
      Weights("w1", 8, 3, 3) + Weights("w2", 8, 8, 3) + Weights("w3", 4, 8, 1) +
      Node("Conv", "input: 'data' input: 'w1'", "c1", pads) + Node("Relu", "input: 'c1'", "r1") +
      Node("MaxPool", "input: 'r1'", "p1",
           Ints("kernel_shape", "ints: 2 ints: 2") + Ints("strides", "ints: 2 ints: 2")) +
      Node("Conv", "input: 'p1' input: 'w2'", "c2", pads) +
      Node("Add", "input: 'c2' input: 'p1'", "a2") + Node("Relu", "input: 'a2'", "r2") +
      Node("GlobalAveragePool", "input: 'r2'", "features") +
      Node("Conv", "input: 'features' input: 'w3'", "scores") +
      Node("Flatten", "input: 'scores'", "logits");
  ModelPackage package;
  package.name = "small";
  package.graph_path = folder + "/small.onnx";
  package.preprocess.height = package.preprocess.width = 8;
  package.output_kind = OutputKind::kLogits;
  std::ofstream(package.graph_path, std::ios::binary) << OnnxModel(13, graph);
  return package;
}

}  // namespace trawl::engine::testing
