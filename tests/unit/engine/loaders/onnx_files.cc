#include "tests/unit/engine/loaders/onnx_files.h"

#include <google/protobuf/text_format.h>
#include <onnx/onnx_pb.h>

#include <sstream>

#include "config/check.h"

namespace trawl::engine::testing {

std::string OnnxModel(int opset, const std::string& graph) {
  onnx::ModelProto model;
  CHECK(google::protobuf::TextFormat::ParseFromString(graph, model.mutable_graph()));
  model.set_ir_version(7);
  model.add_opset_import()->set_version(opset);
  return model.SerializeAsString();
}

std::string OnnxInput(const std::string& name, const std::string& dims) {
  std::istringstream words(dims);
  std::string shape;
  for (std::string word; words >> word;) {
    const bool number = word.find_first_not_of("-0123456789") == std::string::npos;
    shape += number ? " dim { dim_value: " + word + " }" : " dim { dim_param: '" + word + "' }";
  }
  return "input { name: '" + name + "' type { tensor_type { elem_type: 1 shape {" + shape +
         " } } } } ";
}

std::string OnnxOutput(const std::string& name) {
  return "output { name: '" + name + "' type { tensor_type { elem_type: 1 } } } ";
}

}  // namespace trawl::engine::testing
