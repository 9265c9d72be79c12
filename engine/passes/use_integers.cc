// Quantised models compute in integers: an operator whose operands come from DequantizeLinear and
// whose result goes to QuantizeLinear becomes one on bytes, with the scales, zero points, bias and
// activation in the rounding of its sums. What cannot stays in f32, and its note says why; then
// bytes are dequantised before it and quantised behind it.
//
// The sums are those of the file's own integers, so they do not depend on how they are computed.
// What differs from other runtimes is the rounding of results that lie between two numbers.
#include <map>

#include "engine/kernels/quantized_number.h"
#include "engine/passes/pass.h"
#include "engine/passes/quantized_values.h"
#include "engine/passes/uses.h"

namespace trawl::engine {
namespace {

/// A value of bytes.
struct Quantized {
  ValueId bytes = kNoValue;
  Grid grid;
};

/// The operator before a QuantizeLinear, and what is applied between them.
struct Island {
  size_t op = 0;
  Activation activation;
};

class IntegerUser {
 public:
  explicit IntegerUser(Graph& graph) : graph_(graph), uses_(graph) {}

  int Run() {
    // Passes after this one read the nodes that stay; this one looks at those that were.
    old_ = graph_.nodes();
    for (size_t i = 0; i < old_.size(); ++i) {
      if (old_[i].op == "QuantizeLinear") Quantize(i);
      if (old_[i].op == "Gemm" && !EndsInQuantize(i)) GemmToFloat(i);
      if (old_[i].op == "GlobalAveragePool" && !EndsInQuantize(i)) MeanToFloat(i);
      position_[i] = nodes_.size();
      nodes_.push_back(old_[i]);
      if (old_[i].op == "DequantizeLinear") Redirect(nodes_.back());
    }
    graph_.nodes() = std::move(nodes_);
    return changes_;
  }

 private:
  const Node* Producer(ValueId id) const {
    const auto producer = id == kNoValue ? std::nullopt : uses_.Producer(id);
    return producer ? &old_[*producer] : nullptr;
  }

  /// What a dequantised value is made of.
  std::optional<Quantized> AsQuantized(ValueId id) const {
    const Node* node = Producer(id);
    if (node == nullptr || node->op != "DequantizeLinear") return std::nullopt;
    const auto bytes = bytes_.find(node->inputs[0]);
    const auto grid = GridOf(graph_, *node);
    if (bytes == bytes_.end() || !grid) return std::nullopt;
    return Quantized{bytes->second, *grid};
  }

  /// Makes the bytes that the QuantizeLinear's readers will read.
  void Quantize(size_t index) {
    const Node& node = old_[index];
    const auto grid = GridOf(graph_, node);
    if (!grid) return;
    const auto island = FindIsland(node.inputs[0]);
    if (island) {
      const auto bytes = Convert(*island, *grid);
      if (bytes) {
        bytes_[node.outputs[0]] = *bytes;
        ++changes_;
        return;
      }
      Explain(island->op, bytes.error().message());
    }
    Node quantize = node;
    quantize.inputs.resize(3);
    quantize.inputs[2] = ZeroPoint(node, *grid);
    quantize.outputs = {NewBytes(node.name)};
    bytes_[node.outputs[0]] = quantize.outputs[0];
    nodes_.push_back(std::move(quantize));
  }

  /// A DequantizeLinear of activations reads bytes.
  void Redirect(Node& node) {
    const auto bytes = bytes_.find(node.inputs[0]);
    const auto grid = GridOf(graph_, node);
    if (bytes == bytes_.end() || !grid) return;
    node.inputs.resize(3);
    node.inputs[0] = bytes->second;
    node.inputs[2] = ZeroPoint(node, *grid);
  }

  ValueId ZeroPoint(const Node& node, const Grid& grid) {
    Tensor tensor(DType::kU8, *graph_.value(node.inputs[1]).shape);
    tensor.mutable_data<uint8_t>()[0] = static_cast<uint8_t>(grid.zero_point);
    return graph_.AddConstant(node.name + "/zero_point", std::move(tensor));
  }

  ValueId NewBytes(const std::string& name) {
    Value value;
    value.name = name + "/bytes";
    value.dtype = DType::kU8;
    return graph_.AddValue(std::move(value));
  }

