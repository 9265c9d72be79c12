#include "engine/compiled_graph.h"

#include <cstring>
#include <utility>

#include "engine/kernels/blas.h"
#include "engine/kernels/kernel.h"
#include "engine/ops/dims.h"
#include "engine/passes/pass.h"

namespace trawl::engine {
namespace {

/// The batch that makes `declared` the shape of the given input; nullopt when it does not say.
std::optional<int64_t> BatchOf(const Shape& declared, const Shape& given) {
  if (declared.size() != given.size()) return std::nullopt;
  for (size_t i = 0; i < declared.size(); ++i) {
    if (IsBatch(declared[i]) && given[i] % -declared[i] == 0) return given[i] / -declared[i];
  }
  return std::nullopt;
}

}  // namespace

CompiledGraph::CompiledGraph() = default;
CompiledGraph::~CompiledGraph() = default;

Result<std::unique_ptr<const CompiledGraph>> CompiledGraph::Compile(Graph graph,
                                                                    const CompileOptions& options) {
  TRAWL_TRY(InitialiseBlas());
  TRAWL_TRY(graph.SortNodes());
  TRAWL_TRY(BindInputs(graph, options));
  TRAWL_TRY(SelectOutput(graph, options.output));
  auto compiled = std::unique_ptr<CompiledGraph>(new CompiledGraph);
  TRAWL_TRY(graph.Verify());
  for (const ValueId id : graph.outputs()) compiled->output_names_.push_back(graph.value(id).name);
  TRAWL_ASSIGN(const ContentsTable contents, RunPasses(graph, options, compiled->passes_));
  if (options.isa) {
    compiled->isa_ = *options.isa;
  } else {
    TRAWL_ASSIGN(compiled->isa_, simd::ChooseIsa());
  }
  const simd::Microkernels* microkernels =
      options.reference_kernels ? nullptr : &simd::MicrokernelsFor(compiled->isa_);
  for (const Node& node : graph.nodes()) {
    auto bound = BindKernel(NodeView(graph, node, contents), microkernels);
    if (!bound) return Annotate(bound.error(), "node '{}' ({})", node.name, node.op);
    compiled->kernels_.push_back(
        {node.name, node.op, std::move(bound->name), std::move(bound->reason)});
    compiled->bound_.push_back(std::move(bound->kernel));
  }
  compiled->graph_ = std::move(graph);
  return compiled;
}

Result<std::map<std::string, Tensor>> RunOnce(Graph graph,
                                              const std::map<std::string, Tensor>& inputs,
                                              const CompileOptions& options) {
  TRAWL_ASSIGN(const auto compiled, CompiledGraph::Compile(std::move(graph), options));
  std::vector<ConstTensorView> views;
  int64_t batch = 1;
  for (size_t i = 0; i < compiled->input_count(); ++i) {
    const Value& input = compiled->input(i);
    const auto it = inputs.find(input.name);
    if (it == inputs.end())
      return Error(Code::kInvalidArgument, "input '{}' is missing", input.name);
    batch = BatchOf(*input.shape, it->second.shape()).value_or(batch);
    views.push_back({it->second.dtype(), it->second.shape(), it->second.bytes()});
  }
  TRAWL_ASSIGN(const auto execution, Execution::Create(*compiled, batch));
  TRAWL_TRY(execution->Run(batch, views));
  std::map<std::string, Tensor> outputs;
  for (size_t i = 0; i < compiled->output_count(); ++i) {
    const ConstTensorView view = execution->output(i);
    Tensor tensor(view.dtype, Shape(view.shape.begin(), view.shape.end()));
    std::memcpy(tensor.mutable_bytes(), view.bytes, view.byte_size());
    outputs.emplace(compiled->output_name(i), std::move(tensor));
  }
  return outputs;
}

}  // namespace trawl::engine
