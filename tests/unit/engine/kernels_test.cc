// Goal: fast kernels of plain values compute what the reference kernels define. Method: the same
// one-node graph with both, on odd shapes. Tolerance 1e-5 of 1 + |value|: the reference sums in
// double, the fast kernels sum up to a thousand f32 products of at most 1, whose rounding stays
// below 1000 · 2^-24 · √1000 / 1000 ≈ 2e-6 of the largest partial sum.
#include <cmath>
#include <limits>

#include "gtest/gtest.h"
#include "tests/unit/engine/blocked_runs.h"
#include "tests/unit/engine/graphs.h"

namespace trawl::engine {
namespace {

using testing::Attrs;
using testing::ExpectNear;
using testing::GraphBuilder;
using testing::IntsAttribute;
using testing::RandomTensor;

constexpr float kTolerance = 1e-5f;

/// Runs with the chosen and with the reference kernels. `fast`: how the name of the kernel that
/// must have been chosen begins, if given.
void CompareKernels(const Graph& graph, const std::map<std::string, Tensor>& inputs,
                    const std::string& fast = "") {
  CompileOptions plain;
  plain.disabled_passes = {"block_channels"};
  const auto compiled = CompiledGraph::Compile(graph, plain);
  ASSERT_TRUE(compiled.has_value()) << compiled.error().message();
  if (!fast.empty()) {
    const KernelChoice& choice = (*compiled)->kernels().back();
    ASSERT_TRUE(choice.kernel.starts_with(fast)) << choice.kernel << ": " << choice.reason;
  }
  CompileOptions reference;
  reference.reference_kernels = true;
  ExpectNear(testing::RunGraph(graph, inputs, plain), testing::RunGraph(graph, inputs, reference),
             kTolerance);
}

struct ConvCase {
  int64_t channels, outputs, group, height, width, kernel, stride, dilation, pad;
  bool fused = false;  // with bias, residual and Relu
};

void PrintTo(const ConvCase& c, std::ostream* out) {
  *out << c.channels << "->" << c.outputs << "/" << c.group << " " << c.height << "x" << c.width
       << " k" << c.kernel << " s" << c.stride << " d" << c.dilation << " p" << c.pad
       << (c.fused ? " fused" : "");
}

class ConvKernels : public ::testing::TestWithParam<ConvCase> {};

TEST_P(ConvKernels, AgreeWithTheReference) {
  const ConvCase& c = GetParam();
  GraphBuilder b;
  const ValueId x = b.Input({kBatch, c.channels, c.height, c.width});
  const Attributes attributes = Attrs({{"group", c.group},
                                       {"strides", IntsAttribute{c.stride, c.stride}},
                                       {"dilations", IntsAttribute{c.dilation, c.dilation}},
                                       {"pads", IntsAttribute{c.pad, c.pad, c.pad, c.pad}}});
  std::vector<ValueId> inputs{x, b.Weight({c.outputs, c.channels / c.group, c.kernel, c.kernel})};
  if (c.fused) inputs.push_back(b.Weight({c.outputs}));
  ValueId y = b.Node("Conv", inputs, attributes);
  if (c.fused) {
    const ValueId other = b.Node(
        "Conv", {x, b.Weight({c.outputs, c.channels / c.group, c.kernel, c.kernel})}, attributes);
    y = b.Node("Relu", {b.Node("Add", {y, other})});
  }
  const bool depthwise = c.group == c.channels;
  CompareKernels(b.Build(y), {{"x", RandomTensor({2, c.channels, c.height, c.width}, 99)}},
                 depthwise ? "f32_conv_depthwise" : "f32_conv_im2col__openblas");
}

INSTANTIATE_TEST_SUITE_P(
    OddShapes, ConvKernels,
    ::testing::Values(
        ConvCase{3, 17, 1, 31, 17, 3, 1, 1, 1}, ConvCase{17, 3, 1, 31, 31, 3, 2, 1, 1},
        ConvCase{3, 31, 1, 31, 31, 7, 2, 1, 3}, ConvCase{17, 31, 1, 17, 3, 1, 1, 1, 0},
        ConvCase{17, 31, 1, 17, 17, 1, 2, 1, 0}, ConvCase{3, 5, 1, 17, 31, 3, 1, 2, 2},
        ConvCase{3, 5, 1, 17, 17, 3, 3, 3, 0}, ConvCase{6, 9, 3, 17, 17, 3, 1, 1, 1},
        ConvCase{6, 6, 2, 1, 1, 1, 1, 1, 0}, ConvCase{1, 3, 1, 3, 3, 3, 1, 1, 5},
        ConvCase{17, 17, 17, 31, 31, 3, 1, 1, 1}, ConvCase{17, 17, 17, 31, 17, 3, 2, 1, 1},
        ConvCase{3, 9, 3, 17, 17, 5, 1, 2, 4}, ConvCase{17, 3, 1, 31, 17, 3, 1, 1, 1, true},
        ConvCase{17, 17, 1, 7, 7, 1, 1, 1, 0, true},
        ConvCase{17, 17, 17, 17, 17, 3, 1, 1, 1, true}));

TEST(ConvKernels, OneAndThreeDimensionsAgreeWithTheReference) {
  GraphBuilder one;
  const ValueId x = one.Input({kBatch, 3, 31});
  CompareKernels(
      one.Build(one.Node("Conv", {x, one.Weight({5, 3, 3})},
                         Attrs({{"pads", IntsAttribute{0, 2}}, {"strides", IntsAttribute{2}}}))),
      {{"x", RandomTensor({2, 3, 31}, 1)}});
  GraphBuilder three;
  const ValueId z = three.Input({kBatch, 2, 5, 7, 9});
  CompareKernels(three.Build(three.Node("Conv", {z, three.Weight({4, 1, 3, 3, 3})},
                                        Attrs({{"group", int64_t{2}},
                                               {"dilations", IntsAttribute{1, 2, 1}},
                                               {"pads", IntsAttribute{1, 1, 1, 1, 2, 0}}}))),
                 {{"x", RandomTensor({2, 2, 5, 7, 9}, 2)}});
}

TEST(PoolKernels, AgreeWithTheReference) {
  for (const int64_t ceil_mode : {0, 1}) {
    for (const int64_t stride : {1, 2, 3}) {
      for (const int64_t dilation : {1, 2}) {
        for (const int64_t include_pad : {0, 1}) {
          for (const char* op : {"MaxPool", "AveragePool"}) {
            GraphBuilder b;
            const ValueId x = b.Input({kBatch, 3, 17, 31});
            Attributes attributes = Attrs({{"kernel_shape", IntsAttribute{3, 2}},
                                           {"strides", IntsAttribute{stride, stride}},
                                           {"dilations", IntsAttribute{dilation, dilation}},
                                           {"pads", IntsAttribute{1, 0, 2, 1}},
                                           {"ceil_mode", ceil_mode}});
            if (std::string(op) == "AveragePool") attributes.Set("count_include_pad", include_pad);
            SCOPED_TRACE(::testing::Message()
                         << op << " ceil " << ceil_mode << " stride " << stride << " dilation "
                         << dilation << " include " << include_pad);
            CompareKernels(b.Build(b.Node(op, {x}, attributes)),
                           {{"x", RandomTensor({2, 3, 17, 31}, 5)}},
                           std::string(op) == "MaxPool" ? "f32_maxpool_rows" : "f32_avgpool_rows");
          }
        }
      }
    }
  }
}

TEST(GemmKernels, AgreeWithTheReference) {
  for (const int64_t trans_a : {0, 1}) {
    for (const int64_t trans_b : {0, 1}) {
      for (const int64_t depth : {31, 1027}) {
        GraphBuilder b;
        const ValueId a = b.Input(trans_a ? Shape{depth, 17} : Shape{17, depth});
        const ValueId weights = b.Weight(trans_b ? Shape{3, depth} : Shape{depth, 3});
        const Attributes attributes =
            Attrs({{"transA", trans_a}, {"transB", trans_b}, {"alpha", 0.5f}, {"beta", 2.0f}});
        const ValueId y = b.Node("Gemm", {a, weights, b.Weight({3})}, attributes);
        CompareKernels(b.Build(b.Node("Relu", {y})),
                       {{"x", RandomTensor(trans_a ? Shape{depth, 17} : Shape{17, depth}, 3)}},
                       trans_a ? "f32_gemm__openblas" : "f32_gemm_packed__");
      }
    }
  }
}

TEST(GemmKernels, PackedOnesAgreeWithTheReferenceOnEveryInstructionSetAndTeam) {
  // Batches below, at and above a tile's rows; columns below, at and above a panel's.
  for (const int64_t columns : {1, 3, 16, 64, 65, 200}) {
    for (const int64_t batch : {1, 3, 7, 31}) {
      for (const bool has_bias : {false, true}) {
        SCOPED_TRACE(::testing::Message() << batch << " rows, " << columns << " columns");
        GraphBuilder b;
        std::vector<ValueId> operands{b.Input({kBatch, 600}), b.Weight({columns, 600})};
        if (has_bias) operands.push_back(b.Weight({1, columns}));
        const ValueId y = b.Node("Gemm", operands, Attrs({{"transB", int64_t{1}}}));
        testing::ExpectAsTheReference(
            b.Build(b.Node("HardSwish", {y})), RandomTensor({batch, 600}, 5), kTolerance,
            [](const CompiledGraph& compiled) {
              EXPECT_EQ(testing::KernelOf(compiled, "FusedGemm"), "f32_gemm_packed");
            });
      }
    }
  }
}

TEST(GemmKernels, GiveTheMemoryOfPackedWeightsBack) {
  GraphBuilder b;
  const ValueId x = b.Input({4, 4});
  const ValueId packed = b.Weight({4, 4}), shared = b.Weight({4, 4});
  const ValueId y = b.Node("Gemm", {b.Node("Gemm", {x, packed}), shared});
  const Graph graph = b.Build(b.Node("Sub", {shared, y}));
  const auto compiled = CompiledGraph::Compile(graph);
  ASSERT_TRUE(compiled.has_value()) << compiled.error().message();
  EXPECT_EQ((*compiled)->graph().value(packed).constant->bytes(), nullptr);
  // The other one has a reader that needs it as it is.
  EXPECT_NE((*compiled)->graph().value(shared).constant->bytes(), nullptr);
  // The graph that was given keeps its own.
  EXPECT_NE(graph.value(packed).constant->bytes(), nullptr);
}

TEST(MatMulKernels, AgreeWithTheReferenceUnderBroadcasting) {
  const std::vector<std::pair<Shape, Shape>> cases = {
      {{3, 17}, {17, 5}}, {{2, 3, 17}, {17, 5}}, {{3, 1, 4, 7}, {2, 7, 5}}, {{17}, {17, 3}},
      {{4, 3, 17}, {17}}, {{17}, {17}},          {{1, 31}, {3, 31, 1}},
  };
  for (const auto& [left, right] : cases) {
    SCOPED_TRACE(ToString(left) + " · " + ToString(right));
    GraphBuilder b;
    const ValueId x = b.Input(left);
    CompareKernels(
        b.Build(b.Node("MatMul", {x, b.Weight(right)})), {{"x", RandomTensor(left, 4)}},
        left.size() >= 2 && right.size() == 2 ? "f32_matmul_packed__" : "f32_matmul__openblas");
  }
}

TEST(MatMulKernels, PackedOnesTakeStacksOnEveryInstructionSetAndTeam) {
  for (const Shape& left : {Shape{3, 197, 65}, {2, 3, 5, 65}, {1, 1, 65}, {4, 96, 65}}) {
    SCOPED_TRACE(ToString(left));
    GraphBuilder b;
    Shape shape = left;
    shape[0] = kBatch;
    const ValueId y = b.Node("MatMul", {b.Input(shape), b.Weight({65, 70})});
    testing::ExpectAsTheReference(
        b.Build(y), RandomTensor(left, 5), kTolerance, [](const CompiledGraph& compiled) {
          EXPECT_EQ(testing::KernelOf(compiled, "MatMul"), "f32_matmul_packed");
        });
  }
}

TEST(BinaryKernels, AgreeWithTheReferenceUnderBroadcasting) {
  const std::vector<std::pair<Shape, Shape>> cases = {
      {{2, 3, 17, 31}, {2, 3, 17, 31}},
      {{2, 3, 17, 31}, {3, 1, 1}},
      {{2, 3, 17, 31}, {}},
      {{3, 1, 1}, {2, 3, 17, 31}},
      {{2, 1, 17}, {3, 1}},
      {{1, 3}, {3, 1}},
      {{}, {}},
      {{2, 3, 1, 1}, {2, 3, 5, 7}},
      {{31}, {17, 1}},
  };
  for (const char* op : {"Add", "Sub", "Mul", "Div", "PRelu"}) {
    for (const auto& [left, right] : cases) {
      if (std::string(op) == "PRelu" && left.size() < right.size()) continue;
      if (std::string(op) == "PRelu" && (left == Shape{2, 1, 17} || left == Shape{1, 3} ||
                                         left == Shape{31} || left == Shape{2, 3, 1, 1})) {
        continue;  // the slope may not make the result larger
      }
      SCOPED_TRACE(std::string(op) + ToString(left) + ToString(right));
      GraphBuilder b;
      const ValueId x = b.Input(left);
      CompareKernels(b.Build(b.Node(op, {x, b.Input(right, "z")})),
                     {{"x", RandomTensor(left, 6)}, {"z", RandomTensor(right, 7)}});
    }
  }
}

TEST(SoftmaxKernels, AgreeWithTheReferenceOnEveryInstructionSetAndTeam) {
  struct Case {
    Shape shape;
    int64_t axis, flatten;
    const char* kernel;
  };
  for (const Case& c :
       {Case{{5, 1001}, -1, 0, "f32_softmax_rows"}, Case{{3, 1}, 1, 0, "f32_softmax_rows"},
        Case{{2, 3, 17, 1}, 2, 0, "f32_softmax_rows"}, Case{{2, 31, 3}, 1, 1, "f32_softmax_rows"},
        Case{{2, 31, 3}, 1, 0, "reference"}}) {
    SCOPED_TRACE(ToString(c.shape));
    GraphBuilder b;
    Shape shape = c.shape;
    shape[0] = kBatch;
    const ValueId y =
        b.Node("Softmax", {b.Input(shape)}, Attrs({{"axis", c.axis}, {"flatten", c.flatten}}));
    Tensor x = RandomTensor(c.shape, 3);
    for (float& number : x.mutable_data<float>()) number *= 40;  // powers down to e^-80
    testing::ExpectAsTheReference(b.Build(y), x, 1e-6f, [&](const CompiledGraph& g) {
      EXPECT_EQ(testing::KernelOf(g, "Softmax"), c.kernel);
    });
  }
}

TEST(SoftmaxKernels, WhatIsNoNumberSpoilsItsOwnRowOnly) {
  GraphBuilder b;
  const Graph graph = b.Build(b.Node("Softmax", {b.Input({kBatch, 21})}));
  for (const float number : {std::numeric_limits<float>::infinity(), std::nanf("")}) {
    for (const size_t at : {21, 30, 41}) {  // all in the second row
      Tensor x = RandomTensor({3, 21}, 4);
      x.mutable_data<float>()[at] = number;
      const Tensor y = testing::RunGraph(graph, {{"x", x}});
      const auto scores = y.data<float>();
      EXPECT_TRUE(std::isnan(scores[at])) << number << " at " << at;
      for (size_t i = 0; i < 21; ++i) {
        EXPECT_TRUE(std::isfinite(scores[i]) && std::isfinite(scores[i + 42]));
      }
    }
  }
}

TEST(NormalizeKernels, AgreeWithTheReferenceOnEveryInstructionSetAndTeam) {
  for (const Shape& normalised : {Shape{1}, {3}, {16}, {17}, {31}, {100}, {5, 7}}) {
    for (const bool has_bias : {false, true}) {
      SCOPED_TRACE(ToString(normalised));
      GraphBuilder b;
      Shape shape{kBatch, 3};
      shape.insert(shape.end(), normalised.begin(), normalised.end());
      std::vector<ValueId> inputs{b.Input(shape), b.Weight(normalised)};
      if (has_bias) inputs.push_back(b.Weight(normalised));
      const ValueId y =
          b.Node("LayerNormalization", inputs, Attrs({{"axis", int64_t{2}}, {"epsilon", 1e-3f}}));
      shape[0] = 5;
      Tensor x = RandomTensor(shape, 9);
      for (float& number : x.mutable_data<float>()) number += 3;  // a mean that is not 0
      testing::ExpectAsTheReference(b.Build(y), x, kTolerance, [](const CompiledGraph& g) {
        EXPECT_EQ(testing::KernelOf(g, "LayerNormalization"), "f32_layernorm_rows");
      });
    }
  }
}

TEST(ActivationKernels, AgreeWithTheReferenceOnEveryInstructionSetAndTeam) {
  for (const std::string op : {"Relu", "Clip", "LeakyRelu", "Sigmoid", "Tanh", "HardSigmoid",
                               "HardSwish", "Swish", "Gelu"}) {
    for (const int64_t count : {1, 16, 31, 17000}) {
      SCOPED_TRACE(op + " of " + std::to_string(count));
      GraphBuilder b;
      std::vector<ValueId> inputs{b.Input({kBatch, count})};
      if (op == "Clip") inputs.push_back(b.Constant(testing::Floats({}, {0.25f})));
      testing::ExpectAsTheReference(b.Build(b.Node(op, inputs)), RandomTensor({3, count}, 9), 1e-6f,
                                    [&](const CompiledGraph& g) {
                                      EXPECT_TRUE(testing::KernelOf(g, op).ends_with("_runs"))
                                          << testing::KernelOf(g, op);
                                    });
    }
  }
}

TEST(Registry, SaysWhyABetterKernelDoesNotServe) {
  GraphBuilder b;
  const ValueId x = b.Input({1, 4, 8, 8});
  CompileOptions plain;
  plain.disabled_passes = {"block_channels"};
  const auto compiled =
      CompiledGraph::Compile(b.Build(b.Node("Conv", {x, b.Weight({4, 4, 3, 3})})), plain);
  ASSERT_TRUE(compiled.has_value());
  ASSERT_EQ((*compiled)->kernels().size(), 1U);
  EXPECT_EQ((*compiled)->kernels()[0].reason, "f32_conv_depthwise: not depthwise");
}

}  // namespace
}  // namespace trawl::engine
