// Execution: buffers planned once for the largest batch; per batch size, every view of every kernel
// call made once.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>

#include "engine/arena.h"
#include "engine/binding.h"
#include "engine/buffers.h"
#include "engine/compiled_graph.h"
#include "engine/kernels/kernel.h"
#include "engine/limits.h"
#include "engine/memory_planner.h"
#include "engine/segments.h"

namespace trawl::engine {
namespace {

int64_t Now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

struct Execution::State {
  const CompiledGraph* compiled = nullptr;
  int64_t max_batch = 1;
  std::unique_ptr<ThreadTeam> team;
  ThreadTeam alone;  // for kernels of threads that have images of their own
  std::vector<Segment> segments;
  BufferAssignment assignment;
  Addresses addresses;
  size_t lower_bound = 0;
  Arena arena;
  std::map<int64_t, Binding> bindings;
  std::vector<ConstTensorView> outputs;  // of the last run
  /// During RunTimed, per thread and node.
  std::vector<int64_t> times;
  bool timed = false;

  Status Plan(int threads, const CacheSizes& caches);
  Status CheckInputs(const Binding& binding, int64_t batch,
                     std::span<const ConstTensorView> inputs) const;
  Status RunPart(size_t segment, BoundSegment& bound, int64_t part, size_t thread,
                 ThreadTeam& members, std::span<const ConstTensorView> inputs);
  Status RunSegment(size_t segment, BoundSegment& bound, std::span<const ConstTensorView> inputs);
  void SetOutputs(const Binding& binding, int64_t batch, std::span<const ConstTensorView> inputs);
};

Status Execution::State::Plan(int threads, const CacheSizes& caches) {
  segments = PlanSegments(*compiled, max_batch, caches);
  assignment = AssignBuffers(*compiled, segments, max_batch, threads);
  const auto copies = static_cast<size_t>(threads);
  std::vector<BufferLifetime> shared = assignment.shared, least = assignment.shared;
  for (size_t s = 0; s < segments.size(); ++s) {
    const int first = static_cast<int>(segments[s].first),
              last = static_cast<int>(segments[s].last) - 1;
    MemoryPlan plan = PlanMemory(assignment.local[s]);
    addresses.local.push_back({0, plan.arena_bytes, std::move(plan.offsets)});
    shared.push_back({plan.arena_bytes * copies, first, last});
    least.push_back({LargestLiveSet(assignment.local[s]) * copies, first, last});
  }
  lower_bound = LargestLiveSet(least);
  const MemoryPlan plan = PlanMemory(shared);
  if (plan.arena_bytes > kMaxArenaBytes) {
    return Error(Code::kResourceExhausted,
                 "a batch of {} needs {} MiB of activations; at most {} MiB are given", max_batch,
                 plan.arena_bytes >> 20, kMaxArenaBytes >> 20);
  }
  arena = Arena(plan.arena_bytes);
  if (arena.bytes() == nullptr) {
    return Error(Code::kResourceExhausted, "there is no memory for {} MiB of activations",
                 plan.arena_bytes >> 20);
  }
  addresses.shared = arena.bytes();
  addresses.shared_offsets = plan.offsets;
  for (size_t s = 0; s < segments.size(); ++s) {
    addresses.local[s].begin = plan.offsets[assignment.shared.size() + s];
  }
  return OkStatus();
}

Status Execution::State::CheckInputs(const Binding& binding, int64_t batch,
                                     std::span<const ConstTensorView> inputs) const {
  if (inputs.size() != compiled->input_count()) {
    return Error(Code::kInvalidArgument, "{} inputs are given to a graph of {}", inputs.size(),
                 compiled->input_count());
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Value& input = compiled->input(i);
    const auto& shape =
        binding.shapes.at(batch)[static_cast<size_t>(compiled->graph().inputs()[i])];
    if (inputs[i].dtype != input.dtype || !std::ranges::equal(inputs[i].shape, shape)) {
      return Error(Code::kInvalidArgument, "input '{}' is {} {} instead of {} {}", input.name,
                   ToString(inputs[i].dtype),
                   ToString(Shape(inputs[i].shape.begin(), inputs[i].shape.end())),
                   ToString(input.dtype), ToString(shape));
    }
  }
  return OkStatus();
}

Status Execution::State::RunPart(size_t segment, BoundSegment& bound, int64_t part, size_t thread,
                                 ThreadTeam& members, std::span<const ConstTensorView> inputs) {
  const bool is_rest = part + 1 == bound.parts && bound.last_part[thread].images != 0;
  SegmentCalls& calls = is_rest ? bound.last_part[thread] : bound.whole_parts[thread];
  calls.MoveTo(part * bound.part, inputs);
  const size_t first = segments[segment].first;
  for (size_t i = 0; i < calls.calls.size(); ++i) {
    const SegmentCalls::Call& call = calls.calls[i];
    const int64_t start = timed ? Now() : 0;
    const Status status = compiled->bound_kernels()[first + i]->Run({.batch = calls.images,
                                                                     .inputs = call.inputs,
                                                                     .outputs = call.outputs,
                                                                     .scratch = call.scratch,
                                                                     .team = &members});
    if (!status.ok()) {
      const Node& node = compiled->graph().nodes()[first + i];
      return Annotate(status, "node '{}' ({})", node.name, node.op);
    }
    if (timed) times[thread * compiled->graph().nodes().size() + first + i] += Now() - start;
  }
  return OkStatus();
}

Status Execution::State::RunSegment(size_t segment, BoundSegment& bound,
                                    std::span<const ConstTensorView> inputs) {
  if (!bound.by_thread) {
    for (int64_t part = 0; part < bound.parts; ++part) {
      TRAWL_TRY(RunPart(segment, bound, part, 0, *team, inputs));
    }
    return OkStatus();
  }
  std::atomic<bool> first_error = true;
  Status result = OkStatus();
  team->ForEach(bound.parts, [&](int64_t part, int member) {
    Status status = RunPart(segment, bound, part, static_cast<size_t>(member), alone, inputs);
    if (!status.ok() && first_error.exchange(false)) result = std::move(status);
  });
  return result;
}

void Execution::State::SetOutputs(const Binding& binding, int64_t batch,
                                  std::span<const ConstTensorView> inputs) {
  const Graph& graph = compiled->graph();
  for (size_t i = 0; i < outputs.size(); ++i) {
    const ValueId id = graph.outputs()[i];
    const Value& value = graph.value(id);
    const Place& place = assignment.of_value[static_cast<size_t>(id)];
    const std::byte* bytes = nullptr;
    if (value.constant) {
      bytes = value.constant->bytes();
    } else if (place.buffer.index != kNoBuffer) {
      bytes = addresses.Of(place.buffer, 0) + place.offset;
    }
    // An output may be an input as it is.
    for (size_t k = 0; k < inputs.size(); ++k) {
      if (graph.inputs()[k] == id) bytes = inputs[k].bytes;
    }
    outputs[i] = {value.dtype, binding.shapes.at(batch)[static_cast<size_t>(id)], bytes};
  }
}

Execution::Execution() : state_(std::make_unique<State>()) {}
Execution::~Execution() = default;

Result<std::unique_ptr<Execution>> Execution::Create(const CompiledGraph& compiled,
                                                     int64_t max_batch, int threads,
                                                     const CacheSizes* caches) {
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
  TRAWL_TRY(state.Plan(threads, caches == nullptr ? CacheSizes::OfThisMachine() : *caches));
  state.team = std::make_unique<ThreadTeam>(threads);
  state.times.resize(static_cast<size_t>(threads) * compiled.graph().nodes().size());
  state.outputs.resize(compiled.output_count());
  return execution;
}

Status Execution::Run(int64_t batch, std::span<const ConstTensorView> inputs) {
  State& state = *state_;
  if (batch < 1 || batch > state.max_batch) {
    return Error(Code::kInvalidArgument, "a batch of {} is not from 1 to {}", batch,
                 state.max_batch);
  }
  auto it = state.bindings.find(batch);
  if (it == state.bindings.end()) {
    it = state.bindings
             .emplace(batch, Bind(*state.compiled, state.segments, state.assignment,
                                  state.addresses, batch, state.team->size()))
             .first;
  }
  Binding& binding = it->second;
  TRAWL_TRY(state.CheckInputs(binding, batch, inputs));
  for (size_t s = 0; s < state.segments.size(); ++s) {
    TRAWL_TRY(state.RunSegment(s, binding.segments[s], inputs));
  }
  state.SetOutputs(binding, batch, inputs);
  return OkStatus();
}

Status Execution::RunTimed(int64_t batch, std::span<const ConstTensorView> inputs,
                           std::span<int64_t> nanoseconds) {
  State& state = *state_;
  CHECK(nanoseconds.size() == state.compiled->graph().nodes().size());
  std::ranges::fill(state.times, 0);
  state.timed = true;
  const Status status = Run(batch, inputs);
  state.timed = false;
  for (size_t i = 0; i < state.times.size(); ++i) {
    nanoseconds[i % nanoseconds.size()] += state.times[i];
  }
  return status;
}

ConstTensorView Execution::output(size_t i) const { return state_->outputs[i]; }

size_t Execution::arena_bytes() const { return state_->arena.size(); }

size_t Execution::lower_bound_bytes() const { return state_->lower_bound; }

const std::vector<Segment>& Execution::segments() const { return state_->segments; }

}  // namespace trawl::engine