  ValueId Append(const Node& from, std::string op, std::vector<ValueId> inputs,
                 Attributes attributes) {
    Node node{from.name, std::move(op), std::move(inputs), {}, std::move(attributes), ""};
    node.outputs = {NewBytes(from.name)};
    nodes_.push_back(std::move(node));
    return nodes_.back().outputs[0];
  }

  /// Notes on the node that stays in f32 why it does.
  void Explain(size_t index, std::string why) {
    const auto position = position_.find(index);
    if (position != position_.end()) nodes_[position->second].note = "in f32: " + std::move(why);
  }

  std::optional<Island> FindIsland(ValueId id) const {
    auto producer = uses_.Producer(id);
    if (!producer) return std::nullopt;
    Island island;
    if (const auto activation = AsActivation(graph_, old_[*producer])) {
      island.activation = *activation;
      const ValueId before = old_[*producer].inputs[0];
      const auto op = uses_.Producer(before);
      if (!op || !uses_.OnlyReader(before)) return std::nullopt;
      producer = op;
    }
    island.op = *producer;
    return island;
  }

  /// Whether an operator's result is quantised, so that it is an island.
  bool EndsInQuantize(size_t index) const {
    auto reader = uses_.OnlyReader(old_[index].outputs[0]);
    if (reader && AsActivation(graph_, old_[*reader])) {
      reader = uses_.OnlyReader(old_[*reader].outputs[0]);
    }
    return reader && old_[*reader].op == "QuantizeLinear";
  }

  /// The bytes of the island's result. Errors: why there are none.
  Result<ValueId> Convert(const Island& island, const Grid& y) {
    const Node& node = old_[island.op];
    const auto bounds = BytesOf(island.activation, y);
    if (!bounds) return Error(Code::kUnimplemented, "its activation is no bound");
    if (node.op == "Conv") return ConvertConv(node, y, *bounds);
    if (node.op == "Gemm") return ConvertGemm(node, y, *bounds);
    if (node.op == "Add") return ConvertAdd(node, y, *bounds);
    if (node.op == "Concat") return ConvertConcat(node, y, *bounds);
    if (node.op == "GlobalAveragePool") return ConvertMean(node, y, *bounds);
    if (node.op == "MaxPool") return ConvertMaxPool(node, y, *bounds);
    return Error(Code::kUnimplemented, "there is no such operator in integers");
  }

  /// The operand of an operator of images.
  Result<Quantized> Operand(const Node& node, size_t i) const {
    const auto x = AsQuantized(node.inputs[i]);
    if (!x) return Error(Code::kUnimplemented, "its operands are not quantised");
    if (graph_.value(node.inputs[i]).shape->size() != 4) {
      return Error(Code::kUnimplemented, "its operands are no images");
    }
    return *x;
  }

  Result<QuantizedConstant> Weights(const Node& node, size_t axis) const {
    const Node* dequantize = Producer(node.inputs[1]);
    if (dequantize == nullptr || dequantize->op != "DequantizeLinear") {
      return Error(Code::kUnimplemented, "its weights are not quantised constants");
    }
    const Shape& shape = *graph_.value(node.inputs[1]).shape;
    return ReadConstant(graph_, *dequantize, axis, static_cast<size_t>(shape[axis]));
  }

  Result<std::vector<double>> Bias(const Node& node, size_t channels) const {
    std::vector<double> bias(channels, 0);
    if (node.inputs.size() < 3 || node.inputs[2] == kNoValue) return bias;
    const Value& value = graph_.value(node.inputs[2]);
    if (value.constant && value.dtype == DType::kF32 &&
        value.constant->size() == static_cast<int64_t>(channels)) {
      std::ranges::copy(value.constant->data<float>(), bias.begin());
      return bias;
    }
    const Node* dequantize = Producer(node.inputs[2]);
    if (dequantize == nullptr || dequantize->op != "DequantizeLinear" ||
        value.shape != Shape{static_cast<int64_t>(channels)}) {
      return Error(Code::kUnimplemented, "its bias is not a constant by channel");
    }
    // Per-channel biases have one dimension, whatever axis the file names.
    TRAWL_ASSIGN(const QuantizedConstant read, ReadConstant(graph_, *dequantize, 0, channels));
    for (size_t c = 0; c < channels; ++c) {
      bias[c] = static_cast<double>(read.values[c]) * read.scales[c];
    }
    return bias;
  }

