#pragma once
// CompiledGraph: an optimised graph with a kernel bound to every node, shared by all threads.
// Execution: one thread's arena and Run. Model and Session (engine/model.h) are these two for image
// classifiers; tests use them directly.

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/status.h"
#include "engine/graph.h"
#include "engine/simd/isa.h"
#include "engine/tensor_view.h"

namespace trawl::engine {

struct CompileOptions {
  /// Compute this value, or this node's first output, instead of the graph's outputs. Empty: all
  /// outputs.
  std::string output;
  /// Inputs whose value is known now: they become constants. Shape operands (Reshape's target,
  /// Slice's starts …) must be known at compile time, so a graph that has them as inputs binds them
  /// here.
  std::map<std::string, Tensor, std::less<>> bound_inputs;
  /// Plain-loop kernels only: the oracle.
  bool reference_kernels = false;
  /// The instruction set of the microkernels; nullopt: simd::ChooseIsa().
  std::optional<simd::Isa> isa;
  /// Whether quantised models compute in integers or in f32; nullopt: in integers where the
  /// instruction set has products of bytes (simd::Microkernels::int8), but not with the reference
  /// kernels. Integers without such products run on the reference kernels.
  std::optional<bool> integers;
  /// Products may be of numbers rounded to bf16 where the instruction set has such
  /// (simd::Microkernels::bf16).
  bool bf16 = false;
  /// Names of passes to leave out (those of PassNames()). Passes that a graph needs to run at all
  /// ignore this.
  std::vector<std::string> disabled_passes;
};

/// What one pass did, for `trawl model inspect`.
struct PassReport {
  std::string name;
  bool enabled = true;
  int changes = 0;  // nodes removed, fused or rewritten
  double milliseconds = 0;
};

/// Which kernel serves a node, what it leaves to others and why the better-ranked ones do not.
struct KernelChoice {
  std::string node;
  std::string op;
  std::string kernel;
  std::string reason;
};

class Kernel;
struct CacheSizes;
struct Segment;

/// Immutable after Compile; share it between threads.
class CompiledGraph {
 public:
  /// Runs the passes and binds kernels. Errors: kInvalidArgument or kResourceExhausted for a
  /// malformed graph, kUnimplemented for what the engine does not support, each naming node and
  /// operator.
  static Result<std::unique_ptr<const CompiledGraph>> Compile(Graph graph,
                                                              const CompileOptions& options = {});
  ~CompiledGraph();

  /// After the passes. Shapes are symbolic: kBatch stands for the batch of a Run. Constants that
  /// kernels have packed have no storage any more.
  const Graph& graph() const { return graph_; }
  /// One per node of graph(), in order.
  const std::vector<std::unique_ptr<const Kernel>>& bound_kernels() const { return bound_; }
  /// What node `i` needs beside its operands when `threads` work on a `batch` together.
  size_t ScratchBytes(size_t i, int64_t batch, int threads) const;
  /// What it holds: constants that are not packed, and those that are.
  size_t ResidentBytes() const;
  const std::vector<PassReport>& passes() const { return passes_; }
  const std::vector<KernelChoice>& kernels() const { return kernels_; }
  simd::Isa isa() const { return isa_; }
  /// A quantised model that computes in f32, because the instruction set has no products of bytes.
  bool LacksIntegers() const { return lacks_integers_; }
  /// A model for bf16 that computes in f32, because the instruction set has no such products.
  bool LacksBf16() const { return lacks_bf16_; }

  /// Inputs that no output needs are gone.
  size_t input_count() const { return graph_.inputs().size(); }
  size_t output_count() const { return graph_.outputs().size(); }
  const Value& input(size_t i) const { return graph_.value(graph_.inputs()[i]); }
  const Value& output(size_t i) const { return graph_.value(graph_.outputs()[i]); }
  /// As the model file calls it; passes may have redirected the output to another value.
  const std::string& output_name(size_t i) const { return output_names_[i]; }

 private:
  CompiledGraph();
  Graph graph_;
  std::vector<std::unique_ptr<const Kernel>> bound_;
  std::vector<std::string> output_names_;
  std::vector<PassReport> passes_;
  std::vector<KernelChoice> kernels_;
  simd::Isa isa_ = simd::Isa::kPortable;
  bool lacks_integers_ = false, lacks_bf16_ = false;
};

/// Not thread-safe: one Execution per thread. Borrows the compiled graph, which must outlive it.
class Execution {
 public:
  /// Plans the arena for batches of up to `max_batch`, each of which `threads` threads work on
  /// together, the caller of Run among them. Errors: kResourceExhausted when the arena would pass
  /// kMaxArenaBytes. `caches`: those that the order of work is planned for; nullptr: this
  /// machine's.
  static Result<std::unique_ptr<Execution>> Create(const CompiledGraph& compiled,
                                                   int64_t max_batch = 1, int threads = 1,
                                                   const CacheSizes* caches = nullptr);
  ~Execution();

  /// Runs the graph. `inputs` are borrowed during the call, in the order of
  /// CompiledGraph::input(i), where kBatch = `batch`. After the first Run at a batch it allocates
  /// nothing. Errors: kInvalidArgument when types or shapes differ, or when data is out of an
  /// operator's range (Gather's indices), naming the node.
  Status Run(int64_t batch, std::span<const ConstTensorView> inputs);
  /// The same, and adds to nanoseconds[i] what node i of the graph took: of one thread's time,
  /// where threads worked on different images.
  Status RunTimed(int64_t batch, std::span<const ConstTensorView> inputs,
                  std::span<int64_t> nanoseconds);
  /// Output `i` of the last Run; valid until the next one.
  ConstTensorView output(size_t i) const;

  /// Of the largest batch.
  size_t arena_bytes() const;
  /// What the largest set of buffers that are live at one time takes: no arena could be smaller.
  size_t lower_bound_bytes() const;
  /// The order of work: which nodes run image by image (engine/segments.h).
  const std::vector<Segment>& segments() const;

 private:
  Execution();
  struct State;
  std::unique_ptr<State> state_;
};

/// Compiles, runs once and copies the outputs, all by name; the batch follows from the inputs'
/// shapes. Inputs that the outputs do not need may be given and are ignored. For tests and tools.
Result<std::map<std::string, Tensor>> RunOnce(Graph graph,
                                              const std::map<std::string, Tensor>& inputs,
                                              const CompileOptions& options = {});

/// Names of the passes, in order.
std::vector<std::string> PassNames();

}  // namespace trawl::engine
