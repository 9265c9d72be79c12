// Goal: slices and paddings of blocked values are what the reference kernels define, exactly: they
// only move numbers.
// Method: behind a convolution that makes blocked values, on odd sizes and numbers of channels, on
// every instruction set, by one thread and by three.
#include <limits>

#include "tests/unit/engine/blocked_runs.h"

namespace trawl::engine {
namespace {

using testing::Attrs;
using testing::ExpectAsTheReference;
using testing::Floats;
using testing::GraphBuilder;
using testing::Ints;
using testing::KernelOf;
using testing::RandomTensor;

/// [N, channels, 5, 7], 1.5 times the input.
ValueId Blocked(GraphBuilder& b, int64_t channels) {
  const auto count = static_cast<size_t>(channels);
  const ValueId weights = b.Constant(Floats({channels, 1, 1, 1}, std::vector<float>(count, 1.5f)));
  return b.Node("Conv", {b.Input({kBatch, channels, 5, 7}), weights}, Attrs({{"group", channels}}));
}

/// The kernel that compiled the node `op` of the graph with output y, which is run and compared.
void ExpectKernel(GraphBuilder& b, ValueId y, int64_t channels, const std::string& op,
                  const std::string& kernel) {
  ExpectAsTheReference(
      b.Build(y), RandomTensor({3, channels, 5, 7}, 11), 0,
      [&](const CompiledGraph& compiled) { EXPECT_EQ(KernelOf(compiled, op), kernel); });
}

struct Range {
  std::vector<int64_t> starts, ends, axes, steps;
};

ValueId Slice(GraphBuilder& b, ValueId x, const Range& range) {
  return b.Node("Slice", {x, b.Constant(Ints(range.starts)), b.Constant(Ints(range.ends)),
                          b.Constant(Ints(range.axes)), b.Constant(Ints(range.steps))});
}

class BlockedMovement : public ::testing::TestWithParam<int64_t> {};  // channels

TEST_P(BlockedMovement, SlicesAgreeWithTheReference) {
  const int64_t channels = GetParam();
  const std::vector<Range> ranges = {
      {{0, 0}, {5, 7}, {2, 3}, {2, 2}},                     // every second pixel
      {{1, 2}, {4, 6}, {2, 3}, {1, 1}},                     // a crop
      {{-1, 6}, {-100, 0}, {2, 3}, {-1, -3}},               // backwards
      {{channels / 2, 1}, {channels, 5}, {1, 2}, {1, 1}}};  // some channels
  for (const Range& range : ranges) {
    GraphBuilder b;
    const ValueId y = Slice(b, Blocked(b, channels), range);
    ExpectKernel(b, y, channels, "Slice", "f32_slice_blocked");
  }
}

TEST_P(BlockedMovement, PaddingsAgreeWithTheReference) {
  const int64_t channels = GetParam();
  const std::vector<std::vector<int64_t>> paddings = {{0, 8, 0, 0, 0, 8, 0, 0},
                                                      {0, 16, 0, 0, 0, 16, 0, 0},
                                                      {0, 37, 2, 0, 0, 1, 0, 3},
                                                      {0, 0, 1, 1, 0, 0, 1, 1}};
  for (const std::vector<int64_t>& padding : paddings) {
    for (const bool with_value : {false, true}) {
      GraphBuilder b;
      std::vector<ValueId> inputs = {Blocked(b, channels), b.Constant(Ints(padding))};
      if (with_value) inputs.push_back(b.Constant(Floats({}, {-0.25f})));
      ExpectKernel(b, b.Node("Pad", inputs), channels, "Pad", "f32_pad_blocked");
    }
  }
}

TEST_P(BlockedMovement, WhatIsPaddedIsFiniteBehindTheLastChannel) {
  // The padding value is infinite: times a zero weight of the next convolution it would be NaN.
  const int64_t channels = GetParam();
  GraphBuilder b;
  const ValueId value = b.Constant(Floats({}, {std::numeric_limits<float>::infinity()}));
  const ValueId pads = b.Constant(Ints({0, 0, 0, 0, 0, 1, 0, 0}));
  const ValueId padded = b.Node("Pad", {Blocked(b, channels), pads, value});
  const ValueId y = b.Node(
      "Conv", {Slice(b, padded, {{0}, {channels}, {1}, {1}}), b.Weight({5, channels, 1, 1})});
  ExpectAsTheReference(b.Build(y), RandomTensor({3, channels, 5, 7}, 11), 1e-4f);
}

INSTANTIATE_TEST_SUITE_P(Channels, BlockedMovement, ::testing::Values(1, 3, 16, 17, 31, 48));

TEST(BlockedMovement, OtherModesOfPaddingStayWithTheReference) {
  for (const std::string mode : {"reflect", "edge"}) {
    GraphBuilder b;
    const ValueId pads = b.Constant(Ints({0, 0, 1, 1, 0, 0, 1, 1}));
    const ValueId y = b.Node("Pad", {Blocked(b, 17), pads}, Attrs({{"mode", mode}}));
    ExpectKernel(b, y, 17, "Pad", "reference");
  }
}

}  // namespace
}  // namespace trawl::engine
