#pragma once
// MXNet's operators, each written in the engine's vocabulary (engine/ops.h).

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/status.h"
#include "engine/graph.h"
#include "engine/loaders/mxnet_params.h"
#include "engine/loaders/mxnet_symbol.h"

namespace trawl::engine {

/// One symbol node under conversion. Shapes of everything before it are known: MXNet's pooling and
/// reshaping rules cannot be written down without them.
class MxnetConversion {
 public:
  MxnetConversion(Graph& graph, const SymbolNode& node, std::vector<ValueId> inputs,
                  const MxnetParams& params)
      : graph_(graph), node_(node), inputs_(std::move(inputs)), params_(params) {}

  const SymbolNode& node() const { return node_; }
  const MxnetParams& params() const { return params_; }
  size_t input_count() const { return inputs_.size(); }
  /// Errors: kInvalidArgument when the node has no such input.
  Result<ValueId> Input(size_t i) const;
  const std::vector<ValueId>& inputs() const { return inputs_; }
  const Shape& shape(ValueId id) const { return *graph_.value(id).shape; }
  /// The input's tensor. Errors: kUnimplemented unless it is a parameter.
  Result<Tensor> Parameter(size_t i) const;

  ValueId Constant(Tensor tensor);
  ValueId Ints(std::vector<int64_t> values);
  ValueId Scalar(float value);
  /// Appends a node and infers its first output's shape. Errors: as InferShapes.
  Result<ValueId> Emit(std::string op, std::vector<ValueId> inputs, Attributes attributes = {});
  /// The same for several outputs.
  Result<std::vector<ValueId>> EmitMany(std::string op, std::vector<ValueId> inputs,
                                        Attributes attributes, size_t outputs);

  /// What the node's outputs are; names the last of the emitted values after the node.
  void Finish(std::vector<ValueId> outputs) { outputs_ = std::move(outputs); }
  const std::vector<ValueId>& outputs() const { return outputs_; }

 private:
  Graph& graph_;
  const SymbolNode& node_;
  std::vector<ValueId> inputs_;
  const MxnetParams& params_;
  std::vector<ValueId> outputs_;
  int emitted_ = 0;
};

struct MxnetOperator {
  std::string_view name;
  Status (*convert)(MxnetConversion&);
  /// Inputs beyond these are not looked at: the labels of losses.
  size_t used_inputs = SIZE_MAX;
  /// It makes probabilities: `output.kind` of a bare file.
  bool is_probability = false;
};

/// The operator, or nullptr when it is not supported.
const MxnetOperator* FindMxnetOperator(std::string_view name);
/// All names, sorted.
std::vector<std::string_view> SupportedMxnetOperators();

}  // namespace trawl::engine
