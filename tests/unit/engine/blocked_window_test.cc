// Goal: depthwise convolution and pooling of blocked values compute what the reference kernels
// define. Method: both on odd sizes and all kinds of windows, on every instruction set, by one
// thread and by three. Tolerance 1e-5 of 1 + |value|: the sums are of at most 49 products of
// numbers below 1, rounded once each, 49 · 2^-24 < 3e-6; sigmoid and its kind add 4 ulp.
#include <cmath>
#include <limits>

#include "tests/unit/engine/blocked_runs.h"

namespace trawl::engine {
namespace {

using testing::Attrs;
using testing::ExpectAsTheReference;
using testing::GraphBuilder;
using testing::IntsAttribute;
using testing::KernelOf;
using testing::RandomTensor;
using testing::RunGraph;

constexpr float kTolerance = 1e-5f;

struct WindowCase {
  int64_t channels, height, width, kernel, stride, dilation, pad;
};

void PrintTo(const WindowCase& c, std::ostream* out) {
  *out << c.channels << " of " << c.height << "x" << c.width << " k" << c.kernel << " s" << c.stride
       << " d" << c.dilation << " p" << c.pad;
}

Attributes WindowAttributes(const WindowCase& c) {
  return Attrs({{"strides", IntsAttribute{c.stride, c.stride}},
                {"dilations", IntsAttribute{c.dilation, c.dilation}},
                {"pads", IntsAttribute{c.pad, c.pad, c.pad, c.pad}}});
}

ValueId Depthwise(GraphBuilder& b, ValueId x, const WindowCase& c) {
  Attributes attributes = WindowAttributes(c);
  attributes.Set("group", c.channels);
  return b.Node("Conv", {x, b.Weight({c.channels, 1, c.kernel, c.kernel}), b.Weight({c.channels})},
                attributes);
}

class BlockedWindows : public ::testing::TestWithParam<WindowCase> {};

TEST_P(BlockedWindows, DepthwiseConvolutionsAgreeWithTheReference) {
  const WindowCase& c = GetParam();
  GraphBuilder b;
  const ValueId x = b.Input({kBatch, c.channels, c.height, c.width});
  ExpectAsTheReference(
      b.Build(Depthwise(b, x, c)), RandomTensor({2, c.channels, c.height, c.width}, 1), kTolerance,
      [](const CompiledGraph& g) { EXPECT_EQ(KernelOf(g, "Conv"), "f32_conv_depthwise_blocked"); });
}

TEST_P(BlockedWindows, ResidualsAndActivationsAreAppliedInOneGo) {
  const WindowCase& c = GetParam();
  for (const char* op :
       {"Relu", "LeakyRelu", "Sigmoid", "Tanh", "HardSigmoid", "HardSwish", "Swish", "Clip"}) {
    SCOPED_TRACE(op);
    GraphBuilder b;
    const ValueId x = b.Input({kBatch, c.channels, c.height, c.width});
    const ValueId sum = b.Node("Add", {Depthwise(b, x, c), Depthwise(b, x, c)});
    std::vector<ValueId> operands{sum};
    if (std::string(op) == "Clip") {
      operands.push_back(b.Constant(testing::Floats({}, {-0.25f})));
      operands.push_back(b.Constant(testing::Floats({}, {0.5f})));
    }
    ExpectAsTheReference(b.Build(b.Node(op, operands)),
                         RandomTensor({2, c.channels, c.height, c.width}, 1), kTolerance,
                         [](const CompiledGraph& g) {
                           EXPECT_EQ(KernelOf(g, "FusedConv"), "f32_conv_depthwise_blocked");
                         });
  }
}

TEST_P(BlockedWindows, PoolsAgreeWithTheReference) {
  const WindowCase& c = GetParam();
  if (c.pad >= c.kernel) GTEST_SKIP() << "a pool may not be padded so far";
  for (const int64_t ceil_mode : {0, 1}) {
    for (const int64_t include_pad : {0, 1}) {
      for (const std::string op : {"MaxPool", "AveragePool"}) {
        SCOPED_TRACE(op);
        GraphBuilder b;
        const ValueId x = b.Input({kBatch, c.channels, c.height, c.width});
        // A convolution, so that the pool's input is blocked.
        const ValueId y = Depthwise(b, x, {c.channels, c.height, c.width, 1, 1, 1, 0});
        Attributes attributes = WindowAttributes(c);
        attributes.Set("kernel_shape", IntsAttribute{c.kernel, c.kernel});
        attributes.Set("ceil_mode", ceil_mode);
        if (op == "AveragePool") attributes.Set("count_include_pad", include_pad);
        ExpectAsTheReference(b.Build(b.Node(op, {y}, attributes)),
                             RandomTensor({2, c.channels, c.height, c.width}, 1), kTolerance,
                             [&](const CompiledGraph& g) {
                               EXPECT_EQ(KernelOf(g, op), op == "MaxPool" ? "f32_maxpool_blocked"
                                                                          : "f32_avgpool_blocked");
                             });
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    OddShapes, BlockedWindows,
    ::testing::Values(WindowCase{17, 31, 17, 3, 1, 1, 1}, WindowCase{16, 17, 31, 3, 2, 1, 1},
                      WindowCase{3, 17, 17, 5, 1, 1, 2}, WindowCase{33, 31, 31, 5, 2, 1, 2},
                      WindowCase{31, 7, 7, 7, 1, 1, 3}, WindowCase{2, 3, 3, 3, 1, 1, 1},
                      WindowCase{17, 17, 31, 3, 1, 2, 2}, WindowCase{17, 31, 17, 3, 3, 3, 0},
                      WindowCase{32, 1, 1, 3, 1, 1, 1}, WindowCase{5, 3, 17, 2, 2, 1, 0},
                      WindowCase{18, 3, 3, 3, 1, 1, 5}, WindowCase{40, 56, 56, 3, 1, 1, 1},
                      WindowCase{17, 1, 29, 3, 1, 1, 2}, WindowCase{16, 14, 1, 5, 1, 1, 4},
                      WindowCase{20, 9, 2, 5, 2, 1, 3}, WindowCase{31, 30, 30, 3, 2, 1, 0},
                      WindowCase{17, 16, 43, 5, 2, 1, 2}, WindowCase{16, 4, 4, 3, 1, 1, 3}));

TEST(DepthwiseRows, ReadNothingBesideThePlane) {
  // Unequal padding, rows and columns of their own kinds. A neighbour's infinity times a weight of
  // zero would be no zero, so what lies around the plane must not be read at all.
  for (const int64_t stride : {1, 2}) {
    SCOPED_TRACE(stride);
    GraphBuilder b;
    const int64_t channels = 33;
    const ValueId x = b.Input({kBatch, channels, 6, 15});
    const ValueId y = b.Node("Conv", {x, b.Weight({channels, 1, 2, 5})},
                             Attrs({{"group", channels},
                                    {"strides", IntsAttribute{3, stride}},
                                    {"pads", IntsAttribute{1, 0, 4, 3}}}));
    Tensor input = RandomTensor({3, channels, 6, 15}, 1);
    const auto numbers = input.mutable_data<float>();
    const size_t image = numbers.size() / 3;
    std::fill_n(numbers.begin(), image, std::numeric_limits<float>::infinity());
    std::fill_n(numbers.begin() + static_cast<ptrdiff_t>(2 * image), image,
                std::numeric_limits<float>::infinity());
    const Graph graph = b.Build(y);
    const Tensor first = RunGraph(graph, {{"x", input}}, {});
    const Tensor alone = RunGraph(
        graph, {{"x", Tensor::Of<float>({1, channels, 6, 15}, numbers.subspan(image, image))}}, {});
    const auto all = first.data<float>();
    const size_t size = all.size() / 3;
    const auto middle = all.subspan(size, size);
    EXPECT_TRUE(std::ranges::equal(middle, alone.data<float>()));
    EXPECT_TRUE(std::ranges::none_of(middle, [](float v) { return !std::isfinite(v); }));
    ExpectAsTheReference(graph, RandomTensor({3, channels, 6, 15}, 2), kTolerance);
  }
}

TEST(GlobalAveragePool, OfBlockedValuesAgreesWithTheReference) {
  for (const int64_t size : {1, 3, 7, 31}) {
    GraphBuilder b;
    const ValueId x = b.Input({kBatch, 17, size, size});
    const ValueId y = Depthwise(b, x, {17, size, size, 1, 1, 1, 0});
    ExpectAsTheReference(b.Build(b.Node("GlobalAveragePool", {y})),
                         RandomTensor({3, 17, size, size}, 1), kTolerance,
                         [](const CompiledGraph& g) {
                           EXPECT_EQ(KernelOf(g, "GlobalAveragePool"), "f32_gavgpool_blocked");
                         });
  }
}

}  // namespace
}  // namespace trawl::engine
