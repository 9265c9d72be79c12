#pragma once
// Model: the loaded, optimised network with its weights, once per process. Session: one thread's
// arena and Run.

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "config/status.h"
#include "engine/model_package.h"

namespace trawl::engine {

class CompiledGraph;  // optimised graph, kernels and packed weights; engine/compiled_graph.h

/// Immutable after Load; share it between threads.
class Model {
 public:
  /// Reads the graph and its weights, runs the passes, chooses kernels. The package's output_name
  /// may be any node's or value's (empty: the graph's first output); it must be [N, classes], with
  /// or without trailing dimensions of 1. Logits get a softmax.
  /// Errors: kInvalidArgument or kDataLoss for a malformed model or labels that are not as many as
  /// the classes, kUnimplemented naming node and operator.
  static Result<std::shared_ptr<const Model>> Load(const ModelPackage& package);
  ~Model();

  const ModelPackage& package() const { return package_; }
  int classes() const { return classes_; }
  /// Floats per image: channels × height × width.
  size_t input_size() const;
  const CompiledGraph& graph() const { return *graph_; }

 private:
  Model();
  ModelPackage package_;
  int classes_ = 0;
  std::unique_ptr<const CompiledGraph> graph_;
};

/// Not thread-safe: one Session per thread. After the first Run at each batch size, Run allocates
/// nothing.
class Session {
 public:
  /// Plans the arena for batches of up to `max_batch` images, each of which `threads` threads work
  /// on together, the caller of Run among them. For the most images per second use one session of
  /// one thread per core; more threads are for the shortest time until one batch is done.
  static Result<std::unique_ptr<Session>> Create(std::shared_ptr<const Model> model, int max_batch,
                                                 int threads = 1);
  ~Session();

  /// `images`: [n, C, H, W] f32 (or [n, H, W, C], as the model's layout says), normalised;
  /// 1 <= n <= max_batch.
  /// `probabilities`: [n, classes] f32, written in full. Scores do not depend on n beyond 1e-5.
  /// Errors: kInvalidArgument if a size differs. Nothing else can fail after Create.
  Status Run(std::span<const float> images, int n, std::span<float> probabilities);

  int max_batch() const { return max_batch_; }
  /// Bytes of the activation arena.
  size_t arena_bytes() const;

 private:
  Session();
  struct State;
  std::shared_ptr<const Model> model_;
  int max_batch_ = 0;
  std::unique_ptr<State> state_;
};

/// One class and its probability.
struct ClassScore {
  int class_index = 0;
  float probability = 0;
};

/// The k best classes by falling probability; ties by rising class index. k is cut to the number of
/// classes.
std::vector<ClassScore> TopK(std::span<const float> probabilities, int k);

}  // namespace trawl::engine
