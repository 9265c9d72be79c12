// Goal: passes change how a graph computes, never what. Method: graphs that each pass is for, run
// with it and without, on reference kernels; 1e-5 of 1 + |value| allows for weights that were
// multiplied by a scale beforehand.
#include <algorithm>
#include <cmath>

#include "engine/passes/pass.h"
#include "gtest/gtest.h"
#include "tests/unit/engine/graphs.h"

namespace trawl::engine {
namespace {

using testing::Attrs;
using testing::ExpectNear;
using testing::Floats;
using testing::GraphBuilder;
using testing::Ints;
using testing::IntsAttribute;
using testing::RandomTensor;

std::vector<std::string> Ops(const Graph& graph, CompileOptions options = {}) {
  options.reference_kernels = true;
  const auto compiled = CompiledGraph::Compile(graph, options);
  EXPECT_TRUE(compiled.has_value()) << (compiled ? "" : compiled.error().message());
  std::vector<std::string> ops;
  if (!compiled) return ops;
  for (const Node& node : (*compiled)->graph().nodes()) ops.push_back(node.op);
  return ops;
}

/// The output is the same with all passes and with none but the required ones.
void ExpectSameOutput(const Graph& graph, const Tensor& input) {
  CompileOptions none;
  none.disabled_passes = PassNames();
  none.reference_kernels = true;
  ExpectNear(testing::RunGraph(graph, {{"x", input}}),
             testing::RunGraph(graph, {{"x", input}}, none), 1e-5f);
}

ValueId BatchNorm(GraphBuilder& b, ValueId x, int64_t channels) {
  const ValueId variance = b.Constant([&] {
    Tensor tensor = RandomTensor({channels}, 17);
    for (float& value : tensor.mutable_data<float>()) value = value * value + 0.1f;
    return tensor;
  }());
  return b.Node("BatchNormalization",
                {x, b.Weight({channels}), b.Weight({channels}), b.Weight({channels}), variance});
}

ValueId Conv3x3(GraphBuilder& b, ValueId x, int64_t in, int64_t out) {
  return b.Node("Conv", {x, b.Weight({out, in, 3, 3}), b.Weight({out})},
                Attrs({{"pads", IntsAttribute{1, 1, 1, 1}}}));
}

using Strings = std::vector<std::string>;

TEST(FoldBatchNorm, MovesIntoTheConvolutionBeforeIt) {
  GraphBuilder b;
  const Graph graph = b.Build(BatchNorm(b, Conv3x3(b, b.Input({kBatch, 3, 9, 9}), 3, 5), 5));
  EXPECT_EQ(Ops(graph), Strings{"Conv"});
  ExpectSameOutput(graph, RandomTensor({2, 3, 9, 9}, 3));
}

TEST(FoldBatchNorm, LeavesOneBeforeAPaddedConvolutionAlone) {
  GraphBuilder b;
  const Graph graph = b.Build(Conv3x3(b, BatchNorm(b, b.Input({kBatch, 3, 9, 9}), 3), 3, 5));
  EXPECT_EQ(Ops(graph), (Strings{"BatchNormalization", "Conv"}));
  ExpectSameOutput(graph, RandomTensor({2, 3, 9, 9}, 3));
}

TEST(FoldBatchNorm, TakesPerChannelArithmeticToo) {
  GraphBuilder b;
  ValueId y = Conv3x3(b, b.Input({kBatch, 3, 9, 9}), 3, 5);
  y = b.Node("Mul", {y, b.Weight({5, 1, 1})});
  y = b.Node("Add", {b.Weight({1, 5, 1, 1}), y});
  y = b.Node("Sub", {y, b.Constant(Floats({}, {0.25f}))});
  y = b.Node("Div", {y, b.Constant(Floats({1}, {2}))});
  const Graph graph = b.Build(y);
  EXPECT_EQ(Ops(graph), Strings{"Conv"});
  ExpectSameOutput(graph, RandomTensor({2, 3, 9, 9}, 3));
}

TEST(FoldBatchNorm, LeavesArithmeticAlongOtherAxesAlone) {
  GraphBuilder b;
  const ValueId y = Conv3x3(b, b.Input({kBatch, 3, 5, 5}), 3, 5);
  EXPECT_EQ(Ops(b.Build(b.Node("Mul", {y, b.Weight({5})}))), (Strings{"Conv", "Mul"}));
  EXPECT_EQ(Ops(b.Build(b.Node("Div", {b.Weight({5, 1, 1}), y}))), (Strings{"Conv", "Div"}));
}

TEST(FoldBatchNorm, LeavesAConvolutionThatOthersReadAlone) {
  GraphBuilder b;
  const ValueId conv = Conv3x3(b, b.Input({kBatch, 3, 5, 5}), 3, 5);
  const Graph graph = b.Build(b.Node("Mul", {BatchNorm(b, conv, 5), conv}));
  EXPECT_EQ(Ops(graph), (Strings{"Conv", "BatchNormalization", "Mul"}));
  ExpectSameOutput(graph, RandomTensor({1, 3, 5, 5}, 3));
}

TEST(FoldBatchNorm, LeavesWeightsThatOthersReadAsTheyAre) {
  GraphBuilder b;
  const ValueId x = b.Input({kBatch, 3, 5, 5}), w = b.Weight({5, 3, 1, 1});
  const ValueId normalised = BatchNorm(b, b.Node("Conv", {x, w}), 5);
  const Graph graph = b.Build(b.Node("Add", {normalised, b.Node("Conv", {x, w})}));
  const Tensor before = *graph.value(w).constant;
  ExpectSameOutput(graph, RandomTensor({1, 3, 5, 5}, 3));
  EXPECT_TRUE(std::ranges::equal(before.data<float>(), graph.value(w).constant->data<float>()));
}

TEST(FoldBatchNorm, MovesIntoAGemm) {
  for (const int64_t trans_b : {0, 1}) {
    GraphBuilder b;
    const ValueId x = b.Input({kBatch, 7});
    const ValueId y = b.Node("Gemm", {x, b.Weight(trans_b ? Shape{5, 7} : Shape{7, 5})},
                             Attrs({{"transB", trans_b}}));
    const Graph graph = b.Build(BatchNorm(b, y, 5));
    EXPECT_EQ(Ops(graph), Strings{"Gemm"});
    ExpectSameOutput(graph, RandomTensor({3, 7}, 3));
  }
}

TEST(FuseEpilogues, AResidualBlockBecomesConvolutionsAlone) {
  GraphBuilder b;
  const ValueId x = b.Input({kBatch, 4, 7, 7});
  const ValueId left = b.Node("Relu", {BatchNorm(b, Conv3x3(b, x, 4, 4), 4)});
  const ValueId right = BatchNorm(b, Conv3x3(b, left, 4, 4), 4);
  const ValueId sum = b.Node("Relu", {b.Node("Add", {right, x})});
  const Graph graph = b.Build(b.Node("GlobalAveragePool", {sum}));
  EXPECT_EQ(Ops(graph), (Strings{"FusedConv", "FusedConv", "GlobalAveragePool"}));
  ExpectSameOutput(graph, RandomTensor({3, 4, 7, 7}, 8));
}

TEST(FuseEpilogues, BothBranchesOfAnAddMayBeConvolutions) {
  GraphBuilder b;
  const ValueId x = b.Input({kBatch, 4, 7, 7});
  const ValueId sum = b.Node("Add", {Conv3x3(b, x, 4, 4), Conv3x3(b, x, 4, 4)});
  const Graph graph = b.Build(b.Node("HardSwish", {sum}));
  EXPECT_EQ(Ops(graph), (Strings{"Conv", "FusedConv"}));
  ExpectSameOutput(graph, RandomTensor({2, 4, 7, 7}, 8));
}

TEST(FuseEpilogues, AConvolutionAddedToItselfIsNotItsOwnResidual) {
  GraphBuilder b;
  const ValueId y = Conv3x3(b, b.Input({kBatch, 4, 7, 7}), 4, 4);
  const Graph graph = b.Build(b.Node("Add", {y, y}));
  EXPECT_EQ(Ops(graph), (Strings{"Conv", "Add"}));
  ExpectSameOutput(graph, RandomTensor({2, 4, 7, 7}, 8));
}

TEST(FuseEpilogues, AResidualThatIsTheConvolutionsInputStaysIntact) {
  GraphBuilder b;
  // The Abs makes x a value in the arena, which the result must not overwrite while it is being
  // read.
  const ValueId x = b.Node("Abs", {b.Input({kBatch, 4, 7, 7})});
  const Graph graph = b.Build(b.Node("Add", {Conv3x3(b, x, 4, 4), x}));
  EXPECT_EQ(Ops(graph), (Strings{"Abs", "FusedConv"}));
  ExpectSameOutput(graph, RandomTensor({2, 4, 7, 7}, 8));
}

TEST(FuseEpilogues, EveryActivationComputesTheSameFused) {
  for (const char* op :
       {"Relu", "LeakyRelu", "Sigmoid", "Tanh", "HardSigmoid", "HardSwish", "Swish", "Gelu"}) {
    SCOPED_TRACE(op);
    GraphBuilder b;
    const Graph graph = b.Build(b.Node(op, {Conv3x3(b, b.Input({kBatch, 3, 5, 5}), 3, 4)}));
    EXPECT_EQ(Ops(graph), Strings{"FusedConv"});
    ExpectSameOutput(graph, RandomTensor({2, 3, 5, 5}, 8));
  }
  GraphBuilder b;
  const ValueId y = Conv3x3(b, b.Input({kBatch, 3, 5, 5}), 3, 4);
  const Graph graph =
      b.Build(b.Node("Clip", {y, b.Constant(Floats({}, {0})), b.Constant(Floats({}, {0.5f}))}));
  EXPECT_EQ(Ops(graph), Strings{"FusedConv"});
  ExpectSameOutput(graph, RandomTensor({2, 3, 5, 5}, 8));
}

TEST(ComposeOperators, AProductWithItsOwnGateIsOneActivation) {
  const Attributes gate = Attrs({{"alpha", 1.0f / 6}, {"beta", 0.5f}});
  for (const bool gate_first : {false, true}) {
    for (const auto& [op, composed] :
         {std::pair("Sigmoid", "Swish"), {"HardSigmoid", "HardSwish"}}) {
      GraphBuilder b;
      const ValueId x = b.Input({kBatch, 3, 5, 5});
      const ValueId y = b.Node(op, {x}, op == std::string("Sigmoid") ? Attributes() : gate);
      const Graph graph =
          b.Build(b.Node("Mul", gate_first ? std::vector{y, x} : std::vector{x, y}));
      EXPECT_EQ(Ops(graph), Strings{composed});
      ExpectSameOutput(graph, RandomTensor({2, 3, 5, 5}, 8));
    }
  }
}

TEST(ComposeOperators, AConvolutionTakesTheActivationIn) {
  GraphBuilder b;
  const ValueId y = Conv3x3(b, b.Input({kBatch, 3, 5, 5}), 3, 4);
  const Graph graph = b.Build(b.Node("Mul", {y, b.Node("Sigmoid", {y})}));
  EXPECT_EQ(Ops(graph), Strings{"FusedConv"});
  ExpectSameOutput(graph, RandomTensor({2, 3, 5, 5}, 8));
}

TEST(ComposeOperators, LeavesOtherGatesAlone) {
  GraphBuilder b;
  const ValueId x = b.Input({kBatch, 4});
  const ValueId other = b.Node("Mul", {x, b.Node("Sigmoid", {b.Node("Abs", {x})})});
  const ValueId slope = b.Node("Mul", {x, b.Node("HardSigmoid", {x})});  // 0.2 x + 0.5
  const ValueId gate = b.Node("Sigmoid", {x});
  const ValueId twice = b.Node("Sub", {b.Node("Mul", {x, gate}), gate});
  const Graph graph = b.Build(b.Node("Sum", {other, slope, twice}));
  const Strings ops = Ops(graph);
  EXPECT_EQ(std::count(ops.begin(), ops.end(), "Mul"), 3);
  ExpectSameOutput(graph, RandomTensor({2, 4}, 8));
}

ValueId Number(GraphBuilder& b, float value) { return b.Constant(Floats({}, {value})); }

/// 1 + erf(x / root).
ValueId OneAndErf(GraphBuilder& b, ValueId x, float root) {
  const ValueId erf = b.Node("Erf", {b.Node("Div", {x, Number(b, root)})});
  return b.Node("Add", {erf, Number(b, 1)});
}

TEST(ComposeOperators, GeluIsFoundInAnyOrderOfItsFactors) {
  for (int order = 0; order < 3; ++order) {
    GraphBuilder b;
    const ValueId x = b.Input({kBatch, 3, 5, 5});
    std::vector<ValueId> factors{x, Number(b, 0.5f), OneAndErf(b, x, 1.4142135f)};
    std::ranges::rotate(factors, factors.begin() + order);
    const ValueId inner = b.Node("Mul", {factors[0], factors[1]});
    const Graph graph = b.Build(b.Node("Mul", {factors[2], inner}));
    EXPECT_EQ(Ops(graph), Strings{"Gelu"});
    ExpectSameOutput(graph, RandomTensor({2, 3, 5, 5}, 8));
  }
}

TEST(ComposeOperators, LeavesWhatIsNearlyGeluAlone) {
  const auto build = [](float root, float half, bool of_itself) {
    GraphBuilder b;
    const ValueId x = b.Input({kBatch, 4});
    const ValueId factor = of_itself ? x : b.Node("Abs", {x});
    const ValueId inner = b.Node("Mul", {factor, OneAndErf(b, x, root)});
    return b.Build(b.Node("Mul", {inner, Number(b, half)}));
  };
  EXPECT_EQ(Ops(build(1.41421354f, 0.5f, true)), Strings{"Gelu"});
  for (const Graph& graph : {build(1.5f, 0.5f, true), build(1.41421354f, 0.25f, true),
                             build(1.41421354f, 0.5f, false)}) {
    EXPECT_EQ(std::ranges::count(Ops(graph), "Gelu"), 0);
    ExpectSameOutput(graph, RandomTensor({2, 4}, 8));
  }
}

/// (x - mean) / sqrt(mean((x - mean)²) + 1e-3), the variance's mean over `variance_axes`.
ValueId Normalise(GraphBuilder& b, ValueId x, const std::vector<int64_t>& axes,
                  const std::vector<int64_t>& variance_axes, bool by_power) {
  const ValueId mean = b.Node("ReduceMean", {x, b.Constant(Ints(axes))});
  const ValueId difference = b.Node("Sub", {x, mean});
  const ValueId square = by_power ? b.Node("Pow", {difference, Number(b, 2)})
                                  : b.Node("Mul", {difference, difference});
  const ValueId variance = b.Node("ReduceMean", {square, b.Constant(Ints(variance_axes))});
  const ValueId sum = b.Node("Add", {variance, Number(b, 1e-3f)});
  return b.Node("Div", {difference, b.Node("Sqrt", {sum})});
}

TEST(ComposeOperators, ArithmeticWithMeansIsANormalisation) {
  struct Case {
    std::vector<int64_t> axes;
    Shape parameters;
    std::string op;
  };
  for (const Case& c :
       {Case{{-1}, {5}, "LayerNormalization"}, Case{{2, 3}, {4, 5}, "LayerNormalization"},
        Case{{1}, {3, 1, 1}, "ChannelNormalization"}}) {
    for (int parameters = 0; parameters < 3; ++parameters) {  // none, a scale, a bias, too
      GraphBuilder b;
      ValueId y =
          Normalise(b, b.Input({kBatch, 3, 4, 5}), c.axes, c.axes, /*by_power=*/parameters == 1);
      if (parameters > 0) y = b.Node("Mul", {y, b.Weight(c.parameters)});
      if (parameters > 1) y = b.Node("Add", {b.Weight(c.parameters), y});
      const Graph graph = b.Build(y);
      EXPECT_EQ(Ops(graph), Strings{c.op});
      ExpectSameOutput(graph, RandomTensor({2, 3, 4, 5}, 8));
    }
  }
}

TEST(ComposeOperators, LeavesWhatIsNearlyANormalisationAlone) {
  for (const auto& [axes, variance_axes] :
       {std::pair<IntsAttribute, IntsAttribute>({3}, {2}), {{2}, {2}}}) {
    GraphBuilder b;
    const ValueId x = b.Input({kBatch, 3, 4, 5});
    const Graph graph = b.Build(Normalise(b, x, axes, variance_axes, true));
    EXPECT_EQ(std::ranges::count(Ops(graph), "Div"), 1);
    ExpectSameOutput(graph, RandomTensor({2, 3, 4, 5}, 8));
  }
  GraphBuilder b;
  const ValueId x = b.Input({kBatch, 3, 4, 5});
  const ValueId y = Normalise(b, x, {3}, {3}, true);
  // The scale varies by row, so it is none of the normalisation's.
  const Graph graph = b.Build(b.Node("Mul", {y, b.Weight({4, 1})}));
  EXPECT_EQ(Ops(graph), (Strings{"LayerNormalization", "Mul"}));
  ExpectSameOutput(graph, RandomTensor({2, 3, 4, 5}, 8));
}

ValueId ToLast(GraphBuilder& b, ValueId x) {
  return b.Node("Transpose", {x}, Attrs({{"perm", IntsAttribute{0, 2, 3, 1}}}));
}

ValueId ToFirst(GraphBuilder& b, ValueId x) {
  return b.Node("Transpose", {x}, Attrs({{"perm", IntsAttribute{0, 3, 1, 2}}}));
}

/// ConvNeXt's: channels are mixed on [N, H, W, C].
ValueId MixChannels(GraphBuilder& b, ValueId x) {
  ValueId y = b.Node("LayerNormalization", {x, b.Weight({3}), b.Weight({3})});
  y = b.Node("Add", {b.Node("MatMul", {y, b.Weight({3, 7})}), b.Weight({7})});
  y = b.Node("MatMul", {b.Node("Gelu", {y}), b.Weight({7, 3})});
  return b.Node("Add", {b.Weight({1, 1, 1, 3}), y});
}

TEST(ChannelsFirst, ABlockBetweenTranspositionsBecomesConvolutions) {
  GraphBuilder b;
  const ValueId x = b.Input({kBatch, 3, 5, 4});
  const ValueId y = ToFirst(b, MixChannels(b, ToLast(b, x)));
  const Graph graph = b.Build(b.Node("Add", {x, b.Node("Mul", {y, b.Weight({3, 1, 1})})}));
  EXPECT_EQ(Ops(graph), (Strings{"ChannelNormalization", "FusedConv", "FusedConv"}));
  ExpectSameOutput(graph, RandomTensor({2, 3, 5, 4}, 8));
}

TEST(ChannelsFirst, ArithmeticOfTwoTurnedValuesIsTurnedToo) {
  for (const std::string op : {"Add", "Sub", "Mul", "Div"}) {
    GraphBuilder b;
    const ValueId x = b.Input({kBatch, 3, 5, 4});
    const ValueId left = ToLast(b, b.Node("Exp", {x})), right = ToLast(b, b.Node("Abs", {x}));
    const ValueId y = b.Node(op, {b.Node(op, {right, left}), b.Weight({3})});
    const Graph graph = b.Build(ToFirst(b, b.Node(op, {Number(b, 2), y})));
    EXPECT_EQ(std::ranges::count(Ops(graph), "Transpose"), 0);
    ExpectSameOutput(graph, RandomTensor({2, 3, 5, 4}, 8));
  }
}

TEST(ChannelsFirst, OtherReadersGetWhatTheyRead) {
  GraphBuilder b;
  const ValueId x = b.Input({kBatch, 3, 3, 3});
  const ValueId last = ToLast(b, b.Node("Exp", {x}));
  const ValueId turned = b.Node("Relu", {b.Node("Add", {last, b.Weight({3})})});
  // Both are read as [N, H, W, C], which has the same shape here, and the result is turned again.
  const ValueId sum = b.Node("Add", {ToFirst(b, turned), b.Node("Mul", {turned, last})});
  const Graph graph = b.Build(b.Node("Softmax", {ToLast(b, ToFirst(b, sum))}));
  ExpectSameOutput(graph, RandomTensor({2, 3, 3, 3}, 8));
}

TEST(ChannelsFirst, LeavesAloneWhatIsNeverTurnedBack) {
  GraphBuilder b;
  const ValueId x = b.Input({kBatch, 3, 5, 4});
  const Graph graph = b.Build(MixChannels(b, ToLast(b, x)));
  const Strings ops = Ops(graph);
  EXPECT_EQ(std::ranges::count(ops, "MatMul"), 2);
  EXPECT_EQ(std::ranges::count(ops, "Transpose"), 1);
  ExpectSameOutput(graph, RandomTensor({2, 3, 5, 4}, 8));
}

TEST(ChannelsFirst, LeavesConstantsAlongOtherDimensionsAlone) {
  GraphBuilder b;
  const ValueId x = ToLast(b, b.Input({kBatch, 4, 4, 4}));
  const Graph graph = b.Build(ToFirst(b, b.Node("Mul", {x, b.Weight({4, 1})})));
  EXPECT_EQ(Ops(graph), (Strings{"Transpose", "Mul", "Transpose"}));
  ExpectSameOutput(graph, RandomTensor({2, 4, 4, 4}, 8));
}

TEST(ComposeOperators, TheMeanOfPlanesIsAGlobalPool) {
  for (const int64_t keep : {0, 1}) {
    GraphBuilder b;
    const ValueId x = b.Input({kBatch, 3, 5, 4});
    const Graph graph =
        b.Build(b.Node("ReduceMean", {x, b.Constant(Ints({-1, 2}))}, Attrs({{"keepdims", keep}})));
    EXPECT_EQ(Ops(graph).front(), "GlobalAveragePool");
    ExpectSameOutput(graph, RandomTensor({2, 3, 5, 4}, 8));
  }
}

TEST(ComposeOperators, OtherMeansStay) {
  for (const std::vector<int64_t>& axes : {IntsAttribute{1}, {3}, {1, 2, 3}}) {
    GraphBuilder b;
    const ValueId x = b.Input({kBatch, 3, 5, 4});
    EXPECT_EQ(Ops(b.Build(b.Node("ReduceMean", {x, b.Constant(Ints(axes))}))),
              Strings{"ReduceMean"});
  }
}

TEST(EliminateIdentities, RemovesWhatChangesNothing) {
  GraphBuilder b;
  ValueId y = b.Node("Identity", {b.Input({kBatch, 4})});
  y = b.Node("Dropout", {y});
  y = b.Node("Reshape", {y, b.Constant(Ints({0, 4}))});
  y = b.Node("Transpose", {y}, Attrs({{"perm", IntsAttribute{0, 1}}}));
  y = b.Node("Relu", {y});
  const Graph graph = b.Build(b.Node("Concat", {y}, Attrs({{"axis", int64_t{1}}})));
  EXPECT_EQ(Ops(graph), Strings{"Relu"});
  ExpectSameOutput(graph, RandomTensor({2, 4}, 8));
}

TEST(EliminateIdentities, KeepsAReversingSlice) {
  GraphBuilder b;
  const ValueId x = b.Input({kBatch, 4});
  const Graph graph = b.Build(b.Node("Slice", {x, b.Constant(Ints({-1})), b.Constant(Ints({-9})),
                                               b.Constant(Ints({1})), b.Constant(Ints({-1}))}));
  EXPECT_EQ(Ops(graph), Strings{"Slice"});
  ExpectSameOutput(graph, RandomTensor({2, 4}, 8));
}

TEST(FoldConstants, LimitsWhatAFewBytesMayGrowTo) {
  GraphBuilder b;
  const ValueId x = b.Input({1});
  // 256 MiB from a shape of two numbers: computed at run time, not kept in the model.
  const ValueId big = b.Node("ConstantOfShape", {b.Constant(Ints({1 << 13, 1 << 13}))});
  EXPECT_EQ(Ops(b.Build(b.Node("Add", {big, x}))), (Strings{"ConstantOfShape", "Add"}));
  const ValueId small = b.Node("ConstantOfShape", {b.Constant(Ints({2, 2}))});
  EXPECT_EQ(Ops(b.Build(b.Node("Add", {small, x}))), Strings{"Add"});
}

TEST(ResolveShapes, AFileForBatchOneRunsAtAnyBatch) {
  GraphBuilder b;
  const ValueId x = b.Input({kBatch, 2, 3});
  const ValueId flat = b.Node("Reshape", {x, b.Constant(Ints({1, 6}))});
  const ValueId y = b.Node("Gemm", {flat, b.Weight({6, 4})});
  const Graph graph = b.Build(y);
  const Tensor input = RandomTensor({5, 2, 3}, 8);
  EXPECT_EQ(testing::RunGraph(graph, {{"x", input}}).shape(), (Shape{5, 4}));
}

TEST(FuseQuantization, RoundsAndSaturatesAsTheTwoOperatorsDo) {
  GraphBuilder b;
  const ValueId x = b.Input({kBatch, 9});
  const ValueId scale = b.Constant(Floats({}, {0.5f}));
  Tensor zero(DType::kU8, {});
  zero.mutable_data<uint8_t>()[0] = 128;
  const ValueId zero_point = b.Constant(zero);
  const ValueId q = b.Node("QuantizeLinear", {x, scale, zero_point});
  const Graph graph = b.Build(b.Node("DequantizeLinear", {q, scale, zero_point}));
  EXPECT_EQ(Ops(graph), Strings{"FakeQuantize"});
  // Ties go to even: 0.25 / 0.5 = 0.5 -> 0 and 0.75 / 0.5 = 1.5 -> 2; far values saturate at 0 and
  // 255.
  const Tensor input =
      Floats({1, 9}, {0, 0.25f, 0.75f, -0.25f, -0.75f, 1e30f, -1e30f, 63.4f, -63.9f});
  const Tensor output = testing::RunGraph(graph, {{"x", input}});
  const std::vector<float> expected{0, 0, 1, 0, -1, 63.5f, -64, 63.5f, -64};
  EXPECT_TRUE(std::ranges::equal(output.data<float>(), expected));
  ExpectSameOutput(graph, input);
}

TEST(FuseQuantization, LeavesPairsOfDifferentScalesAlone) {
  GraphBuilder b;
  const ValueId x = b.Input({kBatch, 9});
  const ValueId q = b.Node("QuantizeLinear", {x, b.Constant(Floats({}, {0.5f}))});
  const Graph graph = b.Build(b.Node("DequantizeLinear", {q, b.Constant(Floats({}, {0.25f}))}));
  EXPECT_EQ(Ops(graph), (Strings{"QuantizeLinear", "DequantizeLinear"}));
}

/// A dequantised constant of small integers under the given scale.
ValueId Dequantized(GraphBuilder& b, DType dtype, const Shape& shape, const Tensor& scale) {
  Tensor tensor(dtype, shape);
  for (int64_t i = 0; i < tensor.size(); ++i) {
    const int64_t value = i * 37 % 101;
    if (dtype == DType::kI8) {
      tensor.mutable_data<int8_t>()[static_cast<size_t>(i)] = static_cast<int8_t>(value - 50);
    } else {
      tensor.mutable_data<int32_t>()[static_cast<size_t>(i)] = static_cast<int32_t>(value * 9);
    }
  }
  const ValueId q = b.Constant(tensor);
  return b.Node("DequantizeLinear", {q, b.Constant(scale)}, Attrs({{"axis", int64_t{0}}}));
}

TEST(FuseQuantization, ConvolutionsSumTheIntegersThemselves) {
  for (const int64_t group : {1, 4}) {
    GraphBuilder b;
    const ValueId x = b.Input({kBatch, 4, 6, 6});
    const ValueId scale = b.Constant(Floats({}, {0.1f}));
    const ValueId zero_point = b.Constant(Tensor(DType::kI8, {}));
    const ValueId q = b.Node("QuantizeLinear", {x, scale, zero_point});
    const ValueId dq = b.Node("DequantizeLinear", {q, scale, zero_point});
    const Tensor weight_scale = Floats({4}, {0.1f, 0.2f, 0.3f, 0.7f});
    const Tensor bias_scale = Floats({4}, {0.01f, 0.02f, 0.03f, 0.07f});
    const ValueId conv = b.Node("Conv",
                                {dq, Dequantized(b, DType::kI8, {4, 4 / group, 3, 3}, weight_scale),
                                 Dequantized(b, DType::kI32, {4}, bias_scale)},
                                Attrs({{"group", group}}));
    const Graph graph = b.Build(b.Node("Relu", {conv}));
    EXPECT_EQ(Ops(graph), (Strings{"FakeQuantize", "FusedConv"}));
    const Tensor input = RandomTensor({2, 4, 6, 6}, 8);
    ExpectSameOutput(graph, input);
    // Every result is an integer times the product of the scales, to the last bit.
    const Tensor output = testing::RunGraph(graph, {{"x", input}});
    for (size_t i = 0; i < output.data<float>().size(); ++i) {
      const float scale_of_sum = weight_scale.data<float>()[i / 16 % 4] * 0.1f;
      const float sum = std::nearbyint(output.data<float>()[i] / scale_of_sum);
      ASSERT_EQ(output.data<float>()[i], sum * scale_of_sum);
    }
  }
}

TEST(Prune, AnyNodesOutputCanBeAskedFor) {
  GraphBuilder b;
  const ValueId features = b.Node("Relu", {b.Input({kBatch, 4})});
  const Graph graph = b.Build(b.Node("Frobnicate", {features}));
  CompileOptions options;
  options.output = "Relu0";
  // What follows the wanted node is not even looked at.
  EXPECT_EQ(Ops(graph, options), Strings{"Relu"});
  options.output = "Relu0_out";
  EXPECT_EQ(Ops(graph, options), Strings{"Relu"});
  options.output = "Relu9";
  const auto missing = CompiledGraph::Compile(graph, options);
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().message(), "no node or value is called 'Relu9'; did you mean 'Relu0'?");
}

TEST(PassManager, ReportsEachPassAndObeysTheSwitch) {
  GraphBuilder b;
  const Graph graph = b.Build(b.Node("Identity", {b.Node("Relu", {b.Input({kBatch, 4})})}));
  CompileOptions options;
  options.disabled_passes = {"eliminate_identities"};
  EXPECT_EQ(Ops(graph, options), (Strings{"Relu", "Identity"}));
  const auto compiled = CompiledGraph::Compile(graph);
  ASSERT_TRUE(compiled.has_value());
  ASSERT_EQ((*compiled)->passes().size(), PassNames().size());
  const auto report =
      std::ranges::find((*compiled)->passes(), "eliminate_identities", &PassReport::name);
  ASSERT_NE(report, (*compiled)->passes().end());
  EXPECT_EQ(report->changes, 1);
  options.disabled_passes = {"eliminate_identity"};
  const auto unknown = CompiledGraph::Compile(graph, options);
  ASSERT_FALSE(unknown.has_value());
  EXPECT_EQ(unknown.error().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace trawl::engine
