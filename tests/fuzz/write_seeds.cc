// Writes the seeds of the fuzz targets: a small valid model of each kind, a model of one node for
// each operator, and a dictionary of the words that files are made of.
//
//   write_seeds FOLDER   → FOLDER/onnx/*, FOLDER/mxnet/*, FOLDER/words

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "engine/loaders/mxnet_operators.h"
#include "engine/ops.h"
#include "tests/unit/engine/loaders/mxnet_files.h"
#include "tests/unit/engine/loaders/onnx_files.h"
#include "tests/unit/engine/loaders/valid_files.h"

namespace trawl::fuzz {
namespace {

using namespace engine::testing;
namespace fs = std::filesystem;

void Write(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

/// The operator on an input and as many weights as it takes at least.
std::string OneNodeOnnx(const engine::OpDef& op) {
  std::string inputs = "input: 'x' ";
  for (size_t i = 1; i < std::max<size_t>(op.min_inputs, 1); ++i) inputs += "input: 'w' ";
  std::string attributes;
  for (size_t begin = 0; begin < op.attributes.size();) {
    const size_t end = std::min(op.attributes.find(' ', begin), op.attributes.size());
    const std::string name(op.attributes.substr(begin, end - begin));
    const bool list = name.ends_with('s');
    attributes += "attribute { name: '" + name + "' " +
                  (list ? "type: INTS ints: [1, 1]" : "type: INT i: 1") + " } ";
    begin = end + 1;
  }
  return OnnxModel(13, OnnxInput("x", "N 3 4 4") + OnnxOutput("y") +
                           "initializer { name: 'w' data_type: 1 dims: [1, 3, 1, 1] float_data: "
                           "[1, 1, 1] } node { op_type: '" +
                           std::string(op.name) + "' " + inputs + "output: 'y' " + attributes +
                           "}");
}

std::string OneNodeMxnet(const engine::MxnetOperator& op) {
  return Symbol({{"null", "data", {}, {}},
                 {"null", "w", {}, {}},
                 {std::string(op.name),
                  "op",
                  {{"kernel", "(1, 1)"}, {"num_filter", "1"}, {"axis", "1"}, {"shape", "(0, -1)"}},
                  {0, 1}}}) +
         '\0' + Params({{"arg:w", {1, 3, 1, 1}}});
}

/// A dictionary in libFuzzer's form.
std::string Words() {
  std::string words;
  const auto add = [&](std::string_view word) { words.append("\"").append(word).append("\"\n"); };
  for (const std::string& op : engine::SupportedOps()) {
    add(op);
    const std::string_view names = engine::FindOp(op)->attributes;
    for (size_t begin = 0; begin < names.size();) {
      const size_t end = std::min(names.find(' ', begin), names.size());
      add(names.substr(begin, end - begin));
      begin = end + 1;
    }
  }
  for (const std::string_view op : engine::SupportedMxnetOperators()) add(op);
  for (const char* word : {"\\\"attrs\\\"", "\\\"inputs\\\"", "\\\"heads\\\"", "\\\"kernel\\\"",
                           "\\\"stride\\\"", "\\\"num_filter\\\"", "(0, -1)", "None", "null",
                           "9223372036854775807", "-9223372036854775808"})
    add(word);
  return words;
}

int WriteAll(const fs::path& folder) {
  fs::create_directories(folder / "onnx");
  fs::create_directories(folder / "mxnet");
  Write(folder / "onnx" / "valid", ValidOnnx());
  Write(folder / "mxnet" / "valid", ValidSymbol() + '\0' + ValidParams());
  for (const std::string& name : engine::SupportedOps())
    Write(folder / "onnx" / name, OneNodeOnnx(*engine::FindOp(name)));
  for (const std::string_view name : engine::SupportedMxnetOperators())
    Write(folder / "mxnet" / name, OneNodeMxnet(*engine::FindMxnetOperator(name)));
  Write(folder / "words", Words());
  return 0;
}

}  // namespace
}  // namespace trawl::fuzz

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: write_seeds FOLDER\n");
    return 2;
  }
  return trawl::fuzz::WriteAll(argv[1]);
}
