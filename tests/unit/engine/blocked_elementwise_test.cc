// Goal: arithmetic and concatenation of blocked values compute what the reference kernels define.
// Method: both behind a convolution that makes blocked values, on odd sizes and numbers of
// channels, on every instruction set, by one thread and by three. Tolerance 1e-6 of 1 + |value|:
// each result is one to three roundings (2^-24 each), or a function that errs by 4 ulp.
#include <cmath>

#include "tests/unit/engine/blocked_runs.h"

namespace trawl::engine {
namespace {

using testing::Attrs;
using testing::ExpectAsTheReference;
using testing::Floats;
using testing::GraphBuilder;
using testing::IntsAttribute;
using testing::KernelOf;
using testing::RandomTensor;

constexpr float kTolerance = 1e-6f;

/// A blocked value of shape [N, channels, 5, 7]: x times one weight per channel, here 1.5, so that
/// it is exact on all kernels.
ValueId Blocked(GraphBuilder& b, ValueId x, int64_t channels, float weight = 1.5f) {
  const auto count = static_cast<size_t>(channels);
  const ValueId weights =
      b.Constant(Floats({channels, 1, 1, 1}, std::vector<float>(count, weight)));
  return b.Node("Conv", {x, weights}, Attrs({{"group", channels}}));
}

ValueId Input(GraphBuilder& b, int64_t channels) { return b.Input({kBatch, channels, 5, 7}); }

Tensor Images(int64_t channels) { return RandomTensor({3, channels, 5, 7}, 11); }

std::function<void(const CompiledGraph&)> Chose(const std::string& op, const std::string& kernel) {
  return [=](const CompiledGraph& compiled) { EXPECT_EQ(KernelOf(compiled, op), kernel); };
}

class BlockedElementwise : public ::testing::TestWithParam<int64_t> {};  // channels

TEST_P(BlockedElementwise, ActivationsAgreeWithTheReference) {
  const int64_t channels = GetParam();
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"Relu", "f32_relu_blocked"},       {"LeakyRelu", "f32_leakyrelu_blocked"},
      {"Sigmoid", "f32_sigmoid_blocked"}, {"HardSigmoid", "f32_hardsigmoid_blocked"},
      {"Tanh", "f32_tanh_blocked"},       {"HardSwish", "f32_hardswish_blocked"},
      {"Swish", "f32_swish_blocked"},     {"Exp", "f32_exp_blocked"},
      {"Gelu", "f32_gelu_blocked"}};
  for (const auto& [op, kernel] : cases) {
    SCOPED_TRACE(op);
    GraphBuilder b;
    const ValueId y = Blocked(b, Input(b, channels), channels, 3.0f);
    // A second reader keeps the activation from becoming part of the convolution.
    const ValueId sum = b.Node("Add", {b.Node(op, {y}), y});
    ExpectAsTheReference(b.Build(sum), Images(channels), kTolerance, Chose(op, kernel));
  }
}

TEST_P(BlockedElementwise, BinaryOperatorsTakeOperandsOfAllForms) {
  const int64_t channels = GetParam();
  for (const std::string op : {"Add", "Sub", "Mul", "Div", "Max", "Min"}) {
    for (const bool swapped : {false, true}) {
      for (int form = 0; form < 6; ++form) {
        SCOPED_TRACE(op + (swapped ? " swapped, form " : ", form ") + std::to_string(form));
        GraphBuilder b;
        const ValueId x = Input(b, channels);
        const ValueId full = Blocked(b, x, channels);
        const auto other = [&]() -> ValueId {
          switch (form) {
            case 0:
              return b.Node("Relu", {Blocked(b, b.Node("Abs", {x}), channels)});
            case 1:
              return b.Node("GlobalAveragePool", {full});
            case 2:
              return b.Weight({channels, 1, 1});
            case 3:
              return b.Weight({1, channels, 1, 1});
            case 4:
              return b.Constant(Floats({}, {0.75f}));
            default:
              return full;
          }
        }();
        const ValueId left = swapped ? other : full, right = swapped ? full : other;
        // Abs reads both sides of what could be folded into the convolution.
        const ValueId y = b.Node(op, {b.Node("Exp", {left}), b.Node("Exp", {right})});
        ExpectAsTheReference(b.Build(y), Images(channels), 4 * kTolerance,
                             [&](const CompiledGraph& compiled) {
                               EXPECT_TRUE(KernelOf(compiled, op).ends_with("_blocked"));
                             });
      }
    }
  }
}

TEST_P(BlockedElementwise, NormalisationsThatCannotBeFoldedAgreeWithTheReference) {
  const int64_t channels = GetParam();
  GraphBuilder b;
  const ValueId y = b.Node("Exp", {Blocked(b, Input(b, channels), channels)});
  const ValueId variance =
      b.Constant(Floats({channels}, std::vector<float>(static_cast<size_t>(channels), 0.7f)));
  const ValueId z = b.Node("BatchNormalization", {y, b.Weight({channels}), b.Weight({channels}),
                                                  b.Weight({channels}), variance});
  ExpectAsTheReference(b.Build(z), Images(channels), 4 * kTolerance,
                       Chose("BatchNormalization", "f32_batchnorm_blocked"));
}

