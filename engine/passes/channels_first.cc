// Images that a network turns to [N, H, W, C], computes on and turns back (ConvNeXt's blocks, files
// from TensorFlow) stay [N, C, H, W], where convolutions are fast and no transposition is needed:
// what lies between works on channels as the second dimension instead of the last, and a product
// with a matrix becomes a convolution of one tap.
#include <algorithm>
#include <numeric>

#include "engine/kernels/activation.h"
#include "engine/kernels/channel_affine.h"
#include "engine/ops/operands.h"
#include "engine/passes/pass.h"

namespace trawl::engine {
namespace {

const std::vector<size_t> kToLast{0, 2, 3, 1}, kToFirst{0, 3, 1, 2};

bool IsArithmetic(const Node& node) {
  return node.op == "Add" || node.op == "Sub" || node.op == "Mul" || node.op == "Div";
}

/// A matrix [inputs, outputs] as the weights of a convolution, [outputs, inputs, 1, 1].
Tensor AsConvolution(const Tensor& matrix) {
  const int64_t inputs = matrix.shape()[0], outputs = matrix.shape()[1];
  Tensor weights(DType::kF32, {outputs, inputs, 1, 1});
  const float* from = matrix.data<float>().data();
  float* to = weights.mutable_data<float>().data();
  for (int64_t o = 0; o < outputs; ++o) {
    for (int64_t i = 0; i < inputs; ++i) *to++ = from[i * outputs + o];
  }
  return weights;
}

class ChannelsFirst {
 public:
  ChannelsFirst(Graph& graph, const ContentsTable& contents)
      : graph_(graph),
        contents_(contents),
        possible_(graph.value_count()),
        twin_(graph.value_count(), kNoValue),
        target_(graph.value_count()) {
    std::iota(target_.begin(), target_.end(), 0);
  }

  int Run() {
    for (const Node& node : graph_.nodes()) {
      if (Transposes(node, kToLast) || CanTurn(node)) possible_[At(node.outputs[0])] = true;
    }
    const std::vector<bool> turns = FindNodesToTurn();
    for (size_t i = 0; i < turns.size(); ++i) Rewrite(std::move(graph_.nodes()[i]), turns[i]);
    for (ValueId& id : graph_.outputs()) id = target_[At(id)];
    graph_.nodes() = std::move(nodes_);
    return changes_;
  }

 private:
  static size_t At(ValueId id) { return static_cast<size_t>(id); }
  bool IsPossible(ValueId id) const { return id != kNoValue && possible_[At(id)]; }

  bool Transposes(const Node& node, const std::vector<size_t>& wanted) const {
    if (node.op != "Transpose" || graph_.value(node.outputs[0]).dtype != DType::kF32) return false;
    const auto perm = Permutation(NodeView(graph_, node, contents_));
    return perm && *perm == wanted;
  }

  bool CanTurn(const Node& node) const {
    if (node.outputs.size() != 1 || node.outputs[0] == kNoValue) return false;
    const Shape& shape = *graph_.value(node.outputs[0]).shape;
    if (shape.size() != 4) return false;
    if (IsArithmetic(node)) {
      return (IsPossible(node.inputs[0]) || IsPossible(node.inputs[1])) &&
             CanTurnOperand(node, 0, shape) && CanTurnOperand(node, 1, shape);
    }
    if (node.inputs.empty() || !IsPossible(node.inputs[0])) return false;
    const Tensor* weights = ConstantF32(graph_, node, 1);
    if (node.op == "MatMul") return weights != nullptr && weights->shape().size() == 2;
    if (node.op == "LayerNormalization") {
      return weights != nullptr && weights->shape().size() == 1;  // over the channels alone
    }
    return AsActivation(graph_, node).has_value();
  }

