#include "engine/graph.h"

#include <functional>
#include <queue>
#include <utility>

#include "engine/limits.h"

namespace trawl::engine {
namespace {

template <class T>
Result<T> GetAttribute(const std::map<std::string, Attribute, std::less<>>& values,
                       std::string_view name, T fallback, std::string_view type) {
  const auto it = values.find(name);
  if (it == values.end()) return fallback;
  if (const T* value = std::get_if<T>(&it->second)) return *value;
  return Error(Code::kInvalidArgument, "attribute '{}' is not of type {}", name, type);
}

}  // namespace

void Attributes::Erase(std::string_view name) {
  if (const auto it = values_.find(name); it != values_.end()) values_.erase(it);
}

bool Attributes::Has(std::string_view name) const { return values_.find(name) != values_.end(); }

Result<int64_t> Attributes::Int(std::string_view name, int64_t fallback) const {
  return GetAttribute<int64_t>(values_, name, fallback, "int");
}

Result<float> Attributes::Float(std::string_view name, float fallback) const {
  return GetAttribute<float>(values_, name, fallback, "float");
}

Result<std::string> Attributes::String(std::string_view name, std::string fallback) const {
  return GetAttribute<std::string>(values_, name, std::move(fallback), "string");
}

Result<std::vector<int64_t>> Attributes::Ints(std::string_view name,
                                              std::vector<int64_t> fallback) const {
  return GetAttribute<std::vector<int64_t>>(values_, name, std::move(fallback), "ints");
}

const Tensor* Attributes::FindTensor(std::string_view name) const {
  const auto it = values_.find(name);
  return it == values_.end() ? nullptr : std::get_if<Tensor>(&it->second);
}

ValueId Graph::AddValue(Value value) {
  values_.push_back(std::move(value));
  return static_cast<ValueId>(values_.size() - 1);
}

ValueId Graph::AddConstant(std::string name, Tensor tensor) {
  Value constant;
  constant.name = std::move(name);
  constant.dtype = tensor.dtype();
  constant.shape = tensor.shape();
  constant.constant = std::move(tensor);
  return AddValue(std::move(constant));
}

ValueId Graph::AddInput(std::string name, DType dtype, Shape shape) {
  Value input;
  input.name = std::move(name);
  input.dtype = dtype;
  input.shape = std::move(shape);
  const ValueId id = AddValue(std::move(input));
  inputs_.push_back(id);
  return id;
}

ValueId Graph::AddNode(std::string name, std::string op, std::vector<ValueId> inputs,
                       Attributes attributes, std::string output_name) {
  Value output;
  output.name = std::move(output_name);
  const ValueId id = AddValue(std::move(output));
  nodes_.push_back(
      {std::move(name), std::move(op), std::move(inputs), {id}, std::move(attributes)});
  return id;
}

ValueId Graph::FindValue(std::string_view name) const {
  for (size_t i = 0; i < values_.size(); ++i) {
    if (values_[i].name == name) return static_cast<ValueId>(i);
  }
  return kNoValue;
}

void Graph::ReplaceUses(ValueId from, ValueId to) {
  for (Node& node : nodes_) std::replace(node.inputs.begin(), node.inputs.end(), from, to);
  std::replace(outputs_.begin(), outputs_.end(), from, to);
}

Status Graph::SortNodes() {
  // Kahn's algorithm; the smallest index first among the ready ones keeps the file's order where it
  // is legal.
  std::vector<int> producer(values_.size(), -1);
  for (size_t i = 0; i < nodes_.size(); ++i) {
    for (const ValueId id : nodes_[i].outputs) {
      if (id != kNoValue) producer[static_cast<size_t>(id)] = static_cast<int>(i);
    }
  }
  std::vector<std::vector<size_t>> consumers(nodes_.size());
  std::vector<int> waiting(nodes_.size(), 0);
  std::priority_queue<size_t, std::vector<size_t>, std::greater<>> ready;
  for (size_t i = 0; i < nodes_.size(); ++i) {
    for (const ValueId id : nodes_[i].inputs) {
      if (id == kNoValue || producer[static_cast<size_t>(id)] < 0) continue;
      consumers[static_cast<size_t>(producer[static_cast<size_t>(id)])].push_back(i);
      ++waiting[i];
    }
    if (waiting[i] == 0) ready.push(i);
  }
  std::vector<Node> sorted;
  sorted.reserve(nodes_.size());
  while (!ready.empty()) {
    const size_t i = ready.top();
    ready.pop();
    for (const size_t consumer : consumers[i]) {
      if (--waiting[consumer] == 0) ready.push(consumer);
    }
    sorted.push_back(std::move(nodes_[i]));
  }
  if (sorted.size() != nodes_.size()) {
    for (size_t i = 0; i < nodes_.size(); ++i) {
      if (waiting[i] > 0) {
        return Error(Code::kInvalidArgument, "node '{}' ({}) is on a cycle", nodes_[i].name,
                     nodes_[i].op);
      }
    }
  }
  nodes_ = std::move(sorted);
  return OkStatus();
}

Status Graph::Verify() const {
  if (nodes_.size() > kMaxNodes || values_.size() > kMaxValues) {
    return Error(Code::kResourceExhausted,
                 "the graph has {} nodes and {} values; at most {} and {} are read", nodes_.size(),
                 values_.size(), kMaxNodes, kMaxValues);
  }
  const auto in_range = [&](ValueId id) {
    return id >= 0 && static_cast<size_t>(id) < values_.size();
  };
  std::vector<bool> defined(values_.size(), false);
  for (size_t i = 0; i < values_.size(); ++i) defined[i] = values_[i].constant.has_value();
  for (const ValueId id : inputs_) {
    if (!in_range(id)) return Error(Code::kInvalidArgument, "a graph input is no value");
    if (defined[static_cast<size_t>(id)]) {
      return Error(Code::kInvalidArgument, "graph input '{}' is defined twice", value(id).name);
    }
    defined[static_cast<size_t>(id)] = true;
  }
  for (const Node& node : nodes_) {
    for (const ValueId id : node.inputs) {
      if (id == kNoValue) continue;
      if (!in_range(id) || !defined[static_cast<size_t>(id)]) {
        return Error(Code::kInvalidArgument,
                     "node '{}' ({}) reads '{}', which nothing before it defines", node.name,
                     node.op, in_range(id) ? value(id).name : "?");
      }
    }
    for (const ValueId id : node.outputs) {
      if (id == kNoValue) continue;
      if (!in_range(id) || defined[static_cast<size_t>(id)]) {
        return Error(Code::kInvalidArgument, "node '{}' ({}) writes '{}', which is defined already",
                     node.name, node.op, in_range(id) ? value(id).name : "?");
      }
      defined[static_cast<size_t>(id)] = true;
    }
  }
  for (const ValueId id : outputs_) {
    if (!in_range(id) || !defined[static_cast<size_t>(id)]) {
      return Error(Code::kInvalidArgument, "graph output '{}' is never defined",
                   in_range(id) ? value(id).name : "?");
    }
  }
  return OkStatus();
}

}  // namespace trawl::engine
