// Goal: the dense convolutions of blocked values compute what the reference kernels define. Method:
// both on odd sizes, kernels, strides, dilations, pads and groups, with and without residual and
// activation, on every instruction set, by one thread and by three.
#include <gmock/gmock.h>

#include "tests/unit/engine/blocked_runs.h"

namespace trawl::engine {
namespace {

using testing::Attrs;
using testing::ExpectAsTheReference;
using testing::GraphBuilder;
using ::testing::HasSubstr;
using testing::IntsAttribute;
using testing::KernelOf;
using ::testing::Not;
using testing::RandomTensor;

struct ConvCase {
  int64_t channels, outputs, height, width, kernel_height, kernel_width;
  int64_t stride = 1, dilation = 1, pad_begin = 0, pad_end = 0, group = 1, batch = 2;
};

void PrintTo(const ConvCase& c, std::ostream* out) {
  *out << c.batch << "x" << c.channels << "->" << c.outputs << "/" << c.group << " " << c.height
       << "x" << c.width << " k" << c.kernel_height << "x" << c.kernel_width << " s" << c.stride
       << " d" << c.dilation << " p" << c.pad_begin << "+" << c.pad_end;
}

ValueId AddConv(GraphBuilder& b, ValueId x, const ConvCase& c) {
  const Attributes attributes =
      Attrs({{"group", c.group},
             {"strides", IntsAttribute{c.stride, c.stride}},
             {"dilations", IntsAttribute{c.dilation, c.dilation}},
             {"pads", IntsAttribute{c.pad_begin, c.pad_begin, c.pad_end, c.pad_end}}});
  return b.Node("Conv",
                {x, b.Weight({c.outputs, c.channels / c.group, c.kernel_height, c.kernel_width}),
                 b.Weight({c.outputs})},
                attributes);
}

/// Relative to 1 + |value|. A sum of n products of at most 1 is rounded n times by 2^-24 of what it
/// has grown to, some √n; the errors add up to some √n of that, n · 2^-24 in all.
float Tolerance(const ConvCase& c) {
  constexpr float kRounding = 6e-8f;
  return 1e-5f + kRounding * static_cast<float>(2 * c.channels / c.group * c.kernel_height *
                                                c.kernel_width);  // 2: the residual is such a sum
}

/// Compares a convolution alone, then one with a residual and each kind of activation behind it.
void ExpectConvolves(const ConvCase& c, const std::string& kernel, float amplification = 1) {
  const float tolerance = amplification * Tolerance(c);
  const Tensor x = RandomTensor({c.batch, c.channels, c.height, c.width}, 7);
  const Shape shape{kBatch, c.channels, c.height, c.width};
  GraphBuilder plain;
  ExpectAsTheReference(plain.Build(AddConv(plain, plain.Input(shape), c)), x, tolerance,
                       [&](const CompiledGraph& g) { EXPECT_EQ(KernelOf(g, "Conv"), kernel); });
  for (const std::string op : {"Relu", "Clip", "HardSwish"}) {
    SCOPED_TRACE(op);
    GraphBuilder b;
    const ValueId input = b.Input(shape);
    std::vector<ValueId> operands{b.Node("Add", {AddConv(b, input, c), AddConv(b, input, c)})};
    if (op == "Clip") {
      operands.push_back(b.Constant(testing::Floats({}, {-0.25f})));
      operands.push_back(b.Constant(testing::Floats({}, {0.5f})));
    }
    ExpectAsTheReference(b.Build(b.Node(op, operands)), x, tolerance, [&](const CompiledGraph& g) {
      EXPECT_EQ(KernelOf(g, "FusedConv"), kernel);
    });
  }
}

class DirectConv : public ::testing::TestWithParam<ConvCase> {};

TEST_P(DirectConv, AgreesWithTheReference) { ExpectConvolves(GetParam(), "f32_conv_direct"); }

INSTANTIATE_TEST_SUITE_P(
    Pointwise, DirectConv,
    ::testing::Values(ConvCase{17, 31, 17, 31, 1, 1}, ConvCase{16, 16, 2, 5, 1, 1},
                      ConvCase{5, 1, 3, 3, 1, 1}, ConvCase{31, 48, 7, 7, 1, 1},
                      ConvCase{64, 80, 14, 14, 1, 1}, ConvCase{17, 33, 17, 31, 1, 1, 2},
                      ConvCase{16, 17, 3, 17, 1, 1, 3}, ConvCase{33, 5, 5, 5, 1, 1, 1, 1, 1, 1},
                      ConvCase{96, 640, 7, 7, 1, 1, 1, 1, 0, 0, 1, 3},
                      ConvCase{640, 1024, 7, 7, 1, 1, 1, 1, 0, 0, 1, 3}));

INSTANTIATE_TEST_SUITE_P(
    Windows, DirectConv,
    ::testing::Values(
        ConvCase{17, 31, 17, 31, 5, 3, 2, 1, 1, 1}, ConvCase{16, 17, 3, 3, 2, 3, 2},
        ConvCase{5, 33, 31, 17, 5, 5, 1, 1, 2, 2}, ConvCase{17, 3, 17, 17, 1, 7, 1},
        ConvCase{17, 3, 17, 17, 7, 1, 2, 1, 3, 2}, ConvCase{31, 17, 17, 17, 3, 3, 1, 2, 2, 2},
        ConvCase{17, 16, 31, 31, 3, 3, 2, 3, 3, 2}, ConvCase{17, 16, 31, 31, 3, 3, 3, 2, 1, 0},
        ConvCase{17, 16, 31, 31, 2, 4, 3, 4, 5, 3}, ConvCase{16, 16, 1, 1, 5, 5, 1, 1, 2, 2},
        ConvCase{5, 5, 17, 3, 3, 3, 4, 1, 1}, ConvCase{64, 640, 7, 7, 5, 5, 2, 1, 2, 2, 1, 5}));

INSTANTIATE_TEST_SUITE_P(Groups, DirectConv,
                         ::testing::Values(ConvCase{64, 96, 7, 7, 3, 3, 1, 1, 1, 1, 2},
                                           ConvCase{96, 96, 5, 5, 3, 3, 1, 1, 1, 1, 4},
                                           ConvCase{6, 9, 17, 17, 3, 3, 1, 1, 1, 1, 3},
                                           ConvCase{34, 68, 7, 7, 1, 1, 1, 1, 0, 0, 17},
                                           ConvCase{60, 40, 7, 7, 1, 1, 1, 1, 0, 0, 5}));

class GroupedConv : public ::testing::TestWithParam<ConvCase> {};

TEST_P(GroupedConv, AgreesWithTheReference) { ExpectConvolves(GetParam(), "f32_conv_grouped"); }

// Groups of 2, 4 and 8 channels.
INSTANTIATE_TEST_SUITE_P(Widths, GroupedConv,
                         ::testing::Values(ConvCase{6, 6, 5, 5, 3, 3, 1, 1, 1, 1, 3},
                                           ConvCase{34, 34, 17, 17, 1, 1, 1, 1, 0, 0, 17},
                                           ConvCase{32, 32, 5, 31, 3, 3, 3, 2, 1, 0, 16},
                                           ConvCase{64, 64, 7, 7, 3, 3, 2, 1, 1, 1, 16},
                                           ConvCase{32, 32, 17, 31, 3, 3, 1, 1, 1, 1, 8},
                                           ConvCase{20, 20, 5, 3, 5, 3, 1, 2, 3, 2, 5},
                                           ConvCase{12, 12, 17, 3, 2, 4, 2, 1, 1, 0, 3, 5},
                                           ConvCase{128, 128, 14, 14, 3, 3, 1, 1, 1, 1, 32, 3},
                                           ConvCase{24, 24, 31, 17, 3, 3, 2, 1, 1, 1, 3},
                                           ConvCase{40, 40, 1, 1, 3, 3, 1, 1, 1, 1, 5},
                                           ConvCase{48, 48, 31, 31, 3, 3, 3, 2, 1, 0, 6},
                                           ConvCase{16, 16, 7, 1, 7, 1, 1, 1, 3, 3, 2, 1}));

class StackedConv : public ::testing::TestWithParam<ConvCase> {};

TEST_P(StackedConv, AgreesWithTheReference) {
  const ConvCase& c = GetParam();
  const Tensor x = RandomTensor({c.batch, c.channels, c.height, c.width}, 7);
  for (const std::string op : {"", "Relu", "HardSwish"}) {
    SCOPED_TRACE(op);
    GraphBuilder b;
    const ValueId y = AddConv(b, b.Input({kBatch, c.channels, c.height, c.width}), c);
    ExpectAsTheReference(
        b.Build(op.empty() ? y : b.Node(op, {y})), x, Tolerance(c), [&](const CompiledGraph& g) {
          EXPECT_EQ(KernelOf(g, op.empty() ? "Conv" : "FusedConv"), "f32_conv_stacked");
        });
  }
}

INSTANTIATE_TEST_SUITE_P(FewPixels, StackedConv,
                         ::testing::Values(ConvCase{16, 16, 1, 1, 1, 1},
                                           ConvCase{17, 1001, 1, 1, 1, 1, 1, 1, 0, 0, 1, 5},
                                           ConvCase{33, 31, 1, 7, 1, 1, 1, 1, 0, 0, 1, 3},
                                           ConvCase{34, 68, 2, 2, 1, 1, 1, 1, 0, 0, 17, 17},
                                           // More images than a second-level cache takes.
                                           ConvCase{2048, 5, 2, 3, 1, 1, 1, 1, 0, 0, 1, 45}));

class WinogradConv : public ::testing::TestWithParam<ConvCase> {};

TEST_P(WinogradConv, AgreesWithTheReference) {
  // Products are of sums of inputs, up to 100 times as large, and partly cancel out.
  ExpectConvolves(GetParam(), "f32_conv_winograd_3x3", 10);
}

INSTANTIATE_TEST_SUITE_P(OddShapes, WinogradConv,
                         ::testing::Values(ConvCase{17, 31, 17, 31, 3, 3, 1, 1, 1, 1},
                                           ConvCase{16, 16, 3, 3, 3, 3, 1, 1, 1, 1},
                                           ConvCase{64, 16, 3, 17, 3, 3, 1, 1, 1, 1},
                                           ConvCase{31, 17, 7, 7, 3, 3},
                                           ConvCase{17, 48, 14, 14, 3, 3, 1, 1, 1, 1, 1, 5},
                                           ConvCase{48, 80, 31, 31, 3, 3, 1, 1, 0, 1},
                                           ConvCase{64, 64, 7, 7, 3, 3, 1, 1, 1, 1, 1, 3},
                                           ConvCase{128, 33, 10, 13, 3, 3, 1, 1, 2, 2},
                                           ConvCase{160, 40, 17, 65, 3, 3, 1, 1, 1, 1},
                                           ConvCase{192, 200, 9, 9, 3, 3, 1, 1, 1, 1, 1, 3}));

// Of few weights, or of many pixels: others are left to direct convolutions where a second-level
// cache is small.
INSTANTIATE_TEST_SUITE_P(Stride2, WinogradConv,
                         ::testing::Values(ConvCase{49, 65, 17, 31, 3, 3, 2, 1, 1, 1},
                                           ConvCase{16, 17, 7, 7, 3, 3, 2, 1, 1, 1},
                                           ConvCase{15, 48, 14, 14, 3, 3, 2, 1, 1, 1, 1, 5},
                                           ConvCase{48, 80, 28, 31, 3, 3, 2, 1, 0, 1},
                                           ConvCase{24, 32, 15, 15, 3, 3, 2},
                                           ConvCase{16, 33, 10, 13, 3, 3, 2, 1, 2, 2},
                                           ConvCase{128, 64, 33, 65, 3, 3, 2, 1, 1, 1},
                                           ConvCase{96, 320, 13, 13, 3, 3, 2, 1, 1, 1, 1, 3},
                                           ConvCase{96, 320, 13, 13, 3, 3, 2, 1, 1, 1, 1, 9}));

/// What is said about the kernel of a 3 × 3 convolution of `channels` on 7 × 7 pixels.
std::string ReasonOf(int64_t channels) {
  GraphBuilder b;
  const ConvCase c{channels, channels, 7, 7, 3, 3, 1, 1, 1, 1};
  const auto compiled =
      CompiledGraph::Compile(b.Build(AddConv(b, b.Input({kBatch, channels, 7, 7}), c)));
  EXPECT_TRUE(compiled.has_value());
  for (const KernelChoice& choice : (*compiled)->kernels()) {
    if (choice.kernel.starts_with("f32_conv_winograd_3x3")) return choice.reason;
  }
  return "no such kernel";
}

// Weights beyond every second-level cache, so that one image goes by tiles of 2 × 2 and three by
// those of 4 and 3.
INSTANTIATE_TEST_SUITE_P(FewImages, WinogradConv,
                         ::testing::Values(ConvCase{257, 513, 7, 7, 3, 3, 1, 1, 1, 1, 1, 1},
                                           ConvCase{257, 513, 7, 7, 3, 3, 1, 1, 1, 1, 1, 3},
                                           ConvCase{320, 500, 6, 9, 3, 3, 1, 1, 0, 1, 1, 1}));

TEST(WinogradConv, TellsWhichBatchesItServesOtherwise) {
  // 36 weights a pair of channels, 4 tiles: too many to read for one image beyond the cache only.
  EXPECT_THAT(ReasonOf(512), HasSubstr("tiles of 2 × 2 for batches below"));
  EXPECT_THAT(ReasonOf(32), Not(HasSubstr("batches")));
}

class PlanarConv : public ::testing::TestWithParam<ConvCase> {};

TEST_P(PlanarConv, AgreesWithTheReference) { ExpectConvolves(GetParam(), "f32_conv_planar"); }

INSTANTIATE_TEST_SUITE_P(
    OddShapes, PlanarConv,
    ::testing::Values(
        ConvCase{3, 64, 31, 31, 7, 7, 2, 1, 3, 3}, ConvCase{3, 17, 17, 31, 3, 3, 1, 1, 1, 1},
        ConvCase{1, 8, 28, 28, 5, 5}, ConvCase{4, 33, 31, 17, 3, 3, 2, 1, 0, 1},
        ConvCase{3, 96, 67, 67, 11, 11, 4, 1, 2, 2}, ConvCase{2, 48, 17, 17, 3, 3, 1, 2, 2, 2},
        ConvCase{3, 16, 17, 17, 2, 3, 5, 3, 4, 2}, ConvCase{3, 31, 1, 1, 1, 1},
        ConvCase{3, 5, 3, 17, 1, 1, 3}, ConvCase{1, 3, 3, 3, 3, 3, 1, 1, 5, 5},
        ConvCase{3, 16, 200, 131, 3, 3, 1, 1, 1, 1}, ConvCase{3, 16, 9, 201, 3, 3, 2, 1, 1, 0}));

// Eight channels and less share registers with a neighbouring pixel, where registers are wide.
INSTANTIATE_TEST_SUITE_P(Narrow, PlanarConv,
                         ::testing::Values(ConvCase{3, 8, 128, 128, 3, 3, 2, 1, 0, 1},
                                           ConvCase{1, 8, 28, 28, 5, 5, 1, 1, 2, 2},
                                           ConvCase{3, 7, 5, 59, 3, 3, 1, 1, 1, 1},
                                           ConvCase{4, 1, 1, 1, 3, 3, 1, 1, 1, 1},
                                           ConvCase{2, 5, 17, 31, 2, 3, 3, 2, 1, 0},
                                           ConvCase{3, 8, 3, 17, 1, 1, 2, 1, 0, 0, 1, 3}));

}  // namespace
}  // namespace trawl::engine
