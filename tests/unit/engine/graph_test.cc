// Goal: a graph is checked and sorted before anything trusts it. Method: right and broken graphs by
// hand.
#include "engine/graph.h"

#include "gtest/gtest.h"
#include "tests/unit/engine/graphs.h"

namespace trawl::engine {
namespace {

using testing::GraphBuilder;

TEST(Graph, SortsNodesSoThatProducersComeFirst) {
  GraphBuilder b;
  const ValueId x = b.Input({1});
  const ValueId y = b.Node("Relu", {x});
  Graph graph = b.Build(b.Node("Abs", {y}));
  std::swap(graph.nodes()[0], graph.nodes()[1]);
  EXPECT_EQ(graph.Verify().code(), Code::kInvalidArgument);
  ASSERT_TRUE(graph.SortNodes().ok());
  EXPECT_TRUE(graph.Verify().ok());
  EXPECT_EQ(graph.nodes()[0].op, "Relu");
}

TEST(Graph, NamesANodeOnACycle) {
  GraphBuilder b;
  const ValueId x = b.Input({1});
  const ValueId y = b.Node("Add", {x, x});
  const ValueId z = b.Node("Add", {y, x});
  Graph graph = b.Build(z);
  graph.nodes()[0].inputs[1] = z;
  const Status status = graph.SortNodes();
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_NE(status.message().find("Add0"), std::string::npos) << status.message();
}

TEST(Graph, RefusesValuesThatAreDefinedTwiceOrNever) {
  GraphBuilder b;
  const ValueId x = b.Input({1});
  Graph graph = b.Build(b.Node("Relu", {x}));
  Graph twice = graph;
  twice.nodes().push_back(twice.nodes()[0]);
  EXPECT_EQ(twice.Verify().code(), Code::kInvalidArgument);
  Graph never = graph;
  never.nodes()[0].inputs[0] = never.AddValue({});
  EXPECT_EQ(never.Verify().code(), Code::kInvalidArgument);
  Graph out_of_range = graph;
  out_of_range.nodes()[0].inputs[0] = 99;
  EXPECT_EQ(out_of_range.Verify().code(), Code::kInvalidArgument);
}

TEST(Tensor, CountsOfHostileShapesDoNotOverflow) {
  EXPECT_EQ(CheckedElementCount(std::vector<int64_t>{1L << 40, 1L << 40}), std::nullopt);
  EXPECT_EQ(CheckedElementCount(std::vector<int64_t>{3, -1}), std::nullopt);
  EXPECT_EQ(CheckedElementCount(std::vector<int64_t>{3, 0, 7}), 0);
  EXPECT_EQ(ToString(Shape{kBatch, -4, 3}), "[N, 4N, 3]");
}

}  // namespace
}  // namespace trawl::engine
