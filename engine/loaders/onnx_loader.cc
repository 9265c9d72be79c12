// The ONNX loader: ModelProto in, Graph out.

#include <onnx/onnx_pb.h>

#include <algorithm>
#include <climits>
#include <optional>
#include <set>
#include <unordered_map>

#include "engine/limits.h"
#include "engine/loaders/file.h"
#include "engine/loaders/inspect.h"
#include "engine/loaders/loaders.h"
#include "engine/loaders/onnx_tensor.h"
#include "engine/loaders/onnx_upgrade.h"
#include "engine/loaders/onnx_wire.h"
#include "engine/ops.h"

namespace trawl::engine {
namespace {

/// Protobuf's own limit on one message.
constexpr uint64_t kMaxOnnxBytes = INT_MAX;

/// A model whose weights are still where they were.
struct ParsedModel {
  onnx::ModelProto proto;  // its initialisers have no raw_data
  const ByteSource* source = nullptr;
  std::vector<std::optional<ByteRange>> weights;  // by initialiser
};

Result<ParsedModel> ParseModel(const ByteSource& source) {
  if (source.size_bytes() > kMaxOnnxBytes) {
    return Error(Code::kResourceExhausted, "{} bytes, the limit is {}", source.size_bytes(),
                 kMaxOnnxBytes);
  }
  TRAWL_ASSIGN(OnnxSkeleton skeleton, ReadOnnxSkeleton(source));
  TRAWL_TRY(CheckOnnxParts(skeleton.bytes));
  ParsedModel model{.proto = {}, .source = &source, .weights = std::move(skeleton.weights)};
  if (!model.proto.ParseFromString(skeleton.bytes)) {
    return Error(Code::kDataLoss, "not an ONNX file, or a damaged one");
  }
  const onnx::GraphProto& graph = model.proto.graph();
  if (!model.proto.has_graph() || graph.output_size() == 0) {
    return Error(Code::kDataLoss, "not an ONNX file: it has no graph, or one without outputs");
  }
  CHECK(model.weights.size() == static_cast<size_t>(graph.initializer_size()));
  return model;
}

bool IsStandardDomain(const std::string& domain) { return domain.empty() || domain == "ai.onnx"; }

/// 0: the file has operators of other domains only.
Result<int64_t> StandardOpset(const onnx::ModelProto& model) {
  for (const auto& import : model.opset_import()) {
    if (!IsStandardDomain(import.domain())) continue;
    if (import.version() >= kOldestOpset && import.version() <= kNewestOpset) {
      return import.version();
    }
    return Error(Code::kUnimplemented, "opset {} is not supported ({} to {} are)", import.version(),
                 kOldestOpset, kNewestOpset);
  }
  if (model.opset_import_size() > 0) return 0;
  return Error(Code::kInvalidArgument, "it does not say which opset of ONNX it uses");
}

/// Names of initialisers: in files before IR version 4, they are listed among the inputs too.
std::set<std::string_view> InitializerNames(const onnx::GraphProto& graph) {
  std::set<std::string_view> names;
  for (const auto& tensor : graph.initializer()) names.insert(tensor.name());
  return names;
}

/// The dimensions as written, with kBatch for each that is left open.
Shape DeclaredShape(const onnx::TypeProto_Tensor& type) {
  Shape shape;
  for (const auto& dim : type.shape().dim()) {
    shape.push_back(dim.has_dim_value() && dim.dim_value() > 0 ? dim.dim_value() : kBatch);
  }
  return shape;
}

/// Cast's target, by the engine's name for the type.
Result<Attribute> CastTarget(const onnx::AttributeProto& proto) {
  if (proto.type() != onnx::AttributeProto::INT) {
    return Error(Code::kUnimplemented, "a type that is given by name");
  }
  TRAWL_ASSIGN(const DType dtype, ToDType(static_cast<int>(std::min<int64_t>(proto.i(), INT_MAX))));
  return Attribute(ToString(dtype));
}

Result<Attribute> ToAttribute(const onnx::AttributeProto& proto) {
  switch (proto.type()) {
    case onnx::AttributeProto::INT:
      return Attribute(int64_t{proto.i()});
    case onnx::AttributeProto::FLOAT:
      return Attribute(proto.f());
    case onnx::AttributeProto::STRING:
      return Attribute(proto.s());
    case onnx::AttributeProto::INTS:
      return Attribute(std::vector<int64_t>(proto.ints().begin(), proto.ints().end()));
    case onnx::AttributeProto::FLOATS:
      return Attribute(std::vector<float>(proto.floats().begin(), proto.floats().end()));
    case onnx::AttributeProto::TENSOR: {
      TRAWL_ASSIGN(Tensor tensor, ToTensor(proto.t()));
      return Attribute(std::move(tensor));
    }
    default:
      return Error(Code::kUnimplemented, "attributes of its type are not supported");
  }
}

/// The value of a Constant node, which is in one of several attributes.
Result<Tensor> ConstantValue(const Attributes& attributes) {
  for (const auto& [name, value] : attributes.all()) {
    if (const auto* tensor = std::get_if<Tensor>(&value); tensor && name == "value") return *tensor;
    if (const auto* f = std::get_if<float>(&value); f && name == "value_float") {
      return Tensor::Of<float>({}, std::span<const float>(f, 1));
    }
    if (const auto* i = std::get_if<int64_t>(&value); i && name == "value_int") {
      return Tensor::Of<int64_t>({}, std::span<const int64_t>(i, 1));
    }
    if (const auto* fs = std::get_if<std::vector<float>>(&value); fs && name == "value_floats") {
      return Tensor::Of<float>({static_cast<int64_t>(fs->size())}, *fs);
    }
    if (const auto* is = std::get_if<std::vector<int64_t>>(&value); is && name == "value_ints") {
      return Tensor::Of<int64_t>({static_cast<int64_t>(is->size())}, *is);
    }
  }
  return Error(Code::kUnimplemented, "a constant without a tensor or numbers");
}

class OnnxLoader {
 public:
  OnnxLoader(const ParsedModel& model, const OnnxOptions& options)
      : proto_(model.proto.graph()), model_(model), options_(options) {}

