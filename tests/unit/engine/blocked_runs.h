#pragma once
// Runs a graph on the fast kernels of every instruction set, by teams of one and of three, and
// compares with the reference kernels.

#include <functional>
#include <string>

#include "gtest/gtest.h"
#include "tests/unit/engine/graphs.h"

namespace trawl::engine::testing {

/// The kernel of the last node with this operator, without its instruction set; "" when there is no
/// such node.
inline std::string KernelOf(const CompiledGraph& compiled, const std::string& op) {
  std::string name;
  for (const KernelChoice& choice : compiled.kernels()) {
    if (choice.op == op) name = choice.kernel.substr(0, choice.kernel.find("__"));
  }
  return name;
}

/// One output, one input "x" of a batch in front.
inline Tensor RunTeam(const CompiledGraph& compiled, const Tensor& x, int threads) {
  const int64_t batch = x.shape()[0];
  const auto execution = Execution::Create(compiled, batch, threads);
  EXPECT_TRUE(execution.has_value());
  const ConstTensorView view{x.dtype(), x.shape(), x.bytes()};
  EXPECT_TRUE((*execution)->Run(batch, {&view, 1}).ok());
  const ConstTensorView output = (*execution)->output(0);
  return Tensor::Of<float>(Shape(output.shape.begin(), output.shape.end()), output.data<float>());
}

/// `check` may look at what was compiled.
inline void ExpectAsTheReference(
    const Graph& graph, const Tensor& x, float tolerance,
    const std::function<void(const CompiledGraph&)>& check = [](const CompiledGraph&) {}) {
  CompileOptions options;
  options.reference_kernels = true;
  const Tensor expected = RunGraph(graph, {{"x", x}}, options);
  options.reference_kernels = false;
  for (const simd::Isa isa : simd::SupportedIsas()) {
    SCOPED_TRACE(simd::ToString(isa));
    options.isa = isa;
    const auto compiled = CompiledGraph::Compile(graph, options);
    ASSERT_TRUE(compiled.has_value()) << compiled.error().message();
    check(**compiled);
    for (const int threads : {1, 3}) {
      ExpectNear(RunTeam(**compiled, x, threads), expected, tolerance);
    }
  }
}

}  // namespace trawl::engine::testing
