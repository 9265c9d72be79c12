// Goal: FLOPs are those of the definition, whatever passes and kernels make of the graph. Method:
// small layers counted by hand, before and after compilation.
#include "engine/flops.h"

#include <gtest/gtest.h>

#include "engine/compiled_graph.h"
#include "tests/unit/engine/graphs.h"

namespace trawl::engine {
namespace {

using testing::Attrs;
using testing::GraphBuilder;
using testing::IntsAttribute;

std::unique_ptr<const CompiledGraph> Compile(Graph graph) {
  auto compiled = CompiledGraph::Compile(std::move(graph));
  if (!compiled) ADD_FAILURE() << compiled.error().message();
  return std::move(*compiled);
}

TEST(Flops, CountsTwoForEachTapOfAConvolution) {
  GraphBuilder builder;
  const ValueId x = builder.Input({kBatch, 6, 9, 9});
  const ValueId y =
      builder.Node("Conv", {x, builder.Weight({8, 6, 3, 3})},
                   Attrs({{"pads", IntsAttribute{1, 1, 1, 1}}, {"strides", IntsAttribute{2, 2}}}));
  const auto compiled = Compile(builder.Build(builder.Node("Relu", {y})));
  EXPECT_EQ(GraphFlops(compiled->graph(), 1), 2.0 * (5 * 5) * 8 * (6 * 3 * 3));
  EXPECT_EQ(GraphFlops(compiled->graph(), 7), 7 * GraphFlops(compiled->graph(), 1));
}

TEST(Flops, CountsGroupsOnce) {
  GraphBuilder builder;
  const ValueId x = builder.Input({kBatch, 6, 8, 8});
  const auto compiled = Compile(builder.Build(
      builder.Node("Conv", {x, builder.Weight({6, 1, 3, 3})}, Attrs({{"group", int64_t{6}}}))));
  EXPECT_EQ(GraphFlops(compiled->graph(), 1), 2.0 * (6 * 6) * 6 * (3 * 3));
}

TEST(Flops, CountsMatrixProductsAndNothingElse) {
  GraphBuilder builder;
  const ValueId x = builder.Input({kBatch, 5});
  const ValueId gemm = builder.Node("Gemm", {x, builder.Weight({7, 5}), builder.Weight({7})},
                                    Attrs({{"transB", int64_t{1}}}));
  const ValueId product = builder.Node("MatMul", {gemm, builder.Weight({7, 3})});
  const auto compiled = Compile(builder.Build(builder.Node("Softmax", {product})));
  EXPECT_EQ(GraphFlops(compiled->graph(), 4), 2.0 * 4 * (7 * 5 + 3 * 7));
}

/// 2^20 images of 2^28 pixels, each for 2^20 channels of one tap.
TEST(Flops, DoesNotOverflow) {
  Graph graph;
  const ValueId x = graph.AddInput("x", DType::kF32, {kBatch, 1, 1 << 14, 1 << 14});
  const ValueId w = graph.AddInput("w", DType::kF32, {1 << 20, 1, 1, 1});
  Node conv{.name = "conv", .op = "Conv", .inputs = {x, w}, .outputs = {x}, .attributes = {}};
  EXPECT_EQ(NodeFlops(graph, conv, 1 << 20), 0x1p69);
}

}  // namespace
}  // namespace trawl::engine