  Result<Graph> Load() {
    TRAWL_ASSIGN(opset_, StandardOpset(model_.proto));
    if (static_cast<size_t>(proto_.node_size()) > kMaxNodes) {
      return Error(Code::kResourceExhausted, "{} nodes, at most {} are read", proto_.node_size(),
                   kMaxNodes);
    }
    if (proto_.sparse_initializer_size() > 0) {
      return Error(Code::kUnimplemented, "sparse weights are not supported");
    }
    TRAWL_TRY(ReadInitializers());
    TRAWL_TRY(ReadInputs());
    CountUses();
    // Outputs first, so that the nodes may come in any order.
    node_outputs_.resize(static_cast<size_t>(proto_.node_size()));
    TRAWL_TRY(ForEachNode(&OnnxLoader::DeclareOutputs));
    TRAWL_TRY(ForEachNode(&OnnxLoader::ReadNode));
    for (const auto& output : proto_.output()) {
      const auto found = values_.find(output.name());
      if (found == values_.end()) {
        return Error(Code::kInvalidArgument, "output '{}' is never defined", output.name());
      }
      graph_.outputs().push_back(found->second);
    }
    TRAWL_TRY(graph_.SortNodes());
    if (options_.free_batch) FreeReshapes();
    TRAWL_TRY(graph_.Verify());
    return std::move(graph_);
  }

 private:
  Status Define(const std::string& name, ValueId id) {
    if (values_.emplace(name, id).second) return OkStatus();
    return Error(Code::kInvalidArgument, "'{}' is defined twice", name);
  }

