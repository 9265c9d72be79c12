// Goal: an execution runs any graph at any batch up to its largest, gives the same answers at each,
// and reports what is wrong with its inputs. Method: small graphs through the public interface.
#include "engine/compiled_graph.h"
#include "engine/limits.h"
#include "engine/model.h"
#include "gtest/gtest.h"
#include "tests/unit/engine/graphs.h"

namespace trawl::engine {
namespace {

using testing::Attrs;
using testing::GraphBuilder;
using testing::Ints;
using testing::IntsAttribute;
using testing::RandomTensor;

ConstTensorView ViewOf(const Tensor& tensor) {
  return {tensor.dtype(), tensor.shape(), tensor.bytes()};
}

Graph SmallNetwork() {
  GraphBuilder b;
  ValueId y = b.Input({kBatch, 3, 17, 17});
  for (const int64_t channels : {8, 8, 8}) {
    const int64_t before = y == 0 ? 3 : 8;
    y = b.Node("Conv", {y, b.Weight({channels, before, 3, 3}), b.Weight({channels})},
               Attrs({{"pads", IntsAttribute{1, 1, 1, 1}}}));
    y = b.Node("Relu", {y});
  }
  y = b.Node("Flatten", {b.Node("GlobalAveragePool", {y})});
  y = b.Node("Gemm", {y, b.Weight({8, 5}), b.Weight({5})});
  return b.Build(b.Node("Softmax", {y}));
}

class Threads : public ::testing::TestWithParam<int> {};

TEST_P(Threads, AnswersDoNotDependOnTheBatch) {
  const auto compiled = CompiledGraph::Compile(SmallNetwork());
  ASSERT_TRUE(compiled.has_value()) << compiled.error().message();
  auto execution = Execution::Create(**compiled, 7, GetParam());
  ASSERT_TRUE(execution.has_value());
  const Tensor images = RandomTensor({7, 3, 17, 17}, 42);
  const ConstTensorView all = ViewOf(images);
  ASSERT_TRUE((*execution)->Run(7, {&all, 1}).ok());
  const auto seven = (*execution)->output(0).data<float>();
  const std::vector<float> together(seven.begin(), seven.end());
  for (size_t i = 0; i < 7; ++i) {
    const Shape shape{1, 3, 17, 17};
    const ConstTensorView one{DType::kF32, shape, images.bytes() + i * 3 * 17 * 17 * sizeof(float)};
    ASSERT_TRUE((*execution)->Run(1, {&one, 1}).ok());
    for (size_t k = 0; k < 5; ++k) {
      EXPECT_NEAR((*execution)->output(0).data<float>()[k], together[i * 5 + k], 1e-5f);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Execution, Threads, ::testing::Values(1, 2, 3));

TEST(Execution, TellsWhatEachNodeTook) {
  const auto compiled = CompiledGraph::Compile(SmallNetwork());
  ASSERT_TRUE(compiled.has_value());
  auto execution = Execution::Create(**compiled, 3, 2);
  ASSERT_TRUE(execution.has_value());
  const Tensor images = RandomTensor({3, 3, 17, 17}, 42);
  const ConstTensorView view = ViewOf(images);
  std::vector<int64_t> nanoseconds((*compiled)->graph().nodes().size(), 0);
  ASSERT_TRUE((*execution)->RunTimed(3, {&view, 1}, nanoseconds).ok());
  for (const int64_t time : nanoseconds) EXPECT_GT(time, 0);
  EXPECT_GE((*execution)->arena_bytes(), (*execution)->lower_bound_bytes());
}

TEST(Execution, ReusesTheMemoryOfDeadValues) {
  CompileOptions plain;
  plain.disabled_passes = {"block_channels"};
  const auto compiled = CompiledGraph::Compile(SmallNetwork(), plain);
  ASSERT_TRUE(compiled.has_value());
  const auto execution = Execution::Create(**compiled, 1);
  ASSERT_TRUE(execution.has_value());
  const size_t activation = 8 * 17 * 17 * sizeof(float);
  // Two activations at a time and one convolution's columns (72 deep), not all three.
  EXPECT_LE((*execution)->arena_bytes(), 2 * activation + 72 * 17 * 17 * sizeof(float) + 4096);
}

TEST(Execution, RefusesOtherShapesTypesAndBatches) {
  const auto compiled = CompiledGraph::Compile(SmallNetwork());
  ASSERT_TRUE(compiled.has_value());
  auto execution = Execution::Create(**compiled, 2);
  ASSERT_TRUE(execution.has_value());
  const Tensor wrong(DType::kF32, {1, 3, 17, 18});
  ConstTensorView view = ViewOf(wrong);
  const Status status = (*execution)->Run(1, {&view, 1});
  EXPECT_EQ(status.message(), "input 'x' is f32 [1, 3, 17, 18] instead of f32 [1, 3, 17, 17]");
  const Tensor integers(DType::kI64, {1, 3, 17, 17});
  view = ViewOf(integers);
  EXPECT_EQ((*execution)->Run(1, {&view, 1}).code(), Code::kInvalidArgument);
  EXPECT_EQ((*execution)->Run(3, {&view, 1}).code(), Code::kInvalidArgument);
  EXPECT_EQ((*execution)->Run(1, {}).code(), Code::kInvalidArgument);
  EXPECT_EQ(Execution::Create(**compiled, 0).error().code(), Code::kInvalidArgument);
  EXPECT_EQ(Execution::Create(**compiled, kMaxBatch + 1).error().code(), Code::kInvalidArgument);
}

TEST(Execution, RunsGraphsOfSeveralInputsAndOutputsWithoutABatch) {
  GraphBuilder b;
  const ValueId x = b.Input({2, 3});
  const ValueId z = b.Input({3}, "z");
  const ValueId sum = b.Node("Add", {x, z});
  Graph graph = b.Build(sum);
  graph.outputs() = {sum, x};
  const Tensor one = RandomTensor({2, 3}, 1), two = RandomTensor({3}, 2);
  const auto outputs = RunOnce(graph, {{"x", one}, {"z", two}, {"not needed", two}});
  ASSERT_TRUE(outputs.has_value()) << outputs.error().message();
  EXPECT_EQ(outputs->at("Add0_out").shape(), (Shape{2, 3}));
  EXPECT_TRUE(std::ranges::equal(outputs->at("x").data<float>(), one.data<float>()));
}

/// A direct convolution, a Winograd one and a product behind them, for `batch` images.
Graph ScratchUsers(int64_t batch) {
  GraphBuilder b;
  const ValueId direct = b.Node("Conv", {b.Input({batch, 40, 9, 9}), b.Weight({48, 40, 3, 3})},
                                Attrs({{"dilations", IntsAttribute{2, 2}}}));
  const ValueId winograd = b.Node("Conv", {direct, b.Weight({64, 48, 3, 3})},
                                  Attrs({{"pads", IntsAttribute{1, 1, 1, 1}}}));
  return b.Build(b.Node("Gemm", {b.Node("Flatten", {winograd}), b.Weight({1600, 5})}));
}

TEST(Execution, ReservesScratchForTheBatchThatAGraphFixes) {
  const auto any = CompiledGraph::Compile(ScratchUsers(kBatch));
  const auto fixed = CompiledGraph::Compile(ScratchUsers(5));
  ASSERT_TRUE(any.has_value() && fixed.has_value());
  ASSERT_EQ((*fixed)->bound_kernels().size(), (*any)->bound_kernels().size());
  size_t most = 0;
  for (size_t i = 0; i < (*any)->bound_kernels().size(); ++i) {
    for (const int threads : {1, 2}) {
      EXPECT_EQ((*fixed)->ScratchBytes(i, 1, threads), (*any)->ScratchBytes(i, 5, threads));
      most = std::max(most, (*fixed)->ScratchBytes(i, 1, threads));
    }
  }
  EXPECT_GT(most, 0u);
  // Sanitizers would see a write behind the scratch.
  const Tensor x = RandomTensor({5, 40, 9, 9}, 3);
  CompileOptions reference;
  reference.reference_kernels = true;
  testing::ExpectNear(testing::RunGraph(ScratchUsers(5), {{"x", x}}),
                      testing::RunGraph(ScratchUsers(5), {{"x", x}}, reference), 1e-3f);
}

TEST(Execution, BoundInputsAreKnownWhenShapesAreInferred) {
  GraphBuilder b;
  const ValueId x = b.Input({2, 6});
  const ValueId target = b.graph.AddInput("target", DType::kI64, {2});
  const Graph graph = b.Build(b.Node("Reshape", {x, target}));
  EXPECT_EQ(CompiledGraph::Compile(graph).error().message(),
            "node 'Reshape0' (Reshape): the target shape is known only at run time");
  CompileOptions options;
  options.bound_inputs.emplace("target", Ints({3, -1}));
  EXPECT_EQ(testing::RunGraph(graph, {{"x", RandomTensor({2, 6}, 1)}}, options).shape(),
            (Shape{3, 4}));
}

TEST(Execution, NamesTheNodeWhoseDataIsOutOfRange) {
  GraphBuilder b;
  const ValueId x = b.Input({4, 2});
  const ValueId indices = b.graph.AddInput("indices", DType::kI64, {1});
  const Graph graph = b.Build(b.Node("Gather", {x, indices}));
  const auto outputs = RunOnce(graph, {{"x", RandomTensor({4, 2}, 1)}, {"indices", Ints({4})}});
  ASSERT_FALSE(outputs.has_value());
  EXPECT_EQ(outputs.error().message(),
            "node 'Gather0' (Gather): index 4 is out of range for a dimension of 4");
}

TEST(TopK, OrdersByProbabilityThenByClass) {
  const std::vector<float> probabilities{0.1f, 0.4f, 0.1f, 0.4f};
  const auto top = TopK(probabilities, 3);
  ASSERT_EQ(top.size(), 3U);
  EXPECT_EQ(top[0].class_index, 1);
  EXPECT_EQ(top[1].class_index, 3);
  EXPECT_EQ(top[2].class_index, 0);
  EXPECT_EQ(TopK(probabilities, 9).size(), 4U);
  EXPECT_TRUE(TopK(probabilities, -1).empty());
}

}  // namespace
}  // namespace trawl::engine