  /// A value of the result's shape that can be turned, or a constant by channel.
  bool CanTurnOperand(const Node& node, size_t i, const Shape& result) const {
    if (IsPossible(node.inputs[i])) return *graph_.value(node.inputs[i]).shape == result;
    const Tensor* constant = ConstantF32(graph_, node, i);
    if (constant == nullptr || constant->shape().size() > result.size()) return false;
    return constant->size() == 1 ||
           (constant->size() == result.back() && constant->shape().back() == result.back());
  }

  /// Those between a transposition and one back: of what can be turned, all else gains nothing.
  std::vector<bool> FindNodesToTurn() const {
    const std::vector<Node>& nodes = graph_.nodes();
    std::vector<bool> wanted(possible_.size()), turns(nodes.size());
    for (size_t i = nodes.size(); i-- > 0;) {
      const Node& node = nodes[i];
      turns[i] = node.outputs[0] != kNoValue && wanted[At(node.outputs[0])] && CanTurn(node);
      if (!turns[i] && !Transposes(node, kToFirst)) continue;
      for (const ValueId id : node.inputs) {
        if (IsPossible(id)) wanted[At(id)] = true;
      }
    }
    return turns;
  }

  void Rewrite(Node node, bool turns) {
    if (turns) return Turn(node);
    const bool to_first = Transposes(node, kToFirst) && twin_[At(node.inputs[0])] != kNoValue;
    if (to_first) {
      target_[At(node.outputs[0])] = twin_[At(node.inputs[0])];
      ++changes_;
      return;
    }
    for (ValueId& id : node.inputs) {
      if (id != kNoValue) id = target_[At(id)];
    }
    if (Transposes(node, kToLast)) twin_[At(node.outputs[0])] = node.inputs[0];
    nodes_.push_back(std::move(node));
  }

  /// The node on [N, C, H, W], and behind it a transposition, for readers that want it as it was.
  void Turn(Node& node) {
    const ValueId result = node.outputs[0];
    const std::string name = graph_.value(result).name;
    if (IsArithmetic(node)) {
      for (ValueId& id : node.inputs) id = IsPossible(id) ? twin_[At(id)] : ByChannel(id);
    } else {
      node.inputs[0] = twin_[At(node.inputs[0])];
    }
    if (node.op == "MatMul") {
      node.op = "Conv";
      node.inputs[1] = graph_.AddConstant(graph_.value(node.inputs[1]).name + "/convolution",
                                          AsConvolution(*graph_.value(node.inputs[1]).constant));
    } else if (node.op == "LayerNormalization") {
      node.op = "ChannelNormalization";
      node.attributes.Erase("axis");
      node.attributes.Erase("stash_type");
    }
    Value value;
    value.name = name + "/channels_first";
    const ValueId turned = graph_.AddValue(std::move(value));
    node.outputs = {turned};
    twin_[At(result)] = turned;
    Node back{node.name + "/channels_last", "Transpose", {turned}, {result}, {}};
    back.attributes.Set("perm", std::vector<int64_t>(kToLast.begin(), kToLast.end()));
    nodes_.push_back(std::move(node));
    nodes_.push_back(std::move(back));
    ++changes_;
  }

  /// A constant along the last dimension along the second.
  ValueId ByChannel(ValueId id) {
    const Tensor& constant = *graph_.value(id).constant;
    if (constant.size() == 1) return id;
    return graph_.AddConstant(graph_.value(id).name + "/channels_first",
                              constant.Reshaped({constant.size(), 1, 1}));
  }

  Graph& graph_;
  const ContentsTable& contents_;
  std::vector<bool> possible_;   // by value: it can be had as [N, C, H, W]
  std::vector<ValueId> twin_;    // by value: the same as [N, C, H, W], once it is there
  std::vector<ValueId> target_;  // by value: what its readers read instead
  std::vector<Node> nodes_;      // of the new graph
  int changes_ = 0;
};

}  // namespace

Result<int> WorkOnChannelsFirst(Graph& graph, const ContentsTable& contents) {
  return ChannelsFirst(graph, contents).Run();
}

}  // namespace trawl::engine
