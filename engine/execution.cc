// Execution: buffers planned once for the largest batch; per batch size, every view of every kernel
// call made once.
#include <algorithm>
#include <cstdlib>
#include <map>

#include "engine/blocked.h"
#include "engine/compiled_graph.h"
#include "engine/kernels/kernel.h"
#include "engine/limits.h"
#include "engine/memory_planner.h"
#include "engine/ops/dims.h"

namespace trawl::engine {
namespace {

constexpr size_t kNoBuffer = SIZE_MAX;

struct Arena {
  struct Free {
    void operator()(std::byte* block) const { std::free(block); }
  };
  std::unique_ptr<std::byte[], Free> block;
  size_t bytes = 0;
};

/// Which buffer holds each value, and the scratch of each node; lifetimes are in node indices.
struct BufferAssignment {
  std::vector<BufferLifetime> buffers;
  std::vector<size_t> of_value;  // kNoBuffer for inputs, constants and values that nothing makes
  std::vector<size_t> scratch;   // per node
};

/// As it lies in memory: blocked values are filled up to whole blocks.
size_t ValueBytes(const Value& value, int64_t batch) {
  size_t bytes = ByteSize(value.dtype);
  if (value.layout == Layout::kBlocked) {
    const int64_t images = value.shape->at(0);
    bytes *= static_cast<size_t>(IsBatch(images) ? -images * batch : images);
    return bytes * static_cast<size_t>(BlockedImageSize(*value.shape));
  }
  for (const int64_t dim : *value.shape)
    bytes *= static_cast<size_t>(IsBatch(dim) ? -dim * batch : dim);
  return bytes;
}

/// TensorView::image_stride.
int64_t ImageStride(const Value& value) {
  return value.layout == Layout::kBlocked ? BlockedImageSize(*value.shape) : 0;
}

/// The last node that reads each value; node_count for outputs, which outlive the run.
std::vector<int> LastReaders(const Graph& graph) {
  std::vector<int> last(graph.value_count(), -1);
  for (size_t i = 0; i < graph.nodes().size(); ++i) {
    for (const ValueId id : graph.nodes()[i].inputs) {
      if (id != kNoValue) last[static_cast<size_t>(id)] = static_cast<int>(i);
    }
  }
  for (const ValueId id : graph.outputs()) {
    last[static_cast<size_t>(id)] = static_cast<int>(graph.nodes().size());
  }
  return last;
}

/// The buffer that node `i`'s first output may take over from a dying input, or kNoBuffer.
size_t InPlaceBuffer(const CompiledGraph& compiled, size_t i, const std::vector<int>& last_reader,
                     const BufferAssignment& assignment, int64_t batch) {
  const Graph& graph = compiled.graph();
  const Node& node = graph.nodes()[i];
  const int position = compiled.bound_kernels()[i]->InPlaceInput();
  if (position < 0) return kNoBuffer;
  const ValueId input = node.inputs[static_cast<size_t>(position)];
  const size_t buffer = assignment.of_value[static_cast<size_t>(input)];
  const bool dies = last_reader[static_cast<size_t>(input)] == static_cast<int>(i);
  // Read twice, it would be overwritten under the other reader's eyes.
  const bool read_once = std::count(node.inputs.begin(), node.inputs.end(), input) == 1;
  const Value &from = graph.value(input), &to = graph.value(node.outputs[0]);
  const bool same_size =
      from.layout == to.layout && ValueBytes(from, batch) == ValueBytes(to, batch);
  return buffer != kNoBuffer && dies && read_once && same_size ? buffer : kNoBuffer;
}

BufferAssignment AssignBuffers(const CompiledGraph& compiled, int64_t batch, int threads) {
  const Graph& graph = compiled.graph();
  BufferAssignment assignment;
  assignment.of_value.assign(graph.value_count(), kNoBuffer);
  const std::vector<int> last_reader = LastReaders(graph);
  for (size_t i = 0; i < graph.nodes().size(); ++i) {
    const Node& node = graph.nodes()[i];
    const int now = static_cast<int>(i);
    for (size_t k = 0; k < node.outputs.size(); ++k) {
      const ValueId id = node.outputs[k];
      if (id == kNoValue) continue;
      const int last = std::max(now, last_reader[static_cast<size_t>(id)]);
      size_t buffer =
          k == 0 ? InPlaceBuffer(compiled, i, last_reader, assignment, batch) : kNoBuffer;
      if (buffer == kNoBuffer) {
        buffer = assignment.buffers.size();
        assignment.buffers.push_back({ValueBytes(graph.value(id), batch), now, last});
      } else {
        assignment.buffers[buffer].last = last;
      }
      assignment.of_value[static_cast<size_t>(id)] = buffer;
    }
    assignment.scratch.push_back(assignment.buffers.size());
    assignment.buffers.push_back(
        {compiled.bound_kernels()[i]->ScratchBytes(batch, threads), now, now});
  }
  return assignment;
}

/// All views of all kernel calls at one batch size. Addresses of inputs are filled in by each Run.
struct Binding {
  std::vector<std::vector<int64_t>> shapes;          // by value
  std::vector<std::vector<ConstTensorView>> inputs;  // by node
  std::vector<std::vector<TensorView>> outputs;
  std::vector<std::byte*> scratch;
};

}  // namespace

struct Execution::State {
  const CompiledGraph* compiled = nullptr;
  int64_t max_batch = 1;
  std::unique_ptr<ThreadTeam> team;
  BufferAssignment assignment;
  MemoryPlan plan;
  Arena arena;
  std::map<int64_t, Binding> bindings;
  /// For each graph input, the (node, position) pairs that read it.
  std::vector<std::vector<std::pair<size_t, size_t>>> input_readers;
  std::vector<ConstTensorView> outputs;  // of the last run

