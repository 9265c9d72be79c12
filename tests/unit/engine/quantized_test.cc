// Goal: quantised models compute in integers, and on every instruction set and shape exactly what
// the reference kernels define. Method: graphs of QuantizeLinear, operators and DequantizeLinear
// with random weights, at odd sizes, kernels, strides, dilations, pads and groups, by one thread
// and by three, compared byte for byte; and with f32, within a step of the grid.
#include <array>
#include <cmath>
#include <limits>
#include <random>

#include "engine/simd/microkernels.h"
#include "gmock/gmock.h"
#include "tests/unit/engine/blocked_runs.h"

namespace trawl::engine {
namespace {

using testing::Attrs;
using testing::Floats;
using testing::GraphBuilder;
using testing::IntsAttribute;
using testing::KernelOf;
using testing::RandomTensor;
using testing::RunGraph;
using testing::RunTeam;

struct ConvCase {
  int64_t channels, outputs, height, width, kernel;
  int64_t stride = 1, dilation = 1, pad_begin = 0, pad_end = 0, group = 1, batch = 2;
  bool is_signed = false;
  int weight_zero = 0;  // u8 weights with this zero point for all channels; 0: i8 by channel
};

void PrintTo(const ConvCase& c, std::ostream* out) {
  *out << c.batch << "x" << c.channels << "->" << c.outputs << "/" << c.group << " " << c.height
       << "x" << c.width << " k" << c.kernel << " s" << c.stride << " d" << c.dilation << " p"
       << c.pad_begin << "+" << c.pad_end << (c.is_signed ? " i8" : " u8") << " w" << c.weight_zero;
}

/// Builds quantised graphs; activations lie between -1 and 1 or so.
struct Quantizer {
  GraphBuilder b = {};
  bool is_signed = false;
  uint32_t seed = 3;

  ValueId ZeroPoint(int zero_point) {
    if (is_signed) {
      const auto value = static_cast<int8_t>(zero_point - 128);
      return b.Constant(Tensor::Of<int8_t>({}, std::span(&value, 1)));
    }
    const auto value = static_cast<uint8_t>(zero_point);
    return b.Constant(Tensor::Of<uint8_t>({}, std::span(&value, 1)));
  }

  /// x on a grid, in f32 again.
  ValueId OnGrid(ValueId x, float scale, int zero_point) {
    const ValueId s = b.Constant(Floats({}, {scale})), z = ZeroPoint(zero_point);
    return b.Node("DequantizeLinear", {b.Node("QuantizeLinear", {x, s, z}), s, z});
  }

  template <class T>
  ValueId Weights(const Shape& shape, int low, int high, std::vector<float> scales,
                  int zero_point) {
    Tensor bytes(DTypeOf<T>::value, shape);
    std::mt19937 random(seed++);
    std::uniform_int_distribution<int> number(low, high);
    for (T& byte : bytes.template mutable_data<T>()) byte = static_cast<T>(number(random));
    const Shape scale_shape = scales.size() == 1 ? Shape{} : Shape{shape[0]};
    Tensor zero_points(DTypeOf<T>::value, scale_shape);
    for (T& zero : zero_points.template mutable_data<T>()) zero = static_cast<T>(zero_point);
    return b.Node("DequantizeLinear",
                  {b.Constant(bytes), b.Constant(Floats(scale_shape, std::move(scales))),
                   b.Constant(zero_points)},
                  Attrs({{"axis", int64_t{0}}}));
  }

  ValueId ConvWeights(const ConvCase& c) {
    const Shape shape{c.outputs, c.channels / c.group, c.kernel, c.kernel};
    const float size = 1 / (60 * std::sqrt(static_cast<float>(shape[1] * c.kernel * c.kernel)));
    if (c.weight_zero != 0) return Weights<uint8_t>(shape, 0, 255, {size}, c.weight_zero);
    std::vector<float> scales;
    for (int64_t o = 0; o < c.outputs; ++o) {
      scales.push_back(size * (1 + 0.1f * static_cast<float>(o % 7)));
    }
    return Weights<int8_t>(shape, -127, 127, std::move(scales), 0);
  }

