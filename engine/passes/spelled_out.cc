#include "engine/passes/spelled_out.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "engine/kernels/channel_affine.h"
#include "engine/ops/operands.h"

namespace trawl::engine {
namespace {

/// The node that makes `id`, if it is this operator.
const Node* Producer(const Graph& graph, const Uses& uses, ValueId id, std::string_view op) {
  const auto producer = uses.Producer(id);
  if (!producer || graph.nodes()[*producer].op != op) return nullptr;
  return &graph.nodes()[*producer];
}

/// A constant of one f32 number.
std::optional<float> Scalar(const Graph& graph, ValueId id) {
  const Value& value = graph.value(id);
  if (!value.constant || value.dtype != DType::kF32 || value.constant->size() != 1) {
    return std::nullopt;
  }
  return value.constant->data<float>()[0];
}

/// Exporters write constants with seven digits.
bool IsAbout(std::optional<float> value, float wanted) {
  return value && std::abs(*value - wanted) < 1e-6f * wanted;
}

/// What an Add or Mul adds to, or multiplies with, a constant of about `wanted`; else kNoValue.
ValueId OperandBeside(const Graph& graph, const Node& node, float wanted) {
  for (const size_t i : {0, 1}) {
    if (IsAbout(Scalar(graph, node.inputs[i]), wanted)) return node.inputs[1 - i];
  }
  return kNoValue;
}

/// Whether `id` is 1 + erf(x / √2).
bool IsOneAndErf(const Graph& graph, const Uses& uses, ValueId id, ValueId x) {
  const Node* sum = Producer(graph, uses, id, "Add");
  const ValueId beside = sum == nullptr ? kNoValue : OperandBeside(graph, *sum, 1);
  const Node* erf = beside == kNoValue ? nullptr : Producer(graph, uses, beside, "Erf");
  if (erf == nullptr) return false;
  constexpr auto kRoot = 1.41421356f;
  if (const Node* quotient = Producer(graph, uses, erf->inputs[0], "Div")) {
    return quotient->inputs[0] == x && IsAbout(Scalar(graph, quotient->inputs[1]), kRoot);
  }
  const Node* product = Producer(graph, uses, erf->inputs[0], "Mul");
  return product != nullptr && OperandBeside(graph, *product, 1 / kRoot) == x;
}

/// Pow(x, 2) or x · x, of which x; else kNoValue.
ValueId SquareRootOf(const Graph& graph, const Uses& uses, ValueId id) {
  if (const Node* power = Producer(graph, uses, id, "Pow")) {
    return Scalar(graph, power->inputs[1]) == 2.0f ? power->inputs[0] : kNoValue;
  }
  const Node* product = Producer(graph, uses, id, "Mul");
  return product != nullptr && product->inputs[0] == product->inputs[1] ? product->inputs[0]
                                                                        : kNoValue;
}

struct Mean {
  ValueId of = kNoValue;
  std::vector<bool> reduced;  // by dimension
};

std::optional<Mean> MeanOf(const Graph& graph, const ContentsTable& contents, const Uses& uses,
                           ValueId id) {
  const Node* mean = Producer(graph, uses, id, "ReduceMean");
  if (mean == nullptr || mean->attributes.Int("keepdims", 1) != 1) return std::nullopt;
  auto reduced = ReducedDims(NodeView(graph, *mean, contents));
  if (!reduced) return std::nullopt;
  return Mean{mean->inputs[0], std::move(*reduced)};
}

struct Normalized {
  ValueId x = kNoValue;
  std::vector<bool> reduced;
  float epsilon = 0;
};

std::optional<Normalized> AsNormalized(const Graph& graph, const ContentsTable& contents,
                                       const Uses& uses, const Node& quotient) {
  if (quotient.op != "Div") return std::nullopt;
  const Node* difference = Producer(graph, uses, quotient.inputs[0], "Sub");
  const Node* deviation = Producer(graph, uses, quotient.inputs[1], "Sqrt");
  if (difference == nullptr || deviation == nullptr) return std::nullopt;
  const Node* sum = Producer(graph, uses, deviation->inputs[0], "Add");
  if (sum == nullptr) return std::nullopt;
  const size_t constant = Scalar(graph, sum->inputs[0]) ? 0 : 1;
  const auto epsilon = Scalar(graph, sum->inputs[constant]);
  if (!epsilon) return std::nullopt;
  const auto variance = MeanOf(graph, contents, uses, sum->inputs[1 - constant]);
  const auto mean = MeanOf(graph, contents, uses, difference->inputs[1]);
  if (!variance || !mean || mean->reduced != variance->reduced) return std::nullopt;
  const bool fits = mean->of == difference->inputs[0] &&
                    SquareRootOf(graph, uses, variance->of) == difference->outputs[0];
  if (!fits) return std::nullopt;
  return Normalized{mean->of, mean->reduced, *epsilon};
}

/// The shape of scale and bias, and the shape that they have when a file writes them out.
struct Parameters {
  Shape shape, written;
};

/// The normalisation as a node without scale; nullopt when no operator reduces these dimensions.
std::optional<Node> AsNode(const Graph& graph, const Normalized& normalized,
                           Parameters& parameters) {
  const std::vector<bool>& reduced = normalized.reduced;
  const Shape& shape = *graph.value(normalized.x).shape;
  const auto first = std::ranges::find(reduced, true);
  const auto axis = first - reduced.begin();
  if (first == reduced.end() ||
      std::any_of(shape.begin() + axis, shape.end(), [](int64_t dim) { return dim < 1; })) {
    return std::nullopt;
  }
  Node node;
  node.inputs = {normalized.x};
  node.attributes.Set("epsilon", normalized.epsilon);
  if (std::all_of(first, reduced.end(), [](bool dim) { return dim; })) {
    node.op = "LayerNormalization";
    node.attributes.Set("axis", int64_t{axis});
    parameters.shape.assign(shape.begin() + axis, shape.end());
    parameters.written = parameters.shape;
  } else if (reduced == std::vector<bool>{false, true, false, false}) {
    node.op = "ChannelNormalization";
    parameters.shape = {shape[1]};
    parameters.written = {shape[1], 1, 1};
  } else {
    return std::nullopt;
  }
  return node;
}

/// The constant that `node` adds to, or multiplies with, `value`, when it has the shape of a
/// parameter.
const Tensor* Parameter(const Graph& graph, const Node& node, ValueId value,
                        const Parameters& parameters) {
  const Tensor* constant = ConstantF32(graph, node, node.inputs[0] == value ? 1 : 0);
  if (constant == nullptr) return nullptr;
  Shape shape = constant->shape();
  while (shape.size() > parameters.written.size() && shape.front() == 1) shape.erase(shape.begin());
  const bool same_rank = graph.value(node.outputs[0]).shape == graph.value(value).shape;
  return same_rank && shape == parameters.written ? constant : nullptr;
}

}  // namespace

bool ComposeGelu(const Graph& graph, const Uses& uses, Node& product) {
  if (product.op != "Mul") return false;
  for (const size_t i : {0, 1}) {
    const Node* inner = Producer(graph, uses, product.inputs[1 - i], "Mul");
    if (inner == nullptr) continue;
    // Three factors in any order: 0.5, x, and 1 + erf(x / √2).
    std::array factors{product.inputs[i], inner->inputs[0], inner->inputs[1]};
    std::ranges::sort(factors);
    do {
      const bool fits =
          Scalar(graph, factors[0]) == 0.5f && IsOneAndErf(graph, uses, factors[1], factors[2]);
      if (!fits) continue;
      if (graph.value(factors[2]).shape != graph.value(product.outputs[0]).shape) continue;
      product.op = "Gelu";
      product.inputs = {factors[2]};
      return true;
    } while (std::ranges::next_permutation(factors).found);
  }
  return false;
}

bool ComposeNormalization(Graph& graph, const ContentsTable& contents, const Uses& uses,
                          size_t at) {
  const auto normalized = AsNormalized(graph, contents, uses, graph.nodes()[at]);
  if (!normalized) return false;
  Parameters parameters;
  auto node = AsNode(graph, *normalized, parameters);
  if (!node) return false;
  std::array<std::optional<Tensor>, 2> constants;  // scale and bias
  size_t last = at;
  for (size_t i = 0; i < constants.size(); ++i) {
    const ValueId value = graph.nodes()[last].outputs[0];
    const auto reader = uses.OnlyReader(value);
    if (!reader || graph.nodes()[*reader].op != (i == 0 ? "Mul" : "Add")) continue;
    const Tensor* constant = Parameter(graph, graph.nodes()[*reader], value, parameters);
    if (constant == nullptr) continue;
    constants[i] = constant->Reshaped(parameters.shape);
    last = *reader;
  }
  if (!constants[0]) {
    constants[0] = Tensor(DType::kF32, parameters.shape);
    std::ranges::fill(constants[0]->mutable_data<float>(), 1.0f);
  }
  node->name = graph.nodes()[at].name;
  node->inputs.push_back(graph.AddConstant(node->name + "/scale", *std::move(constants[0])));
  if (constants[1]) {
    node->inputs.push_back(graph.AddConstant(node->name + "/bias", *std::move(constants[1])));
  }
  node->outputs = graph.nodes()[last].outputs;
  graph.nodes()[last] = std::move(*node);
  return true;
}

}  // namespace trawl::engine
