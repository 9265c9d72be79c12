#include "engine/compiled_graph.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <set>
#include <thread>
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

/// The nodes' indices, those with the most weights first, so that none is left for the end, when
/// one thread would pack it while the others wait.
std::vector<size_t> ByWeight(const Graph& graph) {
  std::vector<size_t> weights, order;
  for (const Node& node : graph.nodes()) {
    order.push_back(weights.size());
    weights.push_back(0);
    for (const ValueId id : node.inputs) {
      if (id != kNoValue && graph.value(id).constant) {
        weights.back() += graph.value(id).constant->byte_size();
      }
    }
  }
  std::ranges::stable_sort(order, std::greater{}, [&](size_t i) { return weights[i]; });
  return order;
}

/// A kernel for each node. Most of the time goes into packing weights, which a few threads share.
/// Errors: the first node's.
Result<std::vector<BoundKernel>> BindKernels(const Graph& graph, const ContentsTable& contents,
                                             const simd::Microkernels* microkernels, bool bf16) {
  constexpr unsigned kMostThreads = 2;
  const size_t count = graph.nodes().size();
  const std::vector<size_t> order = ByWeight(graph);
  std::vector<Result<BoundKernel>> results(count);
  ThreadTeam team(
      static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1U, kMostThreads)));
  team.ForEach(static_cast<int64_t>(count), [&](int64_t task, int) {
    const size_t i = order[static_cast<size_t>(task)];
    results[i] = BindKernel(NodeView(graph, graph.nodes()[i], contents), microkernels, bf16);
  });
  std::vector<BoundKernel> bound;
  for (size_t i = 0; i < count; ++i) {
    const Node& node = graph.nodes()[i];
    if (!results[i]) return Annotate(results[i].error(), "node '{}' ({})", node.name, node.op);
    bound.push_back(std::move(*results[i]));
  }
  return bound;
}

/// Frees the constants that kernels have packed and nobody else reads.
void DropPackedConstants(Graph& graph, std::span<const std::unique_ptr<const Kernel>> kernels) {
  std::vector<bool> packed(graph.value_count(), false), read(graph.value_count(), false);
  for (size_t i = 0; i < graph.nodes().size(); ++i) {
    const std::vector<ValueId>& inputs = graph.nodes()[i].inputs;
    for (size_t k = 0; k < inputs.size(); ++k) {
      if (inputs[k] == kNoValue) continue;
      (kernels[i]->PacksInput(k) ? packed : read)[static_cast<size_t>(inputs[k])] = true;
    }
  }
  for (const ValueId id : graph.outputs()) read[static_cast<size_t>(id)] = true;
  for (size_t i = 0; i < graph.value_count(); ++i) {
    auto& constant = graph.value(static_cast<ValueId>(i)).constant;
    if (constant && packed[i] && !read[i]) constant->DropStorage();
  }
}

/// Those that say something, one after the other.
std::string Joined(std::initializer_list<std::string> remarks) {
  std::string all;
  for (const std::string& remark : remarks) {
    if (!all.empty() && !remark.empty()) all += "; ";
    all += remark;
  }
  return all;
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
  CompileOptions chosen = options;
  if (!options.isa) {
    TRAWL_ASSIGN(chosen.isa, simd::ChooseIsa());
  }
  compiled->isa_ = *chosen.isa;
  const simd::Microkernels* microkernels =
      options.reference_kernels ? nullptr : &simd::MicrokernelsFor(compiled->isa_);
  const bool has_int8 = microkernels != nullptr && microkernels->int8 != nullptr;
  chosen.integers = options.integers.value_or(has_int8);
  compiled->lacks_integers_ = !has_int8 && std::ranges::find(graph.nodes(), "QuantizeLinear",
                                                             &Node::op) != graph.nodes().end();
  compiled->lacks_bf16_ =
      options.bf16 && (microkernels == nullptr || microkernels->bf16 == nullptr);
  if (!has_int8) chosen.disabled_passes.emplace_back("interleave_pixels");
  TRAWL_ASSIGN(const ContentsTable contents, RunPasses(graph, chosen, compiled->passes_));
  TRAWL_ASSIGN(std::vector<BoundKernel> bound,
               BindKernels(graph, contents, microkernels, options.bf16));
  for (size_t i = 0; i < bound.size(); ++i) {
    const Node& node = graph.nodes()[i];
    compiled->kernels_.push_back({node.name, node.op, std::move(bound[i].name),
                                  Joined({node.note, bound[i].kernel->Remark(), bound[i].reason})});
    compiled->bound_.push_back(std::move(bound[i].kernel));
  }
  DropPackedConstants(graph, compiled->bound_);
  compiled->graph_ = std::move(graph);
  return compiled;
}

size_t CompiledGraph::ScratchBytes(size_t i, int64_t batch, int threads) const {
  const std::vector<ValueId>& outputs = graph_.nodes()[i].outputs;
  const auto wanted = std::ranges::find_if(outputs, [](ValueId id) { return id != kNoValue; });
  int64_t images = 1;
  if (wanted != outputs.end() && !graph_.value(*wanted).shape->empty()) {
    ConcreteShape(std::span(*graph_.value(*wanted).shape).first(1), batch, {&images, 1});
  }
  return bound_[i]->ScratchBytes(images, threads);
}

size_t CompiledGraph::ResidentBytes() const {
  size_t bytes = 0;
  std::set<ValueId> counted;
  for (const Node& node : graph_.nodes()) {
    for (const ValueId id : node.inputs) {
      if (id == kNoValue || !graph_.value(id).constant || !counted.insert(id).second) continue;
      const Tensor& constant = *graph_.value(id).constant;
      if (constant.bytes() != nullptr) bytes += constant.byte_size();
    }
  }
  for (const auto& kernel : bound_) bytes += kernel->PackedBytes();
  return bytes;
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
