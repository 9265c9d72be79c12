// Goal: Transpose, Slice and Expand of plain values move each element to its place. Method: the
// kernel that merges dimensions and copies runs or tiles against the one that takes element by
// element, for every permutation and for ranges of every kind, on sizes around those of the tiles.
#include <algorithm>
#include <numeric>

#include "gtest/gtest.h"
#include "tests/unit/engine/blocked_runs.h"
#include "tests/unit/engine/graphs.h"

namespace trawl::engine {
namespace {

using testing::Attrs;
using testing::GraphBuilder;
using testing::Ints;
using testing::IntsAttribute;
using testing::RandomTensor;

/// Exactly, and by the kernel of this name.
void ExpectMoved(const Graph& graph, const Tensor& x, const std::string& op,
                 const std::string& kernel) {
  testing::ExpectAsTheReference(graph, x, 0, [&](const CompiledGraph& compiled) {
    EXPECT_EQ(testing::KernelOf(compiled, op), kernel);
  });
}

TEST(Movement, TransposesByEveryPermutation) {
  for (const Shape& shape : {Shape{2, 3, 17, 33}, {1, 16, 1, 31}, {3, 1, 5, 16}}) {
    IntsAttribute permutation(shape.size());
    std::iota(permutation.begin(), permutation.end(), 0);
    while (std::next_permutation(permutation.begin(), permutation.end())) {
      SCOPED_TRACE(::testing::PrintToString(permutation));
      GraphBuilder b;
      const ValueId y = b.Node("Transpose", {b.Input(shape)}, Attrs({{"perm", permutation}}));
      ExpectMoved(b.Build(b.Node("Abs", {y})), RandomTensor(shape, 3), "Transpose",
                  "transpose_tiles");
    }
  }
}

TEST(Movement, ShufflesChannels) {
  GraphBuilder b;
  ValueId y = b.Node("Reshape", {b.Input({kBatch, 6, 5, 7}), b.Constant(Ints({0, 2, 3, 5, 7}))});
  y = b.Node("Transpose", {y}, Attrs({{"perm", IntsAttribute{0, 2, 1, 3, 4}}}));
  y = b.Node("Reshape", {y, b.Constant(Ints({0, 6, 5, 7}))});
  ExpectMoved(b.Build(b.Node("Abs", {y})), RandomTensor({3, 6, 5, 7}, 3), "Transpose",
              "transpose_tiles");
}

TEST(Movement, SlicesForwardsBackwardsAndInSteps) {
  struct Range {
    std::vector<int64_t> starts, ends, axes, steps;
  };
  const std::vector<Range> ranges = {{{1}, {3}, {1}, {1}},
                                     {{0, 2}, {9, 7}, {2, 3}, {2, 1}},
                                     {{-1}, {-100}, {3}, {-1}},
                                     {{-1, -1}, {-100, -100}, {2, 1}, {-2, -1}},
                                     {{1, 1, 1}, {2, 2, 2}, {1, 2, 3}, {1, 1, 1}}};
  for (const Range& range : ranges) {
    GraphBuilder b;
    const ValueId y = b.Node("Slice", {b.Input({kBatch, 4, 9, 11}), b.Constant(Ints(range.starts)),
                                       b.Constant(Ints(range.ends)), b.Constant(Ints(range.axes)),
                                       b.Constant(Ints(range.steps))});
    SCOPED_TRACE(::testing::PrintToString(range.starts));
    ExpectMoved(b.Build(b.Node("Abs", {y})), RandomTensor({2, 4, 9, 11}, 3), "Slice", "slice_runs");
  }
}

TEST(Movement, ExpandsAnyDimension) {
  for (const Shape& shape : {Shape{2, 1, 5, 1}, {1, 3, 1, 7}, {2, 3, 5, 1}, {1, 1, 1, 1}}) {
    SCOPED_TRACE(::testing::PrintToString(shape));
    GraphBuilder b;
    const ValueId y = b.Node("Expand", {b.Input(shape), b.Constant(Ints({2, 3, 5, 7}))});
    ExpectMoved(b.Build(b.Node("Abs", {y})), RandomTensor(shape, 3), "Expand", "expand_runs");
  }
}

TEST(Movement, MovesTypesOfOtherSizes) {
  for (const std::string type : {"i64", "u8", "bool"}) {
    SCOPED_TRACE(type);
    GraphBuilder b;
    const ValueId x = b.Input({3, 18, 5});
    const ValueId scaled = b.Node("Mul", {x, b.Constant(testing::Floats({}, {100}))});
    const ValueId small = b.Node("Cast", {b.Node("Abs", {scaled})}, Attrs({{"to", type}}));
    const ValueId y = b.Node("Transpose", {small}, Attrs({{"perm", IntsAttribute{2, 1, 0}}}));
    ExpectMoved(b.Build(b.Node("Cast", {y}, Attrs({{"to", std::string("f32")}}))),
                RandomTensor({3, 18, 5}, 3), "Transpose", "transpose_tiles");
  }
}

}  // namespace
}  // namespace trawl::engine
