// Goal: files of every opset become graphs of one vocabulary; malformed ones are refused by name.
// Method: models in protobuf's text format, checked node by node.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/loaders/loaders.h"
#include "tests/unit/engine/loaders/onnx_files.h"

namespace trawl::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::OnnxInput;
using testing::OnnxModel;
using testing::OnnxOutput;

/// A model of one node from `x` to `y`.
std::string OneNode(int opset, const std::string& node, const std::string& dims = "N 3 4 4",
                    const std::string& more = "") {
  return OnnxModel(opset, OnnxInput("x", dims) + OnnxOutput("y") + more +
                              "node { input: 'x' output: 'y' " + node + " }");
}

std::vector<int64_t> IntsOf(const Graph& graph, size_t node, size_t input) {
  const auto& constant = graph.value(graph.nodes()[node].inputs[input]).constant;
  const auto values = constant->data<int64_t>();
  return {values.begin(), values.end()};
}

void ExpectError(const std::string& bytes, Code code, const std::string& part,
                 const OnnxOptions& options = {}) {
  const auto graph = ParseOnnx(bytes, options);
  ASSERT_FALSE(graph) << "expected an error with: " << part;
  EXPECT_EQ(graph.error().code(), code) << graph.error().message();
  EXPECT_THAT(graph.error().message(), HasSubstr(part));
}

TEST(OnnxLoader, FreesTheBatchWhereTheFileLeavesItOpenOrSaysOne) {
  for (const char* dims : {"N 3 4 4", "0 3 4 4", "1 3 4 4", "-1 3 4 4"}) {
    const auto graph = ParseOnnx(OneNode(13, "op_type: 'Relu'", dims));
    ASSERT_TRUE(graph) << graph.error().message();
    EXPECT_EQ(graph->value(graph->inputs()[0]).shape, (Shape{kBatch, 3, 4, 4})) << dims;
  }
}

TEST(OnnxLoader, KeepsShapesAsWrittenWhenAsked) {
  const auto graph = ParseOnnx(OneNode(13, "op_type: 'Relu'", "1 3 4 4"),
                               {.free_batch = false, .input_shape = {}});
  ASSERT_TRUE(graph);
  EXPECT_EQ(graph->value(graph->inputs()[0]).shape, (Shape{1, 3, 4, 4}));
}

TEST(OnnxLoader, TakesOpenDimensionsFromTheOptions) {
  const std::string bytes = OneNode(13, "op_type: 'Relu'", "N 3 H W");
  ExpectError(bytes, Code::kInvalidArgument, "dimension 2 is left open");
  const auto graph = ParseOnnx(bytes, {.free_batch = true, .input_shape = {kBatch, 3, 32, 48}});
  ASSERT_TRUE(graph);
  EXPECT_EQ(graph->value(graph->inputs()[0]).shape, (Shape{kBatch, 3, 32, 48}));
}

TEST(OnnxLoader, DoesNotTakeInitialisersForInputs) {
  const std::string weight =
      "initializer { name: 'w' data_type: 1 dims: 1 float_data: 2 } " + OnnxInput("w", "1");
  const auto graph = ParseOnnx(OneNode(8, "op_type: 'Add' input: 'w'", "N 3 4 4", weight));
  ASSERT_TRUE(graph) << graph.error().message();
  EXPECT_EQ(graph->inputs().size(), 1u);
  EXPECT_TRUE(graph->value(graph->nodes()[0].inputs[1]).constant.has_value());
}

TEST(OnnxLoader, TurnsOldAttributesIntoOperands) {
  const auto clip =
      ParseOnnx(OneNode(7, "op_type: 'Clip' attribute { name: 'max' type: FLOAT f: 6 }"));
  ASSERT_TRUE(clip) << clip.error().message();
  ASSERT_EQ(clip->nodes()[0].inputs.size(), 3u);
  EXPECT_EQ(clip->nodes()[0].inputs[1], kNoValue);
  EXPECT_THAT(clip->value(clip->nodes()[0].inputs[2]).constant->data<float>(), ElementsAre(6));

  const auto squeeze = ParseOnnx(OneNode(
      11, "op_type: 'Squeeze' attribute { name: 'axes' type: INTS ints: 2 ints: 3 }", "N 3 1 1"));
  ASSERT_TRUE(squeeze) << squeeze.error().message();
  EXPECT_THAT(IntsOf(*squeeze, 0, 1), ElementsAre(2, 3));

  const auto pad = ParseOnnx(
      OneNode(7,
              "op_type: 'Pad' attribute { name: 'pads' type: INTS ints: [0,0,1,1,0,0,1,1] } "
              "attribute { name: 'value' type: FLOAT f: 3 }"));
  ASSERT_TRUE(pad) << pad.error().message();
  EXPECT_THAT(IntsOf(*pad, 0, 1), ElementsAre(0, 0, 1, 1, 0, 0, 1, 1));
  EXPECT_THAT(pad->value(pad->nodes()[0].inputs[2]).constant->data<float>(), ElementsAre(3));

  const auto slice =
      ParseOnnx(OneNode(9,
                        "op_type: 'Slice' attribute { name: 'starts' type: INTS ints: 1 } "
                        "attribute { name: 'ends' type: INTS ints: 2 } attribute { name: 'axes' "
                        "type: INTS ints: 1 }"));
  ASSERT_TRUE(slice) << slice.error().message();
  EXPECT_THAT(IntsOf(*slice, 0, 3), ElementsAre(1));
}

