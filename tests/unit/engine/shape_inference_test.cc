// Goal: shapes carry the batch through every exporter's habits, and no hostile graph gets past with
// an absurd size.
// Method: infer small graphs and read the output's shape or the error.
#include "engine/ops.h"
#include "gtest/gtest.h"
#include "tests/unit/engine/graphs.h"

namespace trawl::engine {
namespace {

using testing::Attrs;
using testing::GraphBuilder;
using testing::Ints;
using testing::IntsAttribute;

/// The output's shape, or the error's message.
std::string Infer(Graph graph) {
  const auto contents = InferShapes(graph, /*from_file=*/true);
  if (!contents) return contents.error().message();
  return ToString(*graph.value(graph.outputs()[0]).shape);
}

TEST(ShapeInference, CarriesTheBatchThroughAConvolutionalNetwork) {
  GraphBuilder b;
  const ValueId x = b.Input({kBatch, 3, 224, 224});
  const ValueId conv =
      b.Node("Conv", {x, b.Weight({64, 3, 7, 7})},
             Attrs({{"strides", IntsAttribute{2, 2}}, {"pads", IntsAttribute{3, 3, 3, 3}}}));
  const ValueId pool =
      b.Node("MaxPool", {conv},
             Attrs({{"kernel_shape", IntsAttribute{3, 3}}, {"strides", IntsAttribute{2, 2}}}));
  const ValueId mean = b.Node("GlobalAveragePool", {pool});
  const ValueId flat = b.Node("Flatten", {mean});
  EXPECT_EQ(Infer(b.Build(b.Node("Gemm", {flat, b.Weight({64, 10})}))), "[N, 10]");
}

TEST(ShapeInference, TakesALeadingOneOfAReshapeForTheBatch) {
  for (const IntsAttribute& target : {IntsAttribute{1, -1}, {1, 48}, {-1, 48}, {0, -1}}) {
    GraphBuilder b;
    const ValueId x = b.Input({kBatch, 3, 4, 4});
    EXPECT_EQ(Infer(b.Build(b.Node("Reshape", {x, b.Constant(Ints(target))}))), "[N, 48]");
  }
}

TEST(ShapeInference, MergesAndSplitsTheBatchWithOtherDimensions) {
  GraphBuilder b;
  const ValueId x = b.Input({kBatch, 4, 6});
  const ValueId merged = b.Node("Reshape", {x, b.Constant(Ints({-1, 6}))});
  EXPECT_EQ(Infer(b.Build(merged)), "[4N, 6]");
  EXPECT_EQ(Infer(b.Build(b.Node("Reshape", {merged, b.Constant(Ints({-1, 4, 6}))}))), "[N, 4, 6]");
}

TEST(ShapeInference, FollowsPyTorchsShapeGatherUnsqueezeConcat) {
  GraphBuilder b;
  const ValueId x = b.Input({kBatch, 8, 2, 2});
  const ValueId shape = b.Node("Shape", {x});
  const ValueId batch =
      b.Node("Gather", {shape, b.graph.AddConstant("zero", Tensor(DType::kI64, {}))},
             Attrs({{"axis", int64_t{0}}}));
  const ValueId vector = b.Node("Unsqueeze", {batch, b.Constant(Ints({0}))});
  const ValueId target =
      b.Node("Concat", {vector, b.Constant(Ints({-1}))}, Attrs({{"axis", int64_t{0}}}));
  EXPECT_EQ(Infer(b.Build(b.Node("Reshape", {x, target}))), "[N, 32]");
}

TEST(ShapeInference, FollowsPyTorchsPads) {
  GraphBuilder b;
  const ValueId x = b.Input({kBatch, 8, 2, 2});
  // [0,0,0,0,1,2] and two zeros, as pairs, reversed, transposed: begins, then ends.
  const ValueId zeros = b.Node("ConstantOfShape", {b.Constant(Ints({4}))},
                               Attrs({{"value", Tensor(DType::kI64, {1})}}));
  const ValueId all =
      b.Node("Concat", {b.Constant(Ints({0, 0, 1, 2})), zeros}, Attrs({{"axis", int64_t{0}}}));
  const ValueId pairs = b.Node("Reshape", {all, b.Constant(Ints({-1, 2}))});
  const ValueId reversed =
      b.Node("Slice", {pairs, b.Constant(Ints({-1})), b.Constant(Ints({INT64_MIN + 1})),
                       b.Constant(Ints({0})), b.Constant(Ints({-1}))});
  const ValueId transposed =
      b.Node("Transpose", {reversed}, Attrs({{"perm", IntsAttribute{1, 0}}}));
  const ValueId pads = b.Node("Reshape", {transposed, b.Constant(Ints({-1}))});
  EXPECT_EQ(Infer(b.Build(b.Node("Pad", {x, pads}))), "[N, 8, 5, 2]");
}

TEST(ShapeInference, NamesNodeAndOperatorOfWhatIsNotSupported) {
  GraphBuilder b;
  const ValueId x = b.Input({1, 2});
  EXPECT_EQ(Infer(b.Build(b.Node("Frobnicate", {x}))),
            "node 'Frobnicate0' (Frobnicate): the operator is not supported");
  GraphBuilder internal;
  const ValueId y = internal.Input({1, 1, 4, 4});
  EXPECT_NE(Infer(internal.Build(internal.Node("FusedConv", {y, internal.Weight({1, 1, 1, 1})})))
                .find("not supported"),
            std::string::npos);
  GraphBuilder attribute;
  const ValueId z = attribute.Input({1, 2});
  EXPECT_NE(Infer(attribute.Build(attribute.Node("Relu", {z}, Attrs({{"surprise", int64_t{1}}}))))
                .find("surprise"),
            std::string::npos);
}

struct Hostile {
  const char* what;
  Shape input;
  const char* op;
  std::vector<Tensor> operands;
  std::vector<std::pair<std::string, Attribute>> attributes;
};

/// Every one must be refused; none may crash, divide by zero, overflow (the sanitizers would tell)
/// or allocate.
TEST(ShapeInference, RefusesHostileGraphs) {
  const int64_t huge = int64_t{1} << 62;
  const std::vector<Hostile> cases = {
      {"a window of zero", {1, 1, 4, 4}, "MaxPool", {}, {{"kernel_shape", IntsAttribute{0, 0}}}},
      {"a huge window", {1, 1, 4, 4}, "MaxPool", {}, {{"kernel_shape", IntsAttribute{huge, huge}}}},
      {"a stride of zero",
       {1, 1, 4, 4},
       "MaxPool",
       {},
       {{"kernel_shape", IntsAttribute{2, 2}}, {"strides", IntsAttribute{0, 0}}}},
      {"a huge dilation",
       {1, 1, 4, 4},
       "MaxPool",
       {},
       {{"kernel_shape", IntsAttribute{2, 2}}, {"dilations", IntsAttribute{huge, 1}}}},
      {"huge pads",
       {1, 1, 4, 4},
       "AveragePool",
       {},
       {{"kernel_shape", IntsAttribute{2, 2}}, {"pads", IntsAttribute{huge, huge, huge, huge}}}},
      {"no group",
       {1, 4, 4, 4},
       "Conv",
       {Tensor(DType::kF32, {4, 4, 1, 1})},
       {{"group", int64_t{0}}}},
      {"too many groups",
       {1, 4, 4, 4},
       "Conv",
       {Tensor(DType::kF32, {4, 4, 1, 1})},
       {{"group", huge}}},
      {"an absurd expansion", {1}, "Expand", {Ints({1 << 20, 1 << 20, 1 << 20})}, {}},
      {"an overflowing expansion", {1}, "Expand", {Ints({huge, huge, huge})}, {}},
      {"an absurd expansion of nothing", {1}, "Expand", {Ints({0, huge})}, {}},
      {"a negative expansion", {1}, "Expand", {Ints({-5})}, {}},
      {"a reshape to another size", {4, 4}, "Reshape", {Ints({5, -1})}, {}},
      {"a reshape by zero", {4, 4}, "Reshape", {Ints({0, -1})}, {{"allowzero", int64_t{1}}}},
      {"a reshape with two unknowns", {4, 4}, "Reshape", {Ints({-1, -1})}, {}},
      {"huge padding", {1, 1, 4, 4}, "Pad", {Ints({0, 0, huge, 0, 0, 0, huge, 0})}, {}},
      {"an axis far away", {4, 4}, "Softmax", {}, {{"axis", huge}}},
      {"a bad permutation", {4, 4}, "Transpose", {}, {{"perm", IntsAttribute{0, 0}}}},
      {"an LRN without a size", {1, 4, 4, 4}, "LRN", {}, {}},
      {"a scale of another size", {2, 4}, "LayerNormalization", {Tensor(DType::kF32, {3})}, {}},
      {"a normalisation of nothing",
       {4},
       "LayerNormalization",
       {Tensor(DType::kF32, {4})},
       {{"axis", huge}}},
      {"a Gelu of another kind", {4}, "Gelu", {}, {{"approximate", std::string("magic")}}},
      {"a step of zero", {4}, "Slice", {Ints({0}), Ints({4}), Ints({0}), Ints({0})}, {}},
      {"a split that does not add up", {4}, "Split", {Ints({1, 1})}, {}},
      {"a gather out of range", {4}, "Unsqueeze", {Ints({7})}, {}},
      {"nine dimensions", {1}, "Unsqueeze", {Ints({0, 1, 2, 3, 4, 5, 6, 7})}, {}},
  };
  for (const Hostile& hostile : cases) {
    GraphBuilder b;
    std::vector<ValueId> inputs{b.Input(hostile.input)};
    for (const Tensor& operand : hostile.operands) inputs.push_back(b.Constant(operand));
    const std::string message =
        Infer(b.Build(b.Node(hostile.op, inputs, Attrs(hostile.attributes))));
    EXPECT_NE(message.find("node '"), std::string::npos) << hostile.what << ": " << message;
  }
}

}  // namespace
}  // namespace trawl::engine