TEST_P(BlockedElementwise, NormalisationsOfAPixelsChannelsAgreeWithTheReference) {
  const int64_t channels = GetParam();
  for (const bool has_bias : {false, true}) {
    GraphBuilder b;
    const ValueId y = b.Node("Exp", {Blocked(b, Input(b, channels), channels)});
    const ValueId last = b.Node("Transpose", {y}, Attrs({{"perm", IntsAttribute{0, 2, 3, 1}}}));
    std::vector<ValueId> inputs{last, b.Weight({channels})};
    if (has_bias) inputs.push_back(b.Weight({channels}));
    const ValueId normal = b.Node("LayerNormalization", inputs, Attrs({{"epsilon", 1e-3f}}));
    const ValueId z = b.Node("Transpose", {normal}, Attrs({{"perm", IntsAttribute{0, 3, 1, 2}}}));
    // The convolution sees it when channels behind the last are not finite.
    const ValueId sums = b.Node("Conv", {z, b.Weight({5, channels, 1, 1})});
    // Numbers are divided by a deviation of 0.1 and more: ten roundings of a convolution's sum.
    ExpectAsTheReference(b.Build(sums), Images(channels), 10 * kTolerance,
                         Chose("ChannelNormalization", "f32_channelnorm_blocked"));
  }
}

TEST_P(BlockedElementwise, QuantisedGridsAreTheSameExactly) {
  const int64_t channels = GetParam();
  for (const bool by_channel : {false, true}) {
    GraphBuilder b;
    const ValueId y = Blocked(b, Input(b, channels), channels);
    const Shape shape = by_channel ? Shape{channels} : Shape{};
    Tensor scales = RandomTensor(shape, 3), zeros(DType::kI8, shape);
    for (float& scale : scales.mutable_data<float>()) scale = std::fabs(scale) / 100 + 0.01f;
    for (int8_t& zero : zeros.mutable_data<int8_t>()) zero = -5;
    const ValueId scale = b.Constant(scales), zero = b.Constant(zeros);
    const ValueId q = b.Node("QuantizeLinear", {y, scale, zero});
    ExpectAsTheReference(b.Build(b.Node("DequantizeLinear", {q, scale, zero})), Images(channels), 0,
                         Chose("FakeQuantize", "f32_fakequantize_blocked"));
  }
}

TEST_P(BlockedElementwise, ConcatenationsOfAnyNumbersOfChannelsAgreeWithTheReference) {
  const int64_t channels = GetParam();
  for (const std::vector<int64_t>& before :
       {std::vector<int64_t>{16}, {17}, {3, 5}, {32, 16}, {31, 1, 40}}) {
    GraphBuilder b;
    const ValueId x = Input(b, channels);
    std::vector<ValueId> parts;
    for (const int64_t count : before) {
      // One channel of x, or what is said of it by slices, as often as it takes.
      const ValueId first =
          b.Node("Slice", {x, b.Constant(testing::Ints({0})), b.Constant(testing::Ints({1})),
                           b.Constant(testing::Ints({1}))});
      const ValueId wide = b.Node("Mul", {first, b.Weight({count, 1, 1})});
      parts.push_back(Blocked(b, wide, count));
    }
    parts.push_back(Blocked(b, x, channels));
    parts.push_back(parts.front());
    const ValueId y = b.Node("Concat", parts, Attrs({{"axis", int64_t{1}}}));
    // A reader of a part and of the whole behind it.
    const ValueId z = b.Node("Concat", {b.Node("Exp", {y}), b.Node("Exp", {parts[0]})},
                             Attrs({{"axis", int64_t{-3}}}));
    ExpectAsTheReference(b.Build(z), Images(channels), kTolerance,
                         Chose("Concat", "f32_concat_blocked"));
  }
}

INSTANTIATE_TEST_SUITE_P(Channels, BlockedElementwise, ::testing::Values(1, 3, 16, 17, 31, 48));

TEST(BlockedElementwise, PaddingOfAQuotientIsFinite) {
  // 3 of 16 channels: 0 / 0 in the others would make the convolution's sums NaN.
  GraphBuilder b;
  const ValueId x = b.Input({kBatch, 3, 5, 7});
  const ValueId y = Blocked(b, x, 3);
  const ValueId ratio = b.Node("Div", {b.Node("Exp", {y}), b.Node("Exp", {y})});
  const ValueId z = b.Node("Conv", {ratio, b.Weight({5, 3, 1, 1})});
  ExpectAsTheReference(b.Build(z), Images(3), kTolerance);
}

}  // namespace
}  // namespace trawl::engine
