// Goal: kernels in bf16 compute what the reference kernels compute of numbers that were rounded to
// bf16, and only where they may. Method: both on odd sizes, strides and activations, with and
// without a residual, by one thread and by three. The products are exact in f32, so only sums
// differ.
#include "engine/bf16.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>

#include "engine/simd/microkernels.h"
#include "tests/unit/engine/blocked_runs.h"

namespace trawl::engine {
namespace {

using testing::Attrs;
using testing::GraphBuilder;
using ::testing::HasSubstr;
using testing::IntsAttribute;
using testing::KernelOf;
using testing::RandomTensor;
using testing::RunTeam;

const simd::Bf16Microkernels* Microkernels() {
  return simd::MicrokernelsFor(simd::SupportedIsas().back()).bf16;
}

CompileOptions Options(simd::Isa isa, bool bf16 = true) {
  CompileOptions options;
  options.isa = isa;
  options.bf16 = bf16;
  return options;
}

Tensor Rounded(const Tensor& x) {
  std::vector<float> values;
  for (const float value : x.data<float>()) values.push_back(FromBf16(ToBf16(value)));
  return testing::Floats(x.shape(), values);
}

TEST(Bf16, RoundsToTheNearestAndTiesToEven) {
  EXPECT_EQ(FromBf16(ToBf16(1.0f)), 1.0f);
  EXPECT_EQ(FromBf16(ToBf16(-3.140625f)), -3.140625f);
  EXPECT_EQ(FromBf16(ToBf16(1 + 0x1p-8f)), 1.0f);            // halfway: down to even
  EXPECT_EQ(FromBf16(ToBf16(1 + 0x3p-8f)), 1 + 0x2p-7f);     // halfway: up to even
  EXPECT_EQ(FromBf16(ToBf16(1 + 0x1.01p-8f)), 1 + 0x1p-7f);  // beyond: up
  EXPECT_EQ(FromBf16(ToBf16(0x1.FFFFFEp127f)), INFINITY);    // the greatest has no bf16
  EXPECT_EQ(ToBf16(0x1p-127f), 0);                           // denormal
  EXPECT_EQ(ToBf16(-0x1p-127f), 0x8000);
  EXPECT_TRUE(std::isnan(FromBf16(ToBf16(NAN))));
  EXPECT_TRUE(std::isnan(FromBf16(ToBf16(std::bit_cast<float>(0x7F800001U)))));
}

TEST(Bf16, IsRoundedByTheProcessorAsByDefinition) {
  if (Microkernels() == nullptr) GTEST_SKIP() << "no AVX-512 BF16";
  constexpr size_t kStep = 19, kPixels = 257;
  std::mt19937 random(3);
  std::vector<float> x(kStep * kPixels);
  for (float& value : x) value = std::bit_cast<float>(static_cast<uint32_t>(random()));
  x[0] = NAN, x[1] = -INFINITY, x[2] = 0x1p-127f, x[3] = -0.0f, x[4] = 1 + 0x1p-8f;
  for (const size_t channels : {1, 7, 16}) {
    SCOPED_TRACE(channels);
    std::vector<uint16_t> y(kPixels * simd::kBlock, 0x5555);
    Microkernels()->round(x.data(), kStep, kPixels, static_cast<ptrdiff_t>(channels), y.data());
    for (size_t p = 0; p < kPixels; ++p) {
      for (size_t c = 0; c < simd::kBlock; ++c) {
        const uint16_t expected = c < channels ? ToBf16(x[p * kStep + c]) : 0;
        ASSERT_EQ(y[p * simd::kBlock + c], expected) << x[p * kStep + c];
      }
    }
  }
}

struct ConvCase {
  int64_t channels, outputs, height, width, stride = 1, batch = 2;
};

void PrintTo(const ConvCase& c, std::ostream* out) {
  *out << c.batch << "x" << c.channels << "->" << c.outputs << " " << c.height << "x" << c.width
       << " s" << c.stride;
}

/// Relative to 1 + |value|: sums of n products of at most 1 are rounded n times, as in
/// conv_blocked_test.cc.
float Tolerance(int64_t depth) { return 1e-5f + 1.2e-7f * static_cast<float>(depth); }

/// The graph of a builder whose weights are exact in bf16, so that only inputs are rounded.
class RoundedBuilder : public GraphBuilder {
 public:
  ValueId Weight(Shape shape) { return Constant(Rounded(RandomTensor(std::move(shape), ++seed_))); }

