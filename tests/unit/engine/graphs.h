#pragma once
// Small graphs for the engine's tests: a builder with random, seeded weights.

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "engine/compiled_graph.h"

namespace trawl::engine::testing {

/// Uniform in [-1, 1).
Tensor RandomTensor(Shape shape, uint32_t seed);
Tensor Ints(std::vector<int64_t> values);
Tensor Floats(Shape shape, std::vector<float> values);

/// Adds nodes with made-up names; the result of each is its output value.
class GraphBuilder {
 public:
  ValueId Input(Shape shape, const std::string& name = "x");
  ValueId Weight(Shape shape);
  ValueId Constant(Tensor tensor);
  ValueId Node(const std::string& op, std::vector<ValueId> inputs, Attributes attributes = {});
  /// The graph with this output.
  Graph Build(ValueId output);

  Graph graph;

 private:
  uint32_t seed_ = 1;
};

/// Attributes from pairs, as in Attrs({{"axis", int64_t{1}}}).
Attributes Attrs(std::vector<std::pair<std::string, Attribute>> pairs);
using IntsAttribute = std::vector<int64_t>;

/// Runs the graph on inputs by name. Fails the test when it does not run.
Tensor RunGraph(const Graph& graph, const std::map<std::string, Tensor>& inputs,
                const CompileOptions& options = {});

/// |a - b| <= tolerance · (1 + |b|) for all elements, and the shapes are equal.
void ExpectNear(const Tensor& a, const Tensor& b, float tolerance);

}  // namespace trawl::engine::testing