  Status ReadInitializers() {
    for (int i = 0; i < proto_.initializer_size(); ++i) {
      const onnx::TensorProto& proto = proto_.initializer(i);
      const std::optional<ByteRange>& raw = model_.weights[static_cast<size_t>(i)];
      Result<Tensor> tensor = raw ? ToTensor(proto, *model_.source, *raw) : ToTensor(proto);
      if (!tensor) return Annotate(tensor.error(), "weight '{}'", proto.name());
      TRAWL_TRY(Define(proto.name(), graph_.AddConstant(proto.name(), std::move(*tensor))));
    }
    return OkStatus();
  }

  Status ReadInputs() {
    const std::set<std::string_view> initializers = InitializerNames(proto_);
    std::vector<const onnx::ValueInfoProto*> inputs;
    for (const auto& input : proto_.input()) {
      if (!initializers.contains(input.name())) inputs.push_back(&input);
    }
    for (const auto* input : inputs) {
      if (const Status status = ReadInput(*input, inputs.size() == 1); !status.ok()) {
        return Annotate(status, "input '{}'", input->name());
      }
    }
    return OkStatus();
  }

  Status ReadInput(const onnx::ValueInfoProto& input, bool only) {
    if (!input.type().has_tensor_type()) {
      return Error(Code::kUnimplemented, "only tensors are supported");
    }
    const onnx::TypeProto_Tensor& type = input.type().tensor_type();
    if (type.shape().dim_size() > static_cast<int>(kMaxRank)) {
      return Error(Code::kUnimplemented, "{} dimensions, at most {} are supported",
                   type.shape().dim_size(), kMaxRank);
    }
    TRAWL_ASSIGN(const DType dtype, ToDType(type.elem_type()));
    TRAWL_ASSIGN(Shape shape, InputShape(type, only));
    return Define(input.name(), graph_.AddInput(input.name(), dtype, std::move(shape)));
  }

  Result<Shape> InputShape(const onnx::TypeProto_Tensor& type, bool only) const {
    if (!options_.free_batch) {
      Shape exact;
      for (const auto& dim : type.shape().dim()) {
        if (!dim.has_dim_value() || dim.dim_value() < 0 || dim.dim_value() > INT32_MAX) {
          return Error(Code::kUnimplemented, "its shape is not fixed");
        }
        exact.push_back(dim.dim_value());
      }
      return exact;
    }
    if (!type.has_shape()) {
      if (options_.input_shape.empty()) return Error(Code::kInvalidArgument, "it has no shape");
      return options_.input_shape;
    }
    Shape shape = DeclaredShape(type);
    const bool same_rank = shape.size() == options_.input_shape.size();
    for (size_t i = 0; i < shape.size(); ++i) {
      if (i == 0 && only && shape[i] == 1) shape[i] = kBatch;
      if (i > 0 && shape[i] == kBatch) {
        if (!same_rank) return Error(Code::kInvalidArgument, "dimension {} is left open", i);
        shape[i] = options_.input_shape[i];
      }
      if (shape[i] > INT32_MAX) return Error(Code::kInvalidArgument, "a dimension of {}", shape[i]);
    }
    return shape;
  }

  /// Outputs that nobody reads (Dropout's mask, BatchNormalization's statistics) need not exist.
  void CountUses() {
    for (const auto& node : proto_.node()) used_.insert(node.input().begin(), node.input().end());
    for (const auto& output : proto_.output()) used_.insert(output.name());
  }

  std::string NodeName(int index) const {
    const onnx::NodeProto& node = proto_.node(index);
    return node.name().empty() ? fmt::format("{}_{}", node.op_type(), index) : node.name();
  }

  Status ForEachNode(Status (OnnxLoader::*step)(int)) {
    for (int i = 0; i < proto_.node_size(); ++i) {
      if (const Status status = (this->*step)(i); !status.ok()) {
        return Annotate(status, "node '{}' ({})", NodeName(i), proto_.node(i).op_type());
      }
    }
    return OkStatus();
  }