 private:
  uint32_t seed_ = 100;
};

/// Compares with the reference kernels, of inputs that are exact in bf16.
void ExpectMultiplies(const Graph& graph, const Tensor& x, const std::string& op,
                      const std::string& kernel, float tolerance) {
  CompileOptions options;
  options.reference_kernels = true;
  const Tensor expected = testing::RunGraph(graph, {{"x", Rounded(x)}}, options);
  const auto compiled = CompiledGraph::Compile(graph, Options(simd::SupportedIsas().back()));
  ASSERT_TRUE(compiled.has_value()) << compiled.error().message();
  EXPECT_EQ(KernelOf(**compiled, op), kernel);
  for (const int threads : {1, 3}) {
    testing::ExpectNear(RunTeam(**compiled, x, threads), expected, tolerance);
  }
}

class Bf16Conv : public ::testing::TestWithParam<ConvCase> {};

TEST_P(Bf16Conv, AgreesWithTheReferenceOfRoundedNumbers) {
  if (Microkernels() == nullptr) GTEST_SKIP() << "no AVX-512 BF16";
  const ConvCase& c = GetParam();
  const Attributes attributes = Attrs({{"strides", IntsAttribute{c.stride, c.stride}}});
  const Tensor x = RandomTensor({c.batch, c.channels, c.height, c.width}, 7);
  const auto conv = [&](RoundedBuilder& b, ValueId input) {
    return b.Node("Conv", {input, b.Weight({c.outputs, c.channels, 1, 1}), b.Weight({c.outputs})},
                  attributes);
  };
  const Shape shape{kBatch, c.channels, c.height, c.width};
  RoundedBuilder plain;
  ExpectMultiplies(plain.Build(conv(plain, plain.Input(shape))), x, "Conv", "bf16_conv_pointwise",
                   Tolerance(c.channels));
  for (const std::string op : {"Relu", "HardSwish"}) {
    SCOPED_TRACE(op);
    RoundedBuilder b;
    const ValueId input = b.Input(shape);
    ExpectMultiplies(b.Build(b.Node(op, {b.Node("Add", {conv(b, input), conv(b, input)})})), x,
                     "FusedConv", "bf16_conv_pointwise", Tolerance(2 * c.channels));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Sizes, Bf16Conv,
    ::testing::Values(ConvCase{17, 31, 17, 31}, ConvCase{16, 16, 2, 5}, ConvCase{5, 1, 1, 1},
                      ConvCase{33, 47, 3, 3, 1, 5}, ConvCase{64, 100, 7, 7, 1, 3},
                      ConvCase{600, 17, 9, 61, 1, 1},   // several chunks an image
                      ConvCase{520, 1030, 3, 5, 1, 3},  // panels of common chunks
                      ConvCase{19, 33, 13, 9, 2, 3}, ConvCase{16, 20, 8, 31, 3, 2},
                      ConvCase{1030, 20, 43, 61, 2, 1}));  // several chunks of rows

struct GemmCase {
  int64_t rows, depth, columns;
  bool transposed;
};

TEST(Bf16Gemm, AgreesWithTheReferenceOfRoundedNumbers) {
  if (Microkernels() == nullptr) GTEST_SKIP() << "no AVX-512 BF16";
  for (const GemmCase& c :
       {GemmCase{1, 1, 1, false}, GemmCase{3, 17, 31, true}, GemmCase{8, 512, 1000, true},
        GemmCase{70, 65, 48, false}, GemmCase{300, 3000, 33, false}}) {  // rows in several parts
    SCOPED_TRACE(fmt::format("{} rows, {} x {}", c.rows, c.depth, c.columns));
    RoundedBuilder b;
    const Shape weights = c.transposed ? Shape{c.columns, c.depth} : Shape{c.depth, c.columns};
    const ValueId y =
        b.Node("Gemm", {b.Input({kBatch, c.depth}), b.Weight(weights), b.Weight({c.columns})},
               Attrs({{"transB", int64_t{c.transposed}}, {"alpha", 0.5f}}));
    ExpectMultiplies(b.Build(y), RandomTensor({c.rows, c.depth}, 9), "Gemm", "bf16_gemm",
                     Tolerance(c.depth));
  }
}

TEST(Bf16, GivesTheSameScoresAtAnyBatch) {
  if (Microkernels() == nullptr) GTEST_SKIP() << "no AVX-512 BF16";
  GraphBuilder b;
  const ValueId x = b.Input({kBatch, 24, 9, 9});
  ValueId y = b.Node("Relu", {b.Node("Conv", {x, b.Weight({70, 24, 1, 1})})});
  y = b.Node("Flatten", {b.Node("GlobalAveragePool", {y})});
  y = b.Node("Gemm", {y, b.Weight({70, 11}), b.Weight({11})});
  const auto compiled = CompiledGraph::Compile(b.Build(y), Options(simd::SupportedIsas().back()));
  ASSERT_TRUE(compiled.has_value());
  const Tensor images = RandomTensor({11, 24, 9, 9}, 5);
  const Tensor all = RunTeam(**compiled, images, 1);
  const size_t size = images.size() / 11, classes = 11;
  for (size_t i = 0; i < 11; ++i) {
    const auto image = images.data<float>().subspan(i * size, size);
    const Tensor one = RunTeam(**compiled, Tensor::Of<float>({1, 24, 9, 9}, image), 2);
    for (size_t c = 0; c < classes; ++c) {
      EXPECT_EQ(one.data<float>()[c], all.data<float>()[i * classes + c]);
    }
  }
}

TEST(Bf16, IsForConvolutionsOfKernelOneThatTheCallerLetsRound) {
  GraphBuilder b;
  const ValueId x = b.Input({kBatch, 32, 9, 9});
  const Attributes same = Attrs({{"pads", IntsAttribute{1, 1, 1, 1}}});
  const Graph pointwise = b.Build(b.Node("Conv", {x, b.Weight({32, 32, 1, 1})}));
  const Graph square = b.Build(b.Node("Conv", {x, b.Weight({32, 32, 3, 3})}, same));
  const Graph padded = b.Build(b.Node("Conv", {x, b.Weight({32, 32, 1, 1})}, same));
  const Graph grouped =
      b.Build(b.Node("Conv", {x, b.Weight({32, 16, 1, 1})}, Attrs({{"group", int64_t{2}}})));
  for (const simd::Isa isa : simd::SupportedIsas()) {
    SCOPED_TRACE(simd::ToString(isa));
    const bool has_bf16 = simd::MicrokernelsFor(isa).bf16 != nullptr;
    const auto kernel_of = [&](const Graph& graph, bool bf16) {
      const auto compiled = CompiledGraph::Compile(graph, Options(isa, bf16));
      EXPECT_EQ((*compiled)->LacksBf16(), bf16 && !has_bf16);
      return KernelOf(**compiled, "Conv");
    };
    EXPECT_EQ(kernel_of(pointwise, false), "f32_conv_direct");
    EXPECT_EQ(kernel_of(pointwise, true), has_bf16 ? "bf16_conv_pointwise" : "f32_conv_direct");
    for (const Graph* graph : {&square, &padded, &grouped}) {
      EXPECT_THAT(kernel_of(*graph, true), HasSubstr("f32_conv_"));
    }
    if (!has_bf16) continue;
    const auto compiled = CompiledGraph::Compile(square, Options(isa));
    const auto& choices = (*compiled)->kernels();
    const auto conv = std::ranges::find(choices, "Conv", &KernelChoice::op);
    ASSERT_NE(conv, choices.end());
    EXPECT_THAT(conv->reason, HasSubstr("bf16_conv_pointwise: not 1 × 1"));
  }
}

}  // namespace
}  // namespace trawl::engine