  std::vector<ValueId> ProductInputs(const Node& node, ValueId x, IntegerProduct& product) {
    return {x, graph_.AddConstant(node.name + "/weights", std::move(product.weights)),
            graph_.AddConstant(node.name + "/multiplier", std::move(product.multiplier)),
            graph_.AddConstant(node.name + "/shift", std::move(product.shift))};
  }

  /// With a residual, the sum of both.
  Result<ValueId> ConvertConv(const Node& node, const Grid& y, std::pair<int, int> bounds,
                              const std::optional<Quantized>& residual = std::nullopt) {
    TRAWL_ASSIGN(const Quantized x, Operand(node, 0));
    TRAWL_ASSIGN(const QuantizedConstant weights, Weights(node, 0));
    TRAWL_ASSIGN(const std::vector<double> bias, Bias(node, weights.scales.size()));
    TRAWL_ASSIGN(IntegerProduct product,
                 MakeProduct(weights, *graph_.value(node.inputs[1]).shape, bias, x.grid, y));
    const int64_t group = node.attributes.Int("group", 1).value_or(1);
    const bool depthwise = product.weights.shape()[1] == 1 && product.weights.shape()[0] == group;
    if (group > 1 && !depthwise && product.parameters.weight_offset != 0) {
      return Error(Code::kUnimplemented, "its groups' weights have a zero point");
    }
    std::tie(product.parameters.low, product.parameters.high) = bounds;
    Attributes attributes = node.attributes;
    if (residual) TRAWL_TRY(Join(*residual, y, product));
    SetProduct(product.parameters, attributes);
    if (residual) SetSum(product.parameters.sum, attributes);
    std::vector<ValueId> inputs = ProductInputs(node, x.bytes, product);
    if (residual) inputs.push_back(residual->bytes);
    return Append(node, "QuantizedConv", std::move(inputs), attributes);
  }

  /// Lets a residual join the product's sums.
  static Status Join(const Quantized& residual, const Grid& y, IntegerProduct& product) {
    QuantizedProduct& parameters = product.parameters;
    parameters.joins = true;
    parameters.sum = {1, residual.grid.scale / y.scale, 0, parameters.low, parameters.high};
    TRAWL_TRY(CheckSum(parameters.sum));
    for (float& shift : product.shift.mutable_data<float>()) {
      shift -= static_cast<float>(residual.grid.zero_point) * parameters.sum.b_scale;
    }
    return OkStatus();
  }

  /// The convolution that makes an operand of a sum, for it alone and without rounding.
  const Node* UnroundedConv(const Node& add, size_t operand) const {
    const Node* conv = Producer(add.inputs[operand]);
    const bool joins = conv != nullptr && conv->op == "Conv" &&
                       uses_.OnlyReader(add.inputs[operand]) && AsQuantized(conv->inputs[0]) &&
                       graph_.value(add.inputs[0]).shape == graph_.value(add.inputs[1]).shape;
    return joins ? conv : nullptr;
  }

  /// The rows of a product: bytes, or bytes behind a Flatten or Reshape.
  Result<Quantized> Rows(const Node& node) {
    if (const auto x = AsQuantized(node.inputs[0])) return *x;
    const Node* reshape = Producer(node.inputs[0]);
    const bool flattens =
        reshape != nullptr &&
        (reshape->op == "Flatten" || reshape->op == "Reshape" || reshape->op == "Squeeze");
    const auto x = flattens ? AsQuantized(reshape->inputs[0]) : std::nullopt;
    if (!x) return Error(Code::kUnimplemented, "its operands are not quantised");
    Quantized rows = *x;
    std::vector<ValueId> inputs = reshape->inputs;
    inputs[0] = x->bytes;
    rows.bytes = Append(*reshape, reshape->op, std::move(inputs), reshape->attributes);
    return rows;
  }

