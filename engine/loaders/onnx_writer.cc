#include "engine/loaders/onnx_writer.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <onnx/onnx_pb.h>

#include <algorithm>
#include <climits>
#include <set>

#include "engine/ops.h"

namespace trawl::engine {
namespace {

constexpr int64_t kOpset = 18;
constexpr int64_t kIrVersion = 8;  // the first that knows this opset

int ToOnnxType(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return onnx::TensorProto::FLOAT;
    case DType::kF64:
      return onnx::TensorProto::DOUBLE;
    case DType::kI8:
      return onnx::TensorProto::INT8;
    case DType::kU8:
      return onnx::TensorProto::UINT8;
    case DType::kI32:
      return onnx::TensorProto::INT32;
    case DType::kI64:
      return onnx::TensorProto::INT64;
    case DType::kBool:
      return onnx::TensorProto::BOOL;
  }
  return onnx::TensorProto::UNDEFINED;
}

/// Numbers as they lie in memory, little-endian as ONNX wants them and as the machines are that
/// the engine runs on.
void Fill(const Tensor& tensor, onnx::TensorProto& proto) {
  proto.set_data_type(ToOnnxType(tensor.dtype()));
  for (const int64_t dim : tensor.shape()) proto.add_dims(dim);
  proto.set_raw_data(tensor.bytes(), tensor.byte_size());
}

class OnnxWriter {
 public:
  explicit OnnxWriter(const Graph& graph) : graph_(graph), names_(graph.value_count()) {}

  Result<std::string> Write() {
    model_.set_ir_version(kIrVersion);
    model_.set_producer_name("trawl");
    model_.set_producer_version(TRAWL_VERSION);
    model_.add_opset_import()->set_version(kOpset);
    proto_.set_name("graph");
    for (const ValueId id : graph_.inputs()) TRAWL_TRY(Declare(id, *proto_.add_input()));
    for (const ValueId id : graph_.outputs()) TRAWL_TRY(Declare(id, *proto_.add_output()));
    for (const Node& node : graph_.nodes()) {
      if (const Status status = Write(node); !status.ok()) {
        return Annotate(status, "writing node '{}' ({})", node.name, node.op);
      }
    }
    if (model_.ByteSizeLong() > INT_MAX) {
      return Error(Code::kResourceExhausted, "the file would have {} bytes, at most {} can be read",
                   model_.ByteSizeLong(), INT_MAX);
    }
    std::string bytes;
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    CHECK(model_.SerializeToCodedStream(&coded));
    coded.Trim();
    return bytes;
  }

 private:
  /// The value's name in the file. A constant's first use writes it.
  std::string NameOf(ValueId id) {
    if (id == kNoValue) return "";
    std::string& name = names_[static_cast<size_t>(id)];
    if (!name.empty()) return name;
    const Value& value = graph_.value(id);
    const std::string wanted = value.name.empty() ? "value" : value.name;
    name = wanted;
    for (int i = 2; !taken_.insert(name).second; ++i) name = fmt::format("{}_{}", wanted, i);
    if (value.constant) {
      onnx::TensorProto& tensor = *proto_.add_initializer();
      tensor.set_name(name);
      Fill(*value.constant, tensor);
    }
    return name;
  }

  Status Declare(ValueId id, onnx::ValueInfoProto& info) {
    const Value& value = graph_.value(id);
    info.set_name(NameOf(id));
    auto& type = *info.mutable_type()->mutable_tensor_type();
    type.set_elem_type(ToOnnxType(value.dtype));
    for (const int64_t dim : *value.shape) {
      auto& entry = *type.mutable_shape()->add_dim();
      if (dim >= 0) {
        entry.set_dim_value(dim);
      } else {
        entry.set_dim_param(dim == kBatch ? "N" : fmt::format("{}N", -dim));
      }
    }
    return OkStatus();
  }

  Status Write(const Node& node) {
    const OpDef* op = FindOp(node.op);
    if (op == nullptr || op->internal) {
      return Error(Code::kUnimplemented, "the operator is not ONNX's");
    }
    onnx::NodeProto& proto = *proto_.add_node();
    proto.set_name(node.name);
    proto.set_op_type(node.op);
    for (const ValueId id : node.inputs) proto.add_input(NameOf(id));
    for (const ValueId id : node.outputs) proto.add_output(NameOf(id));
    for (const auto& [name, value] : node.attributes.all()) {
      TRAWL_TRY(WriteAttribute(node, name, value, proto));
    }
    return OkStatus();
  }

  Status WriteAttribute(const Node& node, const std::string& name, const Attribute& value,
                        onnx::NodeProto& proto) {
    if (name == "flatten" && (node.op == "Softmax" || node.op == "LogSoftmax")) {
      return CheckFlatten(node);
    }
    onnx::AttributeProto& attribute = *proto.add_attribute();
    attribute.set_name(name);
    if (node.op == "Cast" && name == "to") {
      attribute.set_type(onnx::AttributeProto::INT);
      attribute.set_i(ToOnnxType(graph_.value(node.outputs[0]).dtype));
    } else if (const auto* i = std::get_if<int64_t>(&value)) {
      attribute.set_type(onnx::AttributeProto::INT);
      attribute.set_i(*i);
    } else if (const auto* f = std::get_if<float>(&value)) {
      attribute.set_type(onnx::AttributeProto::FLOAT);
      attribute.set_f(*f);
    } else if (const auto* text = std::get_if<std::string>(&value)) {
      attribute.set_type(onnx::AttributeProto::STRING);
      attribute.set_s(*text);
    } else if (const auto* ints = std::get_if<std::vector<int64_t>>(&value)) {
      attribute.set_type(onnx::AttributeProto::INTS);
      attribute.mutable_ints()->Add(ints->begin(), ints->end());
    } else if (const auto* floats = std::get_if<std::vector<float>>(&value)) {
      attribute.set_type(onnx::AttributeProto::FLOATS);
      attribute.mutable_floats()->Add(floats->begin(), floats->end());
    } else {
      attribute.set_type(onnx::AttributeProto::TENSOR);
      Fill(std::get<Tensor>(value), *attribute.mutable_t());
    }
    return OkStatus();
  }

  /// The rule before opset 13 is today's where all dimensions behind the axis are 1.
  Status CheckFlatten(const Node& node) const {
    TRAWL_ASSIGN(const int64_t flatten, node.attributes.Int("flatten", 0));
    TRAWL_ASSIGN(const int64_t axis, node.attributes.Int("axis", -1));
    const Shape& shape = *graph_.value(node.inputs[0]).shape;
    const auto first = static_cast<size_t>(axis < 0 ? axis + std::ssize(shape) : axis);
    const bool same = std::all_of(shape.begin() + static_cast<std::ptrdiff_t>(first) + 1,
                                  shape.end(), [](int64_t dim) { return dim == 1; });
    if (flatten == 0 || same) return OkStatus();
    return Error(Code::kUnimplemented, "normalising several dimensions together");
  }

  const Graph& graph_;
  onnx::ModelProto model_;
  onnx::GraphProto& proto_ = *model_.mutable_graph();
  std::vector<std::string> names_;  // by value; empty: not named yet
  std::set<std::string> taken_;
};

}  // namespace

Result<std::string> SerializeOnnx(const Graph& graph) { return OnnxWriter(graph).Write(); }

}  // namespace trawl::engine
