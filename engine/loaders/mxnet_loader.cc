// The MXNet loader: symbol and parameters in, Graph out. Only what the heads need is converted.

#include <algorithm>
#include <optional>

#include "engine/loaders/file.h"
#include "engine/loaders/inspect.h"
#include "engine/loaders/loaders.h"
#include "engine/loaders/mxnet_operators.h"
#include "engine/loaders/mxnet_params.h"
#include "engine/loaders/mxnet_symbol.h"

namespace trawl::engine {
namespace {

// 400 bytes a node, at the most nodes that are read; ResNet-152 has 300 kB.
constexpr uint64_t kMaxSymbolBytes = uint64_t{8} << 20;
constexpr uint64_t kMaxParamsBytes = uint64_t{4} << 30;

/// Inputs of `node` that its conversion looks at.
size_t UsedInputs(const SymbolNode& node) {
  const MxnetOperator* op = FindMxnetOperator(node.op);
  return op == nullptr ? node.inputs.size() : std::min(node.inputs.size(), op->used_inputs);
}

/// Which nodes the heads depend on.
std::vector<bool> FindNeeded(const Symbol& symbol) {
  std::vector<bool> needed(symbol.nodes.size(), false);
  for (const auto& head : symbol.heads) needed[head.node] = true;
  for (size_t i = symbol.nodes.size(); i-- > 0;) {
    if (!needed[i]) continue;
    for (size_t k = 0; k < UsedInputs(symbol.nodes[i]); ++k) {
      needed[symbol.nodes[i].inputs[k].node] = true;
    }
  }
  return needed;
}

class MxnetLoader {
 public:
  MxnetLoader(const Symbol& symbol, const MxnetParams& params, const MxnetOptions& options)
      : symbol_(symbol), params_(params), options_(options), values_(symbol.nodes.size()) {}

  Result<Graph> Load() {
    const std::vector<bool> needed = FindNeeded(symbol_);
    TRAWL_ASSIGN(const size_t input, FindInput(needed));
    for (size_t i = 0; i < symbol_.nodes.size(); ++i) {
      if (!needed[i]) continue;
      const SymbolNode& node = symbol_.nodes[i];
      if (node.op != "null") {
        TRAWL_TRY(Convert(i));
      } else if (i == input) {
        values_[i] = {graph_.AddInput(node.name, DType::kF32, options_.input_shape)};
      } else {
        values_[i] = {graph_.AddConstant(node.name, params_.find(node.name)->second)};
      }
    }
    for (const auto& head : symbol_.heads) {
      TRAWL_ASSIGN(const ValueId output, Resolve(head));
      graph_.outputs().push_back(output);
    }
    TRAWL_TRY(graph_.Verify());
    return std::move(graph_);
  }

 private:
  /// The picture: the needed null node without parameters, which must be the only one.
  Result<size_t> FindInput(const std::vector<bool>& needed) const {
    std::optional<size_t> input;
    for (size_t i = 0; i < symbol_.nodes.size(); ++i) {
      const SymbolNode& node = symbol_.nodes[i];
      if (!needed[i] || node.op != "null" || params_.contains(node.name)) continue;
      if (input && symbol_.nodes[*input].name != "data" && node.name != "data") {
        return Error(Code::kInvalidArgument, "neither '{}' nor '{}' has parameters",
                     symbol_.nodes[*input].name, node.name);
      }
      if (input) {
        const bool is_data = node.name == "data";
        return Error(Code::kInvalidArgument, "'{}' has no parameters",
                     is_data ? symbol_.nodes[*input].name : node.name);
      }
      input = i;
    }
    if (!input) return Error(Code::kInvalidArgument, "no input: every variable has parameters");
    return *input;
  }

  Result<ValueId> Resolve(const SymbolNode::Input& edge) const {
    const std::vector<ValueId>& outputs = values_[edge.node];
    if (edge.output < outputs.size()) return outputs[edge.output];
    return Error(Code::kUnimplemented, "node '{}' ({}): output {} is not supported",
                 symbol_.nodes[edge.node].name, symbol_.nodes[edge.node].op, edge.output);
  }

  Status Convert(size_t index) {
    const SymbolNode& node = symbol_.nodes[index];
    const MxnetOperator* op = FindMxnetOperator(node.op);
    if (op == nullptr) {
      return Error(Code::kUnimplemented, "node '{}' ({}): the operator is not supported", node.name,
                   node.op);
    }
    std::vector<ValueId> inputs;
    for (size_t k = 0; k < UsedInputs(node); ++k) {
      TRAWL_ASSIGN(const ValueId id, Resolve(node.inputs[k]));
      inputs.push_back(id);
    }
    const size_t first = graph_.nodes().size();
    MxnetConversion conversion(graph_, node, std::move(inputs), params_);
    if (const Status status = op->convert(conversion); !status.ok()) {
      return Annotate(status, "node '{}' ({})", node.name, node.op);
    }
    values_[index] = conversion.outputs();
    NameOutputs(node, first, values_[index]);
    return OkStatus();
  }

  /// MXNet's own names, by which people ask for a node's output.
  void NameOutputs(const SymbolNode& node, size_t first, const std::vector<ValueId>& outputs) {
    if (first == graph_.nodes().size()) return;  // an identity: the value keeps its name
    std::swap(graph_.nodes()[first].name, graph_.nodes().back().name);
    for (size_t k = 0; k < outputs.size(); ++k) {
      graph_.value(outputs[k]).name =
          outputs.size() == 1 ? node.name + "_output" : fmt::format("{}_output{}", node.name, k);
    }
  }

  const Symbol& symbol_;
  const MxnetParams& params_;
  const MxnetOptions& options_;
  std::vector<std::vector<ValueId>> values_;  // by node: its outputs
  Graph graph_;
};

}  // namespace

Result<Graph> ParseMxnet(std::string_view symbol_json, std::string_view params_bytes,
                         const MxnetOptions& options) {
  TRAWL_ASSIGN(const Symbol symbol, ParseMxnetSymbol(symbol_json));
  Result<MxnetParams> params = ParseMxnetParams(params_bytes);
  if (!params) return Annotate(params.error(), "reading the parameters");
  return MxnetLoader(symbol, *params, options).Load();
}

Result<Graph> LoadMxnet(const std::string& symbol_path, const std::string& params_path,
                        const MxnetOptions& options) {
  TRAWL_ASSIGN(const FileBytes symbol, ReadFile(symbol_path, kMaxSymbolBytes));
  TRAWL_ASSIGN(const FileBytes params, ReadFile(params_path, kMaxParamsBytes));
  return ParseMxnet(symbol, params, options);
}

Result<GraphFacts> InspectMxnet(const std::string& symbol_path) {
  TRAWL_ASSIGN(const FileBytes json, ReadFile(symbol_path, kMaxSymbolBytes));
  Result<Symbol> symbol = ParseMxnetSymbol(json);
  if (!symbol) return Annotate(symbol.error(), "reading {}", symbol_path);
  GraphFacts facts;
  const MxnetOperator* op = FindMxnetOperator(symbol->nodes[symbol->heads[0].node].op);
  facts.output_is_probability = op != nullptr && op->is_probability;
  return facts;
}

}  // namespace trawl::engine