  Status DeclareOutputs(int index) {
    const onnx::NodeProto& proto = proto_.node(index);
    std::vector<ValueId>& outputs = node_outputs_[static_cast<size_t>(index)];
    for (const std::string& name : proto.output()) {
      const bool wanted = !name.empty() && (outputs.empty() || used_.contains(name));
      outputs.push_back(kNoValue);
      if (!wanted) continue;
      Value value;
      value.name = name;
      outputs.back() = graph_.AddValue(std::move(value));
      TRAWL_TRY(Define(name, outputs.back()));
    }
    const bool counted = proto.op_type() == "Split";  // its outputs' number means something
    while (!counted && !outputs.empty() && outputs.back() == kNoValue) outputs.pop_back();
    return OkStatus();
  }

  Status ReadNode(int index) {
    const onnx::NodeProto& proto = proto_.node(index);
    const OpDef* op = FindOp(proto.op_type());
    const bool constant = proto.op_type() == "Constant";
    const bool known = constant || (op != nullptr && !op->internal);
    if (!known || opset_ == 0 || !IsStandardDomain(proto.domain())) {
      return Error(Code::kUnimplemented, "the operator is not supported (domain '{}', opset {})",
                   proto.domain().empty() ? "ai.onnx" : proto.domain(), opset_);
    }
    Node node;
    node.name = NodeName(index);
    node.op = proto.op_type();
    TRAWL_TRY(ReadAttributes(proto, node));
    node.outputs = node_outputs_[static_cast<size_t>(index)];
    if (constant) return DefineConstant(node);
    for (const std::string& name : proto.input()) {
      const auto found = values_.find(name);
      if (!name.empty() && found == values_.end()) {
        return Error(Code::kInvalidArgument, "it reads '{}', which nothing defines", name);
      }
      node.inputs.push_back(name.empty() ? kNoValue : found->second);
    }
    while (!node.inputs.empty() && node.inputs.back() == kNoValue) node.inputs.pop_back();
    TRAWL_TRY(UpgradeNode(graph_, opset_, node));
    graph_.nodes().push_back(std::move(node));
    return OkStatus();
  }

  Status ReadAttributes(const onnx::NodeProto& proto, Node& node) const {
    for (const auto& attribute : proto.attribute()) {
      const bool target = node.op == "Cast" && attribute.name() == "to";
      Result<Attribute> value = target ? CastTarget(attribute) : ToAttribute(attribute);
      if (!value) return Annotate(value.error(), "attribute '{}'", attribute.name());
      if (node.attributes.Has(attribute.name())) {
        return Error(Code::kInvalidArgument, "attribute '{}' is given twice", attribute.name());
      }
      node.attributes.Set(attribute.name(), std::move(*value));
    }
    return OkStatus();
  }

  Status DefineConstant(const Node& node) {
    if (node.outputs.size() != 1) return Error(Code::kInvalidArgument, "it has no output");
    TRAWL_ASSIGN(Tensor tensor, ConstantValue(node.attributes));
    Value& value = graph_.value(node.outputs[0]);
    value.dtype = tensor.dtype();
    value.shape = tensor.shape();
    value.constant = std::move(tensor);
    return OkStatus();
  }

  /// Files that were written for one image spell the batch out in their reshapes, as [1, 256]:
  /// where the data depends on the image, that 1 becomes 0, which copies the data's first
  /// dimension.
  void FreeReshapes() {
    std::vector<bool> moving(graph_.value_count(), false);
    const auto is_moving = [&](ValueId id) {
      return id != kNoValue && moving[static_cast<size_t>(id)];
    };
    for (const ValueId id : graph_.inputs()) moving[static_cast<size_t>(id)] = true;
    for (Node& node : graph_.nodes()) {
      const bool depends = std::any_of(node.inputs.begin(), node.inputs.end(), is_moving);
      for (const ValueId id : node.outputs) {
        if (id != kNoValue) moving[static_cast<size_t>(id)] = depends;
      }
      if (node.op == "Reshape" && node.inputs.size() == 2 && is_moving(node.inputs[0])) {
        FreeReshape(node);
        moving.resize(graph_.value_count(), false);
      }
    }
  }