  ValueId Conv(ValueId x, const ConvCase& c) {
    return b.Node("Conv", {x, ConvWeights(c), b.Weight({c.outputs})},
                  Attrs({{"group", c.group},
                         {"strides", IntsAttribute{c.stride, c.stride}},
                         {"dilations", IntsAttribute{c.dilation, c.dilation}},
                         {"pads", IntsAttribute{c.pad_begin, c.pad_begin, c.pad_end, c.pad_end}}}));
  }
};

bool HasInt8(simd::Isa isa) { return simd::MicrokernelsFor(isa).int8 != nullptr; }

/// Runs in integers, with the reference kernels and on every instruction set that has products of
/// bytes; and in f32, from which results may be `steps` of the grid away, which a rounding of an
/// intermediate result may cost.
void ExpectSameBytes(const Graph& graph, const Tensor& x, const std::string& op, float step,
                     float steps = 1) {
  CompileOptions options;
  options.integers = true;
  options.reference_kernels = true;
  const Tensor expected = RunGraph(graph, {{"x", x}}, options);
  options.reference_kernels = false;
  for (const simd::Isa isa : simd::SupportedIsas()) {
    SCOPED_TRACE(simd::ToString(isa));
    options.isa = isa;
    const auto compiled = CompiledGraph::Compile(graph, options);
    ASSERT_TRUE(compiled.has_value()) << compiled.error().message();
    const std::string kernel = KernelOf(**compiled, op);
    EXPECT_NE(kernel, "") << "no " << op;
    EXPECT_EQ(kernel == "reference", !HasInt8(isa)) << op;
    for (const int threads : {1, 3}) {
      const Tensor actual = RunTeam(**compiled, x, threads);
      ASSERT_EQ(actual.shape(), expected.shape());
      EXPECT_TRUE(std::ranges::equal(actual.data<float>(), expected.data<float>())) << threads;
    }
  }
  options = {};
  options.integers = false;
  const Tensor in_f32 = RunGraph(graph, {{"x", x}}, options);
  float worst = 0;
  for (size_t i = 0; i < expected.data<float>().size(); ++i) {
    worst = std::max(worst, std::fabs(expected.data<float>()[i] - in_f32.data<float>()[i]));
  }
  EXPECT_LE(worst, (steps + 0.01f) * step);
}

class QuantizedConv : public ::testing::TestWithParam<ConvCase> {};

TEST_P(QuantizedConv, GivesTheReferencesBytes) {
  const ConvCase& c = GetParam();
  const Shape shape{kBatch, c.channels, c.height, c.width};
  const Tensor x = RandomTensor({c.batch, c.channels, c.height, c.width}, 7);
  constexpr float kStep = 0.02f;
  for (const std::string activation : {"", "Relu"}) {
    SCOPED_TRACE(activation);
    Quantizer q{.is_signed = c.is_signed};
    const ValueId input = q.OnGrid(q.b.Input(shape), 0.008f, 125);
    ValueId y = q.Conv(input, c);
    if (!activation.empty()) y = q.b.Node(activation, {y});
    ExpectSameBytes(q.b.Build(q.OnGrid(y, kStep, activation.empty() ? 120 : 3)), x, "QuantizedConv",
                    kStep);
  }
  // Two convolutions of the same input, added.
  Quantizer q{.is_signed = c.is_signed};
  const ValueId input = q.OnGrid(q.b.Input(shape), 0.008f, 125);
  const ValueId first = q.OnGrid(q.Conv(input, c), 0.02f, 120);
  const ValueId second = q.OnGrid(q.Conv(input, c), 0.015f, 90);
  const ValueId sum = q.b.Node("Relu", {q.b.Node("Add", {first, second})});
  const Graph graph = q.b.Build(q.OnGrid(sum, 0.03f, 2));
  ExpectSameBytes(graph, x, "QuantizedConv", 0.03f, 2);
}

TEST_P(QuantizedConv, AddsAResidualBeforeItsOnlyRounding) {
  const ConvCase& c = GetParam();
  const Tensor x = RandomTensor({c.batch, c.channels, c.height, c.width}, 7);
  for (const bool first : {false, true}) {
    Quantizer q{.is_signed = c.is_signed};
    const ValueId input = q.OnGrid(q.b.Input({kBatch, c.channels, c.height, c.width}), 0.008f, 125);
    const ValueId residual = q.OnGrid(q.Conv(input, c), 0.015f, 90), own = q.Conv(input, c);
    const ValueId sum =
        q.b.Node("Add", first ? std::vector{own, residual} : std::vector{residual, own});
    // A bound that packing does not have already, and one that it has.
    const ValueId y = first ? sum : q.b.Node("Relu", {sum});
    ExpectSameBytes(q.b.Build(q.OnGrid(y, 0.03f, first ? 120 : 2)), x, "QuantizedConv", 0.03f, 2);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, QuantizedConv,
    ::testing::Values(
        ConvCase{.channels = 3,
                 .outputs = 16,
                 .height = 17,
                 .width = 31,
                 .kernel = 3,
                 .stride = 2,
                 .pad_end = 1},
        ConvCase{.channels = 3,
                 .outputs = 64,
                 .height = 29,
                 .width = 23,
                 .kernel = 7,
                 .stride = 2,
                 .pad_begin = 3,
                 .pad_end = 3,
                 .weight_zero = 122},
        ConvCase{.channels = 3, .outputs = 33, .height = 18, .width = 19, .kernel = 7, .stride = 2},
        ConvCase{.channels = 1,
                 .outputs = 8,
                 .height = 9,
                 .width = 10,
                 .kernel = 5,
                 .pad_begin = 2,
                 .pad_end = 1,
                 .is_signed = true,
                 .weight_zero = 90},
        ConvCase{.channels = 2, .outputs = 40, .height = 7, .width = 8, .kernel = 4},
        ConvCase{.channels = 1, .outputs = 1, .height = 1, .width = 1, .kernel = 1, .batch = 1},
        ConvCase{.channels = 17,
                 .outputs = 31,
                 .height = 3,
                 .width = 17,
                 .kernel = 3,
                 .pad_begin = 1,
                 .pad_end = 1,
                 .is_signed = true},
        ConvCase{.channels = 64,
                 .outputs = 64,
                 .height = 7,
                 .width = 7,
                 .kernel = 3,
                 .pad_begin = 1,
                 .pad_end = 1,
                 .batch = 3},
        ConvCase{.channels = 64, .outputs = 33, .height = 14, .width = 28, .kernel = 1},
        ConvCase{.channels = 250, .outputs = 65, .height = 11, .width = 12, .kernel = 1},
        ConvCase{.channels = 40,
                 .outputs = 24,
                 .height = 9,
                 .width = 9,
                 .kernel = 1,
                 .stride = 2,
                 .is_signed = true,
                 .weight_zero = 90},
        ConvCase{.channels = 24,
                 .outputs = 144,
                 .height = 5,
                 .width = 13,
                 .kernel = 1,
                 .batch = 5,
                 .weight_zero = 165},
        ConvCase{.channels = 8,
                 .outputs = 20,
                 .height = 12,
                 .width = 12,
                 .kernel = 3,
                 .dilation = 2,
                 .pad_begin = 2,
                 .pad_end = 2},
        ConvCase{.channels = 12,
                 .outputs = 18,
                 .height = 10,
                 .width = 11,
                 .kernel = 5,
                 .pad_begin = 2,
                 .pad_end = 2,
                 .group = 3},
        ConvCase{.channels = 96,
                 .outputs = 96,
                 .height = 6,
                 .width = 7,
                 .kernel = 3,
                 .pad_begin = 1,
                 .pad_end = 1,
                 .group = 48},
        ConvCase{.channels = 32,
                 .outputs = 32,
                 .height = 9,
                 .width = 15,
                 .kernel = 3,
                 .pad_begin = 1,
                 .pad_end = 1,
                 .group = 32,
                 .weight_zero = 165},
        ConvCase{.channels = 35,
                 .outputs = 35,
                 .height = 14,
                 .width = 10,
                 .kernel = 3,
                 .stride = 2,
                 .pad_end = 1,
                 .group = 35,
                 .is_signed = true},
        ConvCase{.channels = 6,
                 .outputs = 6,
                 .height = 11,
                 .width = 8,
                 .kernel = 5,
                 .dilation = 2,
                 .pad_begin = 4,
                 .pad_end = 4,
                 .group = 6},
        ConvCase{.channels = 8,
                 .outputs = 8,
                 .height = 9,
                 .width = 13,
                 .kernel = 3,
                 .pad_begin = 1,
                 .pad_end = 1,
                 .group = 8,
                 .weight_zero = 165},
        ConvCase{.channels = 16,
                 .outputs = 16,
                 .height = 7,
                 .width = 6,
                 .kernel = 5,
                 .pad_begin = 2,
                 .pad_end = 2,
                 .group = 16,
                 .is_signed = true},
        ConvCase{.channels = 16,
                 .outputs = 16,
                 .height = 9,
                 .width = 9,
                 .kernel = 3,
                 .stride = 2,
                 .pad_begin = 1,
                 .pad_end = 1,
                 .group = 16},
        ConvCase{.channels = 96,
                 .outputs = 96,
                 .height = 6,
                 .width = 9,
                 .kernel = 3,
                 .pad_begin = 1,
                 .pad_end = 1,
                 .group = 96,
                 .weight_zero = 90},
        ConvCase{.channels = 144,
                 .outputs = 144,
                 .height = 8,
                 .width = 8,
                 .kernel = 3,
                 .stride = 2,
                 .pad_end = 1,
                 .group = 144,
                 .weight_zero = 254},
        ConvCase{.channels = 70, .outputs = 70, .height = 5, .width = 4, .kernel = 1, .group = 70},
        ConvCase{.channels = 3, .outputs = 3, .height = 5, .width = 37, .kernel = 3, .group = 3},
        ConvCase{.channels = 6,
                 .outputs = 12,
                 .height = 8,
                 .width = 8,
                 .kernel = 3,
                 .pad_begin = 1,
                 .pad_end = 1,
                 .group = 6}));

TEST(QuantizedOperators, GiveTheReferencesBytesForAPoolAndAProduct) {
  Quantizer q;
  ValueId y = q.OnGrid(q.b.Input({kBatch, 35, 9, 7}), 0.008f, 125);
  y = q.b.Node("MaxPool", {y},
               Attrs({{"kernel_shape", IntsAttribute{3, 3}},
                      {"strides", IntsAttribute{2, 2}},
                      {"pads", IntsAttribute{1, 1, 1, 1}}}));
  y = q.OnGrid(y, 0.008f, 125);
  y = q.OnGrid(q.b.Node("GlobalAveragePool", {y}), 0.004f, 3);
  y = q.b.Node("Flatten", {y}, Attrs({{"axis", int64_t{1}}}));
  const ValueId weights = q.Weights<int8_t>({19, 35}, -127, 127, {0.002f}, 0);
  y = q.b.Node("Gemm", {y, weights, q.b.Weight({19})}, Attrs({{"transB", int64_t{1}}}));
  const Tensor x = RandomTensor({5, 35, 9, 7}, 7);
  Quantizer copy = q;
  ExpectSameBytes(q.b.Build(y), x, "QuantizedGemm", 0.004f * 0.002f * 127 * 35);
  ExpectSameBytes(copy.b.Build(copy.OnGrid(y, 0.02f, 110)), x, "QuantizedMaxPool", 0.02f);
}

TEST(QuantizedOperators, GiveTheReferencesMeansWhereTheyStayInF32) {
  for (const int64_t channels : {1, 35, 64}) {
    Quantizer q{.is_signed = true};
    ValueId y = q.OnGrid(q.b.Input({kBatch, channels, 9, 7}), 0.008f, 125);
    y = q.b.Node("Flatten", {q.b.Node("GlobalAveragePool", {y})}, Attrs({{"axis", int64_t{1}}}));
    const Tensor x = RandomTensor({5, channels, 9, 7}, 7);
    ExpectSameBytes(q.b.Build(y), x, "QuantizedGlobalAveragePool", 1e-5f);
  }
}

TEST(QuantizedOperators, GiveTheReferencesBytesForConcatenationsAndSums) {
  Quantizer q{.is_signed = true};
  const ValueId input = q.b.Input({kBatch, 21, 6, 5});
  const ValueId a = q.OnGrid(input, 0.008f, 125);
  const ValueId b = q.OnGrid(q.b.Node("Neg", {input}), 0.01f, 100);
  const ValueId joined =
      q.OnGrid(q.b.Node("Concat", {a, b, a}, Attrs({{"axis", int64_t{1}}})), 0.012f, 110);
  const ValueId sum = q.OnGrid(q.b.Node("Add", {joined, joined}), 0.02f, 130);
  const Tensor x = RandomTensor({3, 21, 6, 5}, 7);
  Quantizer copy = q;
  ExpectSameBytes(q.b.Build(joined), x, "QuantizedConcat", 0.012f);
  // A number of the concatenation may be off by a step, which the sum takes twice.
  ExpectSameBytes(copy.b.Build(sum), x, "QuantizedAdd", 0.02f, 2);
}

TEST(QuantizedOperators, GiveTheReferencesBytesForPoolsOfAnyWindow) {
  for (const auto& [channels, kernel, stride, dilation, pad] :
       {std::array<int64_t, 5>{64, 3, 2, 1, 0}, {100, 2, 1, 3, 1}, {3, 5, 3, 1, 2}}) {
    Quantizer q;
    ValueId y = q.OnGrid(q.b.Input({kBatch, channels, 11, 8}), 0.008f, 125);
    y = q.b.Node("MaxPool", {y},
                 Attrs({{"kernel_shape", IntsAttribute{kernel, kernel}},
                        {"strides", IntsAttribute{stride, stride}},
                        {"dilations", IntsAttribute{dilation, dilation}},
                        {"pads", IntsAttribute{pad, pad, pad, pad}}}));
    const Tensor x = RandomTensor({3, channels, 11, 8}, 7);
    ExpectSameBytes(q.b.Build(q.OnGrid(y, 0.008f, 125)), x, "QuantizedMaxPool", 0.008f);
  }
}

TEST(QuantizedOperators, GiveTheReferencesBytesForInputsThatAreNoNumbersOrTies) {
  Quantizer q;
  const ValueId y = q.OnGrid(q.b.Input({kBatch, 5, 3, 7}), 0.25f, 3);
  const ValueId pooled = q.b.Node("MaxPool", {y}, Attrs({{"kernel_shape", IntsAttribute{1, 1}}}));
  Tensor x = RandomTensor({2, 5, 3, 7}, 7);
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const float odd[] = {kInfinity, -kInfinity, std::nanf(""), 0.125f, 0.375f, -0.125f, 1e30f, -0.0f};
  for (size_t i = 0; i < x.data<float>().size(); ++i) {
    x.mutable_data<float>()[i] = i % 3 == 0 ? odd[i / 3 % 8] : 20 * x.data<float>()[i];
  }
  ExpectSameBytes(q.b.Build(q.OnGrid(pooled, 0.25f, 3)), x, "QuantizedMaxPool", 0.25f);
}

TEST(QuantizedOperators, StayInF32WithAReasonWhereTheyDoNotFit) {
  Quantizer q;
  const ValueId input = q.OnGrid(q.b.Input({kBatch, 4, 6, 6}), 0.008f, 125);
  const ValueId conv = q.b.Node("Conv", {input, q.b.Weight({8, 4, 3, 3})});  // weights in f32
  CompileOptions options;
  options.integers = true;
  const auto compiled = CompiledGraph::Compile(q.b.Build(q.OnGrid(conv, 0.02f, 120)), options);
  ASSERT_TRUE(compiled.has_value()) << compiled.error().message();
  std::string reason;
  for (const KernelChoice& choice : (*compiled)->kernels()) {
    if (choice.op == "Conv") reason = choice.reason;
  }
  EXPECT_THAT(reason, ::testing::HasSubstr("in f32: its weights are not quantised constants"));
}

TEST(QuantizedOperators, RunInF32WhereThereAreNoProductsOfBytes) {
  Quantizer q;
  const ConvCase c{.channels = 4, .outputs = 8, .height = 6, .width = 6, .kernel = 3};
  const ValueId input = q.OnGrid(q.b.Input({kBatch, 4, 6, 6}), 0.008f, 125);
  const Graph graph = q.b.Build(q.OnGrid(q.Conv(input, c), 0.02f, 120));
  for (const simd::Isa isa : simd::SupportedIsas()) {
    CompileOptions options;
    options.isa = isa;
    const auto compiled = CompiledGraph::Compile(graph, options);
    ASSERT_TRUE(compiled.has_value()) << compiled.error().message();
    EXPECT_EQ(KernelOf(**compiled, "QuantizedConv").empty(), !HasInt8(isa));
    EXPECT_EQ((*compiled)->LacksIntegers(), !HasInt8(isa));
  }
}

}  // namespace
}  // namespace trawl::engine