  Result<IntegerProduct> GemmProduct(const Node& node, const Grid& x, const Grid& y) {
    const auto one = [&](std::string_view name) {
      return node.attributes.Float(name, 1).value_or(0) == 1;
    };
    if (node.attributes.Int("transA", 0).value_or(1) != 0 || !one("alpha") || !one("beta")) {
      return Error(Code::kUnimplemented, "its product is scaled or transposed");
    }
    const bool transposed = node.attributes.Int("transB", 0).value_or(0) != 0;
    TRAWL_ASSIGN(QuantizedConstant weights, Weights(node, transposed ? 0 : 1));
    const Shape& shape = *graph_.value(node.inputs[1]).shape;
    const auto columns = static_cast<size_t>(shape[transposed ? 0 : 1]);
    if (!transposed) {
      std::vector<int64_t> rows(weights.values.size());
      const size_t depth = rows.size() / columns;
      for (size_t i = 0; i < rows.size(); ++i) {
        rows[i] = weights.values[i % depth * columns + i / depth];
      }
      weights.values = std::move(rows);
    }
    TRAWL_ASSIGN(const std::vector<double> bias, Bias(node, columns));
    const auto depth = static_cast<int64_t>(weights.values.size() / columns);
    return MakeProduct(weights, {static_cast<int64_t>(columns), depth}, bias, x, y);
  }

  Result<ValueId> ConvertGemm(const Node& node, const Grid& y, std::pair<int, int> bounds) {
    TRAWL_ASSIGN(const Quantized x, Rows(node));
    TRAWL_ASSIGN(IntegerProduct product, GemmProduct(node, x.grid, y));
    std::tie(product.parameters.low, product.parameters.high) = bounds;
    Attributes attributes;
    SetProduct(product.parameters, attributes);
    return Append(node, "QuantizedGemm", ProductInputs(node, x.bytes, product), attributes);
  }

  /// A product whose result stays in f32: mostly a network's last one.
  void GemmToFloat(size_t index) {
    const auto x = Rows(old_[index]);
    if (!x) return;  // not quantised
    auto product = GemmProduct(old_[index], x->grid, {1, 0});
    if (!product) {
      old_[index].note = "in f32: " + product.error().message();
      return;
    }
    Node node = old_[index];
    node.op = "QuantizedGemm";
    node.inputs = ProductInputs(node, x->bytes, *product);
    node.attributes = {};
    SetProduct(product->parameters, node.attributes);
    node.attributes.Set("to_float", int64_t{1});
    old_[index] = std::move(node);
    ++changes_;
  }

  /// A mean whose result stays in f32.
  void MeanToFloat(size_t index) {
    Node& node = old_[index];
    const auto x = Operand(node, 0);
    if (!x) return;  // not quantised
    const float scale = x->grid.scale;
    const QuantizedSum sum{scale, 0, -scale * static_cast<float>(x->grid.zero_point), 0, 255};
    node.op = "QuantizedGlobalAveragePool";
    node.inputs = {x->bytes};
    node.attributes = {};
    SetSum(sum, node.attributes);
    node.attributes.Set("to_float", int64_t{1});
    ++changes_;
  }

  Result<ValueId> ConvertAdd(const Node& node, const Grid& y, std::pair<int, int> bounds) {
    for (const size_t own : {size_t{0}, size_t{1}}) {
      const auto residual = AsQuantized(node.inputs[1 - own]);
      const Node* conv = residual ? UnroundedConv(node, own) : nullptr;
      if (conv != nullptr) return ConvertConv(*conv, y, bounds, residual);
    }
    TRAWL_ASSIGN(const Quantized a, Operand(node, 0));
    TRAWL_ASSIGN(const Quantized b, Operand(node, 1));
    if (graph_.value(node.inputs[0]).shape != graph_.value(node.inputs[1]).shape) {
      return Error(Code::kUnimplemented, "its operands differ in shape");
    }
    QuantizedSum sum{a.grid.scale / y.scale, b.grid.scale / y.scale, 0, bounds.first,
                     bounds.second};
    sum.shift = static_cast<float>(y.zero_point) -
                static_cast<float>(a.grid.zero_point) * sum.a_scale -
                static_cast<float>(b.grid.zero_point) * sum.b_scale;
    return AppendSum(node, "QuantizedAdd", {a.bytes, b.bytes}, sum);
  }

  Result<ValueId> ConvertMean(const Node& node, const Grid& y, std::pair<int, int> bounds) {
    TRAWL_ASSIGN(const Quantized x, Operand(node, 0));
    QuantizedSum sum{x.grid.scale / y.scale, 0, 0, bounds.first, bounds.second};
    sum.shift =
        static_cast<float>(y.zero_point) - static_cast<float>(x.grid.zero_point) * sum.a_scale;
    return AppendSum(node, "QuantizedGlobalAveragePool", {x.bytes}, sum);
  }

