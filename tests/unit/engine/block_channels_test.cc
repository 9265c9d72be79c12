// Goal: values are blocked from the first convolution to the last node that has a blocked kernel,
// and reordered once where layouts meet. Method: small graphs, the list of their operators after
// the pass, and the reference's answer.
#include "tests/unit/engine/blocked_runs.h"

namespace trawl::engine {
namespace {

using testing::Attrs;
using testing::ExpectAsTheReference;
using testing::GraphBuilder;
using testing::IntsAttribute;
using testing::RandomTensor;

using Strings = std::vector<std::string>;

ValueId Depthwise(GraphBuilder& b, ValueId x, int64_t channels) {
  return b.Node("Conv", {x, b.Weight({channels, 1, 3, 3})},
                Attrs({{"group", channels}, {"pads", IntsAttribute{1, 1, 1, 1}}}));
}

Attributes Kernel2() { return Attrs({{"kernel_shape", IntsAttribute{2, 2}}}); }

void ExpectOps(const Graph& graph, const Tensor& x, const Strings& ops) {
  ExpectAsTheReference(graph, x, 1e-5f, [&](const CompiledGraph& compiled) {
    Strings got;
    for (const Node& node : compiled.graph().nodes()) got.push_back(node.op);
    EXPECT_EQ(got, ops);
  });
}

TEST(BlockChannels, ReordersOnlyAtTheBordersOfTheBlockedPart) {
  GraphBuilder b;
  const ValueId y = Depthwise(b, b.Input({kBatch, 17, 9, 9}), 17);
  const ValueId z = Depthwise(b, b.Node("MaxPool", {y}, Kernel2()), 17);
  ExpectOps(b.Build(b.Node("Flatten", {z})), RandomTensor({2, 17, 9, 9}, 1),
            {"Reorder", "Conv", "MaxPool", "Conv", "Reorder", "Flatten"});
}

TEST(BlockChannels, MakesOneCopyForAllReadersOfTheOtherLayout) {
  GraphBuilder b;
  const ValueId x = b.Input({kBatch, 3, 8, 8});
  const ValueId y = Depthwise(b, x, 3);
  const ValueId flat = b.Node("Flatten", {y});
  const ValueId other = b.Node("Flatten", {b.Node("Abs", {y})});
  const ValueId third = b.Node("Flatten", {Depthwise(b, x, 3)});
  const ValueId sum = b.Node("Add", {b.Node("Add", {flat, other}), third});
  ExpectOps(b.Build(sum), RandomTensor({1, 3, 8, 8}, 1),
            {"Reorder", "Conv", "Reorder", "Flatten", "Abs", "Flatten", "Conv", "Reorder",
             "Flatten", "Add", "Add"});
}

TEST(BlockChannels, LeavesGraphsWithoutConvolutionsAlone) {
  GraphBuilder b;
  const ValueId x = b.Input({kBatch, 3, 8, 8});
  ExpectOps(b.Build(b.Node("MaxPool", {x}, Kernel2())), RandomTensor({2, 3, 8, 8}, 1), {"MaxPool"});
}

}  // namespace
}  // namespace trawl::engine
