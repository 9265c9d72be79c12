#pragma once
// The graph: what loaders build, passes rewrite and the compiler binds. Its operators are ONNX's,
// in the form of engine/ops.h (the newest opset's; loaders convert older opsets and MXNet's
// operators to it).

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/status.h"
#include "engine/tensor.h"

namespace trawl::engine {

using ValueId = int32_t;
inline constexpr ValueId kNoValue = -1;  // an optional input that is absent

using Attribute =
    std::variant<int64_t, float, std::string, std::vector<int64_t>, std::vector<float>, Tensor>;

/// Named attributes of a node, with typed access and defaults. Loaders validate; wrong types are
/// the loader's errors.
class Attributes {
 public:
  void Set(std::string name, Attribute value) { values_[std::move(name)] = std::move(value); }
  void Erase(std::string_view name);
  bool Has(std::string_view name) const;
  /// The attribute, or `fallback` when it is absent. Errors: kInvalidArgument when its type is
  /// another.
  Result<int64_t> Int(std::string_view name, int64_t fallback) const;
  Result<float> Float(std::string_view name, float fallback) const;
  Result<std::string> String(std::string_view name, std::string fallback) const;
  Result<std::vector<int64_t>> Ints(std::string_view name, std::vector<int64_t> fallback) const;
  const Tensor* FindTensor(std::string_view name) const;
  const std::map<std::string, Attribute, std::less<>>& all() const { return values_; }

 private:
  std::map<std::string, Attribute, std::less<>> values_;
};

struct Node {
  std::string name;              // as in the model file; loaders make up one when it is empty
  std::string op;                // "Conv"
  std::vector<ValueId> inputs;   // kNoValue for absent optional ones
  std::vector<ValueId> outputs;  // kNoValue for outputs that nobody asks for
  Attributes attributes;
  std::string note = {};  // what a pass has to say about it, for `trawl model inspect`
};

/// An edge: a graph input, a constant, or a node's output.
struct Value {
  std::string name;
  DType dtype = DType::kF32;
  std::optional<Shape> shape;      // known after shape inference
  std::optional<Tensor> constant;  // set for weights and folded values
  Layout layout =
      Layout::kPlain;  // kBlocked only after the pass block_channels; never of constants
};

/// Nodes in topological order over values. A plain container: passes edit it freely and Verify()
/// checks it afterwards.
class Graph {
 public:
  ValueId AddValue(Value value);
  ValueId AddConstant(std::string name, Tensor tensor);
  ValueId AddInput(std::string name, DType dtype, Shape shape);
  /// Appends a node with one fresh output value named `output_name`, and returns that value.
  ValueId AddNode(std::string name, std::string op, std::vector<ValueId> inputs,
                  Attributes attributes, std::string output_name);

  Value& value(ValueId id) { return values_[static_cast<size_t>(id)]; }
  const Value& value(ValueId id) const { return values_[static_cast<size_t>(id)]; }
  size_t value_count() const { return values_.size(); }
  /// The value with this name, or kNoValue.
  ValueId FindValue(std::string_view name) const;

  std::vector<Node>& nodes() { return nodes_; }
  const std::vector<Node>& nodes() const { return nodes_; }
  std::vector<ValueId>& inputs() { return inputs_; }
  const std::vector<ValueId>& inputs() const { return inputs_; }
  std::vector<ValueId>& outputs() { return outputs_; }
  const std::vector<ValueId>& outputs() const { return outputs_; }

  /// Redirects every use of `from`, outputs included, to `to`.
  void ReplaceUses(ValueId from, ValueId to);

  /// Sorts the nodes topologically. Errors: kInvalidArgument naming a node on a cycle.
  Status SortNodes();

  /// Every input of a node is a graph input, a constant or an earlier node's output; every value
  /// has one producer; ids are in range; outputs exist. Errors: kInvalidArgument naming the node.
  Status Verify() const;

 private:
  std::vector<Value> values_;
  std::vector<Node> nodes_;
  std::vector<ValueId> inputs_;
  std::vector<ValueId> outputs_;
};

}  // namespace trawl::engine