  void FreeReshape(Node& node) {
    if (node.inputs[1] == kNoValue || node.attributes.Has("allowzero")) return;
    const std::optional<Tensor>& target = graph_.value(node.inputs[1]).constant;
    if (!target || target->dtype() != DType::kI64 || target->size() < 2) return;
    const auto codes = target->data<int64_t>();
    if (codes[0] != 1) return;
    std::vector<int64_t> freed(codes.begin(), codes.end());
    freed[0] = 0;
    node.inputs[1] =
        graph_.AddConstant(node.name + "/shape", Tensor::Of<int64_t>(target->shape(), freed));
  }

  const onnx::GraphProto& proto_;
  const ParsedModel& model_;
  const OnnxOptions& options_;
  int64_t opset_ = 0;
  Graph graph_;
  std::unordered_map<std::string, ValueId> values_;  // by name
  std::set<std::string> used_;                       // names that somebody reads
  std::vector<std::vector<ValueId>> node_outputs_;   // by node
};

/// Whether `name` is made by a softmax or sigmoid, looking through what does not change its
/// meaning.
bool IsProbability(const onnx::GraphProto& graph, std::string name) {
  static const std::set<std::string_view> kTransparent = {"Cast",     "DequantizeLinear", "Flatten",
                                                          "Identity", "QuantizeLinear",   "Reshape",
                                                          "Squeeze",  "Unsqueeze"};
  std::unordered_map<std::string_view, const onnx::NodeProto*> producers;
  for (const auto& node : graph.node()) {
    for (const auto& output : node.output()) producers.emplace(output, &node);
  }
  for (int hops = 0; hops <= graph.node_size(); ++hops) {
    const auto found = producers.find(name);
    if (found == producers.end()) return false;
    const onnx::NodeProto& node = *found->second;
    if (node.op_type() == "Softmax" || node.op_type() == "Sigmoid") return true;
    if (!kTransparent.contains(node.op_type()) || node.input_size() == 0) return false;
    name = node.input(0);
  }
  return false;
}

}  // namespace

Result<Graph> ParseOnnx(std::string_view bytes, const OnnxOptions& options) {
  const MemorySource source(bytes);
  TRAWL_ASSIGN(const ParsedModel model, ParseModel(source));
  return OnnxLoader(model, options).Load();
}

Result<Graph> LoadOnnx(const std::string& path, const OnnxOptions& options) {
  TRAWL_ASSIGN(const auto file, OpenFile(path, kMaxOnnxBytes));
  TRAWL_ASSIGN(const ParsedModel model, ParseModel(*file));
  return OnnxLoader(model, options).Load();
}

Result<GraphFacts> InspectOnnx(const std::string& path) {
  TRAWL_ASSIGN(const auto file, OpenFile(path, kMaxOnnxBytes));
  const auto model = ParseModel(*file);
  if (!model) return Annotate(model.error(), "reading {}", path);
  const onnx::GraphProto& graph = model->proto.graph();
  const std::set<std::string_view> initializers = InitializerNames(graph);
  GraphFacts facts;
  for (const auto& input : graph.input()) {
    if (initializers.contains(input.name())) continue;
    facts.input_shape = DeclaredShape(input.type().tensor_type());
    if (!facts.input_shape.empty()) facts.input_shape[0] = kBatch;
    break;
  }
  facts.output_is_probability = IsProbability(graph, graph.output(0).name());
  return facts;
}

}  // namespace trawl::engine