  static Status CheckSum(const QuantizedSum& sum) {
    // Far beyond what calibration makes; within it, no rounding to an integer can overflow.
    constexpr float kMaxScale = 1 << 20;
    if (sum.a_scale < kMaxScale && sum.b_scale < kMaxScale) return OkStatus();
    return Error(Code::kUnimplemented, "its sums may overflow");
  }

  Result<ValueId> AppendSum(const Node& node, std::string op, std::vector<ValueId> inputs,
                            const QuantizedSum& sum) {
    TRAWL_TRY(CheckSum(sum));
    Attributes attributes;
    SetSum(sum, attributes);
    return Append(node, std::move(op), std::move(inputs), attributes);
  }

  Result<ValueId> ConvertMaxPool(const Node& node, const Grid& y, std::pair<int, int> bounds) {
    TRAWL_ASSIGN(const Quantized x, Operand(node, 0));
    if (!(x.grid == y) || bounds != std::pair(0, 255)) {
      return Error(Code::kUnimplemented, "its result is on another grid than its operand");
    }
    return Append(node, "QuantizedMaxPool", {x.bytes}, node.attributes);
  }

  Result<ValueId> ConvertConcat(const Node& node, const Grid& y, std::pair<int, int> bounds) {
    const auto axis = NodeView::Axis(node.attributes.Int("axis", 0).value_or(0), 4);
    if (!axis || *axis != 1) return Error(Code::kUnimplemented, "it is not along the channels");
    std::vector<ValueId> inputs;
    std::vector<int64_t> table;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      TRAWL_ASSIGN(const Quantized x, Operand(node, i));
      inputs.push_back(x.bytes);
      for (int byte = 0; byte < 256; ++byte) {
        const float real = x.grid.scale * static_cast<float>(byte - x.grid.zero_point);
        table.push_back(RoundToByte(real / y.scale + static_cast<float>(y.zero_point), bounds.first,
                                    bounds.second));
      }
    }
    Attributes attributes;
    attributes.Set("table", std::move(table));
    return Append(node, "QuantizedConcat", std::move(inputs), attributes);
  }

  Graph& graph_;
  Uses uses_;
  std::vector<Node> old_, nodes_;
  std::map<size_t, size_t> position_;  // of an old node among the new ones
  std::map<ValueId, ValueId> bytes_;   // what stands for a QuantizeLinear's output
  int changes_ = 0;
};

/// The convolution that makes `id` for one reader alone, and can still add a residual.
std::optional<size_t> ConvBefore(const Graph& graph, const Uses& uses, ValueId id) {
  const auto producer = uses.Producer(id);
  if (!producer || !uses.OnlyReader(id)) return std::nullopt;
  const Node& node = graph.nodes()[*producer];
  return node.op == "QuantizedConv" && node.inputs.size() == 4 ? producer : std::nullopt;
}

}  // namespace

Result<int> UseIntegers(Graph& graph, const ContentsTable&) { return IntegerUser(graph).Run(); }

Result<int> FuseIntegerSums(Graph& graph, const ContentsTable&) {
  Uses uses(graph);
  std::vector<bool> dead(graph.nodes().size(), false);
  int changes = 0;
  for (size_t i = 0; i < graph.nodes().size(); ++i) {
    if (graph.nodes()[i].op != "QuantizedAdd") continue;
    const Node& add = graph.nodes()[i];
    const auto first = ConvBefore(graph, uses, add.inputs[0]);
    const auto second = ConvBefore(graph, uses, add.inputs[1]);
    // The later of two convolutions: the other's result is there by then.
    const size_t own = second && (!first || *second > *first) ? 1 : 0;
    const auto conv = own == 1 ? second : first;
    if (!conv) continue;
    TRAWL_ASSIGN(QuantizedSum sum, GetSum(add.attributes));
    if (own == 1) std::swap(sum.a_scale, sum.b_scale);
    const ValueId residual = add.inputs[1 - own];
    Node fused = std::move(graph.nodes()[*conv]);
    dead[*conv] = true;
    for (const ValueId id : fused.inputs) uses.MoveReader(id, *conv, i);
    fused.inputs.push_back(residual);
    fused.outputs = add.outputs;
    SetSum(sum, fused.attributes);
    graph.nodes()[i] = std::move(fused);
    ++changes;
  }
  RemoveNodes(graph, dead);
  return changes;
}

}  // namespace trawl::engine