TEST(OnnxLoader, KeepsTheOldSoftmaxApartFromTheNew) {
  const auto old_form = ParseOnnx(OneNode(11, "op_type: 'Softmax'"));
  const auto new_form = ParseOnnx(OneNode(13, "op_type: 'Softmax'"));
  ASSERT_TRUE(old_form && new_form);
  EXPECT_EQ(old_form->nodes()[0].attributes.Int("flatten", 0), 1);
  EXPECT_EQ(old_form->nodes()[0].attributes.Int("axis", -1), 1);
  EXPECT_FALSE(new_form->nodes()[0].attributes.Has("flatten"));
}

TEST(OnnxLoader, ReadsConstantsOfEveryKind) {
  for (const char* value :
       {"name: 'value' type: TENSOR t { data_type: 1 float_data: 2 }",
        "name: 'value_float' type: FLOAT f: 2", "name: 'value_floats' type: FLOATS floats: 2"}) {
    const auto graph = ParseOnnx(OneNode(
        13, "op_type: 'Add' input: 'c'", "N 3 4 4",
        std::string("node { op_type: 'Constant' output: 'c' attribute { ") + value + " } } "));
    ASSERT_TRUE(graph) << graph.error().message();
    ASSERT_EQ(graph->nodes().size(), 1u);
    const Value& constant = graph->value(graph->nodes()[0].inputs[1]);
    EXPECT_THAT(constant.constant->data<float>(), ElementsAre(2)) << value;
  }
}

TEST(OnnxLoader, FreesReshapesThatSpellTheBatchOut) {
  const std::string shape =
      "initializer { name: 's' data_type: 7 dims: 2 int64_data: 1 int64_data: 48 } ";
  const std::string bytes = OneNode(13, "op_type: 'Reshape' input: 's'", "1 3 4 4", shape);
  const auto freed = ParseOnnx(bytes);
  ASSERT_TRUE(freed) << freed.error().message();
  EXPECT_THAT(IntsOf(*freed, 0, 1), ElementsAre(0, 48));
  const auto kept = ParseOnnx(bytes, {.free_batch = false, .input_shape = {}});
  ASSERT_TRUE(kept);
  EXPECT_THAT(IntsOf(*kept, 0, 1), ElementsAre(1, 48));
}

TEST(OnnxLoader, SortsNodesThatComeInTheWrongOrder) {
  const auto graph =
      ParseOnnx(OnnxModel(13, OnnxInput("x", "N 4") + OnnxOutput("y") +
                                  "node { op_type: 'Relu' input: 'm' output: 'y' } "
                                  "node { op_type: 'Tanh' input: 'x' output: 'm' } "));
  ASSERT_TRUE(graph) << graph.error().message();
  EXPECT_EQ(graph->nodes()[0].op, "Tanh");
}

TEST(OnnxLoader, LeavesOutOutputsThatNobodyReads) {
  const auto graph = ParseOnnx(OneNode(9, "op_type: 'Dropout' output: 'mask'"));
  ASSERT_TRUE(graph) << graph.error().message();
  EXPECT_EQ(graph->nodes()[0].outputs.size(), 1u);
}

TEST(OnnxLoader, NamesNodeOperatorAndOpsetOfWhatItDoesNotSupport) {
  const std::string bytes = OneNode(13, "op_type: 'NonMaxSuppression' name: 'boxes'");
  ExpectError(bytes, Code::kUnimplemented, "node 'boxes' (NonMaxSuppression)");
  ExpectError(bytes, Code::kUnimplemented, "opset 13");
  ExpectError(OneNode(13, "op_type: 'Relu' domain: 'com.example'"), Code::kUnimplemented,
              "domain 'com.example'");
  ExpectError(OneNode(13, "op_type: 'FusedConv'"), Code::kUnimplemented, "not supported");
  ExpectError(OneNode(13,
                      "op_type: 'BatchNormalization' attribute { name: 'training_mode' "
                      "type: INT i: 1 }"),
              Code::kUnimplemented, "training_mode");
}

TEST(OnnxLoader, RefusesOpsetsThatItDoesNotKnow) {
  ExpectError(OneNode(5, "op_type: 'Relu'"), Code::kUnimplemented, "opset 5");
  ExpectError(OneNode(99, "op_type: 'Relu'"), Code::kUnimplemented, "opset 99");
}

TEST(OnnxLoader, RefusesCyclesDanglingNamesAndDoubles) {
  const std::string ends = OnnxInput("x", "N 4") + OnnxOutput("y");
  ExpectError(
      OnnxModel(13, ends + "node { name: 'a' op_type: 'Add' input: 'x' input: 'y' output: 'm' } "
                           "node { name: 'b' op_type: 'Relu' input: 'm' output: 'y' }"),
      Code::kInvalidArgument, "cycle");
  ExpectError(OnnxModel(13, ends + "node { name: 'a' op_type: 'Relu' input: 'z' output: 'y' }"),
              Code::kInvalidArgument, "node 'a' (Relu): it reads 'z'");
  ExpectError(OnnxModel(13, ends + "node { name: 'a' op_type: 'Relu' input: 'x' output: 'y' } "
                                   "node { name: 'b' op_type: 'Relu' input: 'x' output: 'y' }"),
              Code::kInvalidArgument, "node 'b' (Relu): 'y' is defined twice");
  ExpectError(OnnxModel(13, ends), Code::kInvalidArgument, "output 'y' is never defined");
}

TEST(OnnxLoader, RefusesSubgraphsAndSparseWeights) {
  ExpectError(OneNode(13, "op_type: 'Identity' attribute { name: 'then_branch' type: GRAPH g {} }"),
              Code::kUnimplemented, "then_branch");
  ExpectError(OneNode(13, "op_type: 'Relu'", "N 3 4 4", "sparse_initializer {} "),
              Code::kUnimplemented, "sparse");
}

}  // namespace
}  // namespace trawl::engine