  std::byte* AddressOf(size_t buffer) const { return arena.block.get() + plan.offsets[buffer]; }
  std::byte* AddressOf(ValueId id) const {
    const size_t buffer = assignment.of_value[static_cast<size_t>(id)];
    return buffer == kNoBuffer ? nullptr : AddressOf(buffer);
  }
  Binding Bind(int64_t batch) const;
  Status CheckInputs(const Binding& binding, std::span<const ConstTensorView> inputs) const;
  void SetOutputs(const Binding& binding, std::span<const ConstTensorView> inputs);
};

Binding Execution::State::Bind(int64_t batch) const {
  const Graph& graph = compiled->graph();
  Binding binding;
  binding.shapes.resize(graph.value_count());
  for (size_t i = 0; i < graph.value_count(); ++i) {
    const Value& value = graph.value(static_cast<ValueId>(i));
    if (!value.shape) continue;
    binding.shapes[i].resize(value.shape->size());
    ConcreteShape(*value.shape, batch, binding.shapes[i]);
  }
  for (size_t i = 0; i < graph.nodes().size(); ++i) {
    const Node& node = graph.nodes()[i];
    auto& reads = binding.inputs.emplace_back();
    for (const ValueId id : node.inputs) {
      if (id == kNoValue) {
        reads.push_back({});
        continue;
      }
      const Value& value = graph.value(id);
      reads.push_back({value.dtype, binding.shapes[static_cast<size_t>(id)],
                       value.constant ? value.constant->bytes() : AddressOf(id),
                       ImageStride(value)});
    }
    auto& writes = binding.outputs.emplace_back();
    for (const ValueId id : node.outputs) {
      if (id == kNoValue) {
        writes.push_back({});
        continue;
      }
      const Value& value = graph.value(id);
      writes.push_back({value.dtype, binding.shapes[static_cast<size_t>(id)], AddressOf(id),
                        ImageStride(value)});
    }
    binding.scratch.push_back(AddressOf(assignment.scratch[i]));
  }
  return binding;
}

Status Execution::State::CheckInputs(const Binding& binding,
                                     std::span<const ConstTensorView> inputs) const {
  if (inputs.size() != compiled->input_count()) {
    return Error(Code::kInvalidArgument, "{} inputs are given to a graph of {}", inputs.size(),
                 compiled->input_count());
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Value& input = compiled->input(i);
    const auto& shape = binding.shapes[static_cast<size_t>(compiled->graph().inputs()[i])];
    if (inputs[i].dtype != input.dtype || !std::ranges::equal(inputs[i].shape, shape)) {
      return Error(Code::kInvalidArgument, "input '{}' is {} {} instead of {} {}", input.name,
                   ToString(inputs[i].dtype),
                   ToString(Shape(inputs[i].shape.begin(), inputs[i].shape.end())),
                   ToString(input.dtype), ToString(shape));
    }
  }
  return OkStatus();
}

void Execution::State::SetOutputs(const Binding& binding, std::span<const ConstTensorView> inputs) {
  const Graph& graph = compiled->graph();
  for (size_t i = 0; i < outputs.size(); ++i) {
    const ValueId id = graph.outputs()[i];
    const Value& value = graph.value(id);
    const std::byte* bytes = value.constant ? value.constant->bytes() : AddressOf(id);
    // An output may be an input as it is.
    for (size_t k = 0; k < inputs.size(); ++k) {
      if (graph.inputs()[k] == id) bytes = inputs[k].bytes;
    }
    outputs[i] = {value.dtype, binding.shapes[static_cast<size_t>(id)], bytes};
  }
}

Execution::Execution() : state_(std::make_unique<State>()) {}
Execution::~Execution() = default;

Result<std::unique_ptr<Execution>> Execution::Create(const CompiledGraph& compiled,
                                                     int64_t max_batch, int threads) {
  if (threads < 1 || threads > kMaxThreads) {
    return Error(Code::kInvalidArgument, "{} threads are not from 1 to {}", threads, kMaxThreads);
  }
  if (max_batch < 1 || max_batch > kMaxBatch) {
    return Error(Code::kInvalidArgument, "a batch of {} is not from 1 to {}", max_batch, kMaxBatch);
  }
  auto execution = std::unique_ptr<Execution>(new Execution);
  State& state = *execution->state_;
  state.compiled = &compiled;
  state.max_batch = max_batch;
  state.team = std::make_unique<ThreadTeam>(threads);
  state.assignment = AssignBuffers(compiled, max_batch, threads);
  state.plan = PlanMemory(state.assignment.buffers);
  if (state.plan.arena_bytes > kMaxArenaBytes) {
    return Error(Code::kResourceExhausted,
                 "a batch of {} needs {} MiB of activations; at most {} MiB are given", max_batch,
                 state.plan.arena_bytes >> 20, kMaxArenaBytes >> 20);
  }
  state.arena.bytes = state.plan.arena_bytes;
  // At least one block, so that empty tensors have an address, too.
  state.arena.block.reset(
      static_cast<std::byte*>(std::aligned_alloc(kAlignment, state.plan.arena_bytes + kAlignment)));
  if (state.arena.block == nullptr) {
    return Error(Code::kResourceExhausted, "there is no memory for {} MiB of activations",
                 state.plan.arena_bytes >> 20);
  }
  const Graph& graph = compiled.graph();
  for (const ValueId input : graph.inputs()) {
    auto& readers = state.input_readers.emplace_back();
    for (size_t i = 0; i < graph.nodes().size(); ++i) {
      const auto& ids = graph.nodes()[i].inputs;
      for (size_t k = 0; k < ids.size(); ++k) {
        if (ids[k] == input) readers.emplace_back(i, k);
      }
    }
  }
  state.outputs.resize(graph.outputs().size());
  return execution;
}

Status Execution::Run(int64_t batch, std::span<const ConstTensorView> inputs) {
  State& state = *state_;
  if (batch < 1 || batch > state.max_batch) {
    return Error(Code::kInvalidArgument, "a batch of {} is not from 1 to {}", batch,
                 state.max_batch);
  }
  auto it = state.bindings.find(batch);
  if (it == state.bindings.end()) it = state.bindings.emplace(batch, state.Bind(batch)).first;
  Binding& binding = it->second;
  TRAWL_TRY(state.CheckInputs(binding, inputs));
  for (size_t i = 0; i < inputs.size(); ++i) {
    for (const auto& [node, position] : state.input_readers[i]) {
      binding.inputs[node][position].bytes = inputs[i].bytes;
    }
  }
  const Graph& graph = state.compiled->graph();
  for (size_t i = 0; i < graph.nodes().size(); ++i) {
    const Status status = state.compiled->bound_kernels()[i]->Run({.batch = batch,
                                                                   .inputs = binding.inputs[i],
                                                                   .outputs = binding.outputs[i],
                                                                   .scratch = binding.scratch[i],
                                                                   .team = state.team.get()});
    if (!status.ok()) {
      return Annotate(status, "node '{}' ({})", graph.nodes()[i].name, graph.nodes()[i].op);
    }
  }
  state.SetOutputs(binding, inputs);
  return OkStatus();
}

ConstTensorView Execution::output(size_t i) const { return state_->outputs[i]; }

size_t Execution::arena_bytes() const { return state_->arena.bytes; }

}  // namespace trawl::engine
