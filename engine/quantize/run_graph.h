#pragma once
// Runs a graph over pictures, to see what its values are.

#include <functional>
#include <memory>
#include <vector>

#include "config/status.h"
#include "engine/compiled_graph.h"

namespace trawl::engine {

/// Prepared pictures: each all floats of one image of the graph's only input.
using Pictures = std::vector<std::vector<float>>;

/// How a graph is run over pictures.
struct RunOptions {
  int threads = 1;
  bool bf16 = false;              // CompileOptions::bf16
  std::function<bool()> stopped;  // asked between batches; may be empty
};

/// Some values of a graph, computed for any number of pictures. Not thread-safe.
class GraphRunner {
 public:
  /// Errors: those of CompiledGraph::Compile and Execution::Create; kInvalidArgument unless the
  /// values depend on one input; kFailedPrecondition for bf16 on a machine without it.
  static Result<std::unique_ptr<GraphRunner>> Create(Graph graph,
                                                     const std::vector<ValueId>& values,
                                                     RunOptions options);

  /// In order, a few pictures at a time. `visit` gets a batch's values: visit(i, x) is values[i] of
  /// all its pictures, [n, …]. Errors: kInvalidArgument for a picture of another size; kCancelled.
  Status Run(const Pictures& pictures,
             const std::function<void(size_t i, const ConstTensorView& x)>& visit);

 private:
  GraphRunner(std::unique_ptr<const CompiledGraph> compiled, RunOptions options)
      : compiled_(std::move(compiled)), options_(std::move(options)) {}

  const std::unique_ptr<const CompiledGraph> compiled_;
  const RunOptions options_;
  std::unique_ptr<Execution> execution_;
};

}  // namespace trawl::engine
