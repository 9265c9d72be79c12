// Quantisation: ranges against exhaustive search and by hand, the QDQ form against the graph in f32
// it was made of, files against the graph that was written.

#include "engine/quantize/quantize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "engine/loaders/loaders.h"
#include "engine/loaders/onnx_writer.h"
#include "engine/loaders/package_writer.h"
#include "engine/ops.h"
#include "engine/quantize/channel_groups.h"
#include "engine/quantize/rounding.h"
#include "engine/simd/microkernels.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/engine/graphs.h"
#include "tests/unit/engine/small_model.h"

namespace trawl::engine {
namespace {

using testing::Attrs;
using testing::GraphBuilder;
using testing::RandomTensor;

double SquaredError(const std::vector<float>& numbers, const Quantization& mapping) {
  double sum = 0;
  for (const float x : numbers) {
    const double q =
        std::clamp(std::nearbyint(double{x} / mapping.scale) + mapping.zero_point, 0.0, 255.0);
    sum += std::pow((q - mapping.zero_point) * mapping.scale - x, 2);
  }
  return sum;
}

Quantization Best(const std::vector<float>& numbers) {
  Extremes extremes;
  extremes.Add(numbers);
  Histogram histogram(extremes);
  histogram.Add(numbers);
  return histogram.BestQuantization();
}

/// Normal numbers with a few far outliers.
std::vector<float> Numbers(bool positive) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  std::vector<float> numbers(20'000);
  for (float& x : numbers) x = positive ? std::max(normal(random), 0.0f) : normal(random);
  numbers[0] = 40;
  return numbers;
}

Pictures RandomPictures(size_t count, size_t size) {
  Pictures pictures;
  for (size_t i = 0; i < count; ++i) {
    const Tensor tensor = RandomTensor({static_cast<int64_t>(size)}, static_cast<uint32_t>(i));
    pictures.emplace_back(tensor.data<float>().begin(), tensor.data<float>().end());
  }
  return pictures;
}

TEST(QuantizationOf, HoldsZeroExactly) {
  EXPECT_EQ(QuantizationOf(0, 255).zero_point, 0);
  EXPECT_FLOAT_EQ(QuantizationOf(0, 255).scale, 1);
  EXPECT_EQ(QuantizationOf(-255, 0).zero_point, 255);
  EXPECT_EQ(QuantizationOf(3, 255).zero_point, 0);  // widened to hold 0
  EXPECT_EQ(QuantizationOf(-1, 1).zero_point, 128);
  EXPECT_GT(QuantizationOf(0, 0).scale, 0);
}

TEST(Histogram, ClipsOutliersThatCostMoreThanTheyKeep) {
  for (const bool positive : {false, true}) {
    const std::vector<float> numbers = Numbers(positive);
    const Quantization best = Best(numbers);
    const double whole =
        SquaredError(numbers, QuantizationOf(*std::ranges::min_element(numbers), 40));
    EXPECT_LT(SquaredError(numbers, best), whole);
  }
}

TEST(Histogram, FindsAlmostTheBestRangeOfAll) {
  const std::vector<float> numbers = Numbers(/*positive=*/true);
  double least = std::numeric_limits<double>::infinity();
  for (int i = 1; i <= 1000; ++i) {
    least = std::min(least, SquaredError(numbers, QuantizationOf(0, 40 * i / 1000.0)));
  }
  // Its grid is of hundredths of the range, and does not go below a fifth.
  const double fifth = SquaredError(numbers, QuantizationOf(0, 8));
  EXPECT_LE(SquaredError(numbers, Best(numbers)), 1.1 * std::max(least, fifth));
}

TEST(Histogram, TakesNoNoticeOfOrderZerosAndWhatIsNoNumber) {
  std::vector<float> numbers = Numbers(/*positive=*/false);
  const Quantization best = Best(numbers);
  std::ranges::reverse(numbers);
  numbers.insert(numbers.end(), 5000, 0.0f);
  numbers.push_back(NAN);
  numbers.push_back(INFINITY);
  EXPECT_EQ(Best(numbers).scale, best.scale);
  EXPECT_EQ(Best(numbers).zero_point, best.zero_point);
}

TEST(Histogram, OfNothingStillHasAMapping) { EXPECT_GT(Best({0, 0}).scale, 0); }

/// Conv, Relu, MaxPool, a residual block, Concat, global pooling, Gemm.
Graph SmallNetwork() {
  GraphBuilder b;
  const Attributes same = Attrs({{"pads", testing::IntsAttribute{1, 1, 1, 1}}});
  const ValueId x = b.Input({kBatch, 3, 12, 12});
  ValueId y = b.Node("Conv", {x, b.Weight({8, 3, 3, 3}), b.Weight({8})}, same);
  y = b.Node("Relu", {y});
  y = b.Node("MaxPool", {y},
             Attrs({{"kernel_shape", testing::IntsAttribute{2, 2}},
                    {"strides", testing::IntsAttribute{2, 2}}}));
  ValueId z = b.Node("Conv", {y, b.Weight({8, 8, 3, 3})}, same);
  z = b.Node("Relu", {b.Node("Add", {z, y})});
  const ValueId left = b.Node("Relu", {b.Node("Conv", {z, b.Weight({4, 8, 1, 1})})});
  const ValueId right = b.Node("Relu", {b.Node("Conv", {z, b.Weight({6, 8, 1, 1})})});
  ValueId c = b.Node("Concat", {left, right}, Attrs({{"axis", int64_t{1}}}));
  c = b.Node("Relu", {b.Node("Conv", {c, b.Weight({10, 10, 1, 1}), b.Weight({10})})});
  c = b.Node("Flatten", {b.Node("GlobalAveragePool", {c})});
  Graph graph = b.Build(b.Node("Gemm", {c, b.Weight({10, 5})}));
  EXPECT_TRUE(InferShapes(graph, true).has_value());
  return graph;
}

size_t CountOf(const Graph& graph, std::string_view op) {
  return static_cast<size_t>(
      std::ranges::count_if(graph.nodes(), [&](const Node& node) { return node.op == op; }));
}

struct SmallCase {
  Graph graph = SmallNetwork();
  std::vector<size_t> products = QuantizableProducts(graph);
  QuantizationPlan plan = PlanQuantization(graph, products);
  Pictures pictures = RandomPictures(9, 3 * 12 * 12);
  Mappings mappings = *Calibrate(graph, plan, pictures, {});
  Graph quantized = QuantizeGraph(graph, plan, mappings);
};

TEST(QuantizationPlan, LeavesTheHeadAndTakesWhatLiesBetween) {
  const SmallCase small;
  EXPECT_EQ(small.products.size(), 5U);  // the Gemm is the head
  for (size_t i = 0; i < small.graph.nodes().size(); ++i) {
    const std::string& op = small.graph.nodes()[i].op;
    EXPECT_EQ(small.plan.nodes[i], op != "Relu" && op != "Flatten" && op != "Gemm") << op;
  }
}

TEST(QuantizationPlan, GivesWhatMovesNumbersOneRange) {
  const SmallCase small;
  for (const Node& node : small.graph.nodes()) {
    if (node.op != "MaxPool" && node.op != "Concat") continue;
    for (const ValueId id : node.inputs) {
      EXPECT_EQ(small.mappings.at(id).scale, small.mappings.at(node.outputs[0]).scale);
      EXPECT_EQ(small.mappings.at(id).zero_point, small.mappings.at(node.outputs[0]).zero_point);
    }
  }
}

TEST(QuantizeGraph, RoundsNoConvolutionBeforeItsResidualSum) {
  const SmallCase small;
  ASSERT_EQ(CountOf(small.quantized, "Add"), 1U);
  const auto add = std::ranges::find(small.quantized.nodes(), "Add", &Node::op);
  const auto producer = [&](size_t operand) {
    return std::ranges::find_if(
               small.quantized.nodes(),
               [&](const Node& node) { return node.outputs[0] == add->inputs[operand]; })
        ->op;
  };
  EXPECT_EQ(producer(0), "Conv");
  EXPECT_EQ(producer(1), "DequantizeLinear");
}

TEST(LeaveUnrounded, RoundsOfTwoConvolutionsThatAreAddedTheOneOfFinerSteps) {
  GraphBuilder b;
  const ValueId x = b.Input({kBatch, 3, 4, 4});
  const ValueId first = b.Node("Conv", {x, b.Weight({3, 3, 1, 1})});
  const ValueId second = b.Node("Conv", {x, b.Weight({3, 3, 1, 1})});
  Graph graph = b.Build(b.Node("Relu", {b.Node("Add", {second, first})}));
  ASSERT_TRUE(InferShapes(graph, true).has_value());
  for (const float times : {0.5f, 2.0f}) {
    QuantizationPlan plan = PlanQuantization(graph, QuantizableProducts(graph));
    EXPECT_TRUE(plan.ranges.contains(first) && plan.ranges.contains(second));
    LeaveUnrounded(graph, {{x, {}}, {first, {1, 128}}, {second, {times, 128}}}, plan);
    EXPECT_EQ(plan.ranges.contains(first), times > 1);
    EXPECT_EQ(plan.ranges.contains(second), times < 1);
  }
}

/// Everything through which channels can be scaled, in front of a head: convolutions plain, in
/// groups and by channel, sums, pooling, products either way round.
Graph ScalableNetwork() {
  GraphBuilder b;
  const ValueId x = b.Input({kBatch, 3, 8, 8});
  const Attributes same = Attrs({{"pads", testing::IntsAttribute{1, 1, 1, 1}}});
  ValueId y = b.Node("Relu", {b.Node("Conv", {x, b.Weight({8, 3, 3, 3}), b.Weight({8})}, same)});
  y = b.Node("MaxPool", {y}, Attrs({{"kernel_shape", testing::IntsAttribute{2, 2}}}));
  Attributes by_channel = same, by_pair = same;
  by_channel.Set("group", int64_t{8});
  by_pair.Set("group", int64_t{4});
  ValueId z = b.Node("Conv", {y, b.Weight({8, 1, 3, 3}), b.Weight({8})}, by_channel);
  z = b.Node("Conv", {b.Node("LeakyRelu", {z}), b.Weight({8, 2, 3, 3})}, by_pair);
  z = b.Node("Flatten", {b.Node("GlobalAveragePool", {b.Node("Add", {z, y})})});
  z = b.Node("Relu", {b.Node("Gemm", {z, b.Weight({8, 6}), b.Weight({6})})});
  Graph graph = b.Build(b.Node("Gemm", {z, b.Weight({5, 6})}, Attrs({{"transB", int64_t{1}}})));
  EXPECT_TRUE(InferShapes(graph, true).has_value());
  return graph;
}

TEST(ChannelGroups, EndWhereScalesDoNotPass) {
  const Graph graph = SmallNetwork();  // its Concat lets none pass
  const std::vector<ChannelGroup> groups = FindChannelGroups(graph);
  ASSERT_EQ(groups.size(), 2U);
  EXPECT_EQ(groups[0].channels, 8U);
  EXPECT_EQ(groups[0].readers.size(), 3U);
  EXPECT_EQ(groups[1].channels, 10U);
  EXPECT_EQ(graph.nodes()[groups[1].readers.at(0)].op, "Gemm");
}

TEST(ScaleChannels, KeepsTheFunction) {
  const Graph graph = ScalableNetwork();
  std::vector<ChannelScales> scales;
  for (const ChannelGroup& group : FindChannelGroups(graph)) {
    std::vector<float> numbers;
    for (size_t c = 0; c < group.channels; ++c) {
      numbers.push_back(static_cast<float>(std::pow(3, static_cast<int>(c % 5) - 2)));
    }
    scales.push_back({group, numbers});
  }
  EXPECT_EQ(scales.size(), 3U);
  const Graph scaled = ScaleChannels(graph, scales);
  const Tensor picture = RandomTensor({2, 3, 8, 8}, 5);
  testing::ExpectNear(testing::RunGraph(scaled, {{"x", picture}}),
                      testing::RunGraph(graph, {{"x", picture}}), 1e-5f);
  EXPECT_NE(graph.nodes()[0].inputs, scaled.nodes()[0].inputs);
}

TEST(EqualizeChannels, LetsOneMappingServeChannelsOfUnlikeRanges) {
  // Every other channel is a tenth of its neighbours, and read by weights ten times theirs.
  GraphBuilder b;
  const ValueId x = b.Input({kBatch, 8, 6, 6});
  Tensor first = RandomTensor({16, 8, 1, 1}, 1), second = RandomTensor({8, 16, 1, 1}, 2);
  for (size_t o = 0; o < 16; o += 2) {
    for (size_t i = 0; i < 8; ++i) {
      first.mutable_data<float>()[o * 8 + i] /= 10;
      second.mutable_data<float>()[i * 16 + o] *= 10;
    }
  }
  const ValueId y = b.Node("Relu", {b.Node("Conv", {x, b.Constant(std::move(first))})});
  Graph graph = b.Build(b.Node("Conv", {y, b.Constant(std::move(second))}));
  ASSERT_TRUE(InferShapes(graph, true).has_value());
  const Pictures pictures = RandomPictures(12, 8 * 36);
  const QuantizationPlan plan = PlanQuantization(graph, QuantizableProducts(graph));
  const auto even = EqualizeChannels(graph, plan, pictures, {});
  ASSERT_TRUE(even.has_value());
  const Scores reference = *ComputeScores(**ScoresRunner(graph, {}), pictures);
  const auto error = [&](const Graph& some) {
    const Graph quantized = QuantizeGraph(some, plan, *Calibrate(some, plan, pictures, {}));
    return RelativeError(*ComputeScores(**ScoresRunner(quantized, {}), pictures), reference);
  };
  EXPECT_LT(RelativeError(*ComputeScores(**ScoresRunner(*even, {}), pictures), reference), 1e-5);
  EXPECT_LT(error(*even), 0.5 * error(graph));
}

TEST(QuantizeGraph, StaysCloseToTheGraphInF32) {
  const SmallCase small;
  ASSERT_TRUE(small.quantized.Verify().ok());
  const auto exact = ScoresRunner(small.graph, {}), rounded = ScoresRunner(small.quantized, {});
  ASSERT_TRUE(exact && rounded);
  const auto scores = ComputeScores(**rounded, small.pictures),
             reference = ComputeScores(**exact, small.pictures);
  const double error = RelativeError(*scores, *reference);
  EXPECT_GT(error, 0);
  EXPECT_LT(error, 0.05);  // a few roundings to 1 of 256 levels
}

TEST(QuantizeGraph, TakesBackWhatRoundingMovesOnAverage) {
  // Windows of one pixel, which see no border: on the pictures measured, no mean moves.
  GraphBuilder b;
  const ValueId x = b.Input({kBatch, 6, 5, 5});
  const ValueId conv =
      b.Node("Conv", {x, b.Weight({4, 3, 1, 1}), b.Weight({4})}, Attrs({{"group", int64_t{2}}}));
  const ValueId mean = b.Node("GlobalAveragePool", {conv});
  Graph graph = b.Build(mean);
  ASSERT_TRUE(InferShapes(graph, true).has_value());
  const Pictures pictures = RandomPictures(7, 6 * 5 * 5);
  const QuantizationPlan plan = PlanQuantization(graph, {0}, /*followers=*/false);
  const Mappings mappings = {{x, QuantizationOf(-0.4, 0.9)}};  // clips, and is coarse
  const auto means = MeasureMeans(graph, {0}, mappings, pictures, {});
  ASSERT_TRUE(means.has_value());
  const Scores expected = *ComputeScores(**ScoresRunner(graph, {}), pictures);
  const auto moved = [&](const InputMeans& known) {
    const auto rounded = ScoresRunner(QuantizeGraph(graph, plan, mappings, known), {});
    const Scores scores = *ComputeScores(**rounded, pictures);
    std::vector<double> errors(4);
    for (size_t i = 0; i < scores.values.size(); ++i) {
      errors[i % 4] += (double{scores.values[i]} - expected.values[i]) / 7;
    }
    return std::ranges::max(errors, {}, [](double e) { return std::fabs(e); });
  };
  EXPECT_LT(std::fabs(moved(*means)), 0.001);
  EXPECT_GT(std::fabs(moved({})), 0.02);
  const Scores still = *ComputeScores(**ScoresRunner(graph, {}), pictures);
  EXPECT_EQ(still.values, expected.values) << "the graph it was made of has changed";
}

/// e · covariance · eᵀ of one output's errors; the covariance is given below the diagonal.
double Cost(const std::vector<double>& errors, const std::vector<float>& covariance) {
  const size_t n = errors.size();
  double sum = 0;
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < n; ++j) {
      sum += errors[i] * errors[j] * double{covariance[std::max(i, j) * n + std::min(i, j)]};
    }
  }
  return sum;
}

std::vector<double> Differences(std::span<const float> a, std::span<const float> b) {
  std::vector<double> differences;
  for (size_t i = 0; i < a.size(); ++i) differences.push_back(double{a[i]} - double{b[i]});
  return differences;
}

/// Of `n` inputs that mostly vary together.
std::vector<float> Covariance(size_t n, uint32_t seed) {
  const Tensor factors = RandomTensor({static_cast<int64_t>(n)}, seed);
  std::vector<float> covariance(n * n);
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j <= i; ++j) {
      const float own = i == j ? 0.02f : 0.0f;
      covariance[i * n + j] = (2 + factors.data<float>()[i]) * (2 + factors.data<float>()[j]) + own;
    }
  }
  return covariance;
}

/// l of l · d · lᵀ, by definition, of what RoundTogether takes the covariance for.
std::vector<double> LowerFactor(const std::vector<float>& covariance, size_t n) {
  double variances = 0;
  for (size_t i = 0; i < n; ++i) variances += double{covariance[i * n + i]};
  std::vector<double> l(n * n), d(n);
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j <= i; ++j) {
      double rest = double{covariance[i * n + j]};
      if (i == j) rest += kUnseenVariance * variances / static_cast<double>(n);
      for (size_t k = 0; k < j; ++k) rest -= l[i * n + k] * d[k] * l[j * n + k];
      if (i == j) d[i] = rest;
      l[i * n + j] = i == j ? 1 : rest / d[j];
    }
  }
  return l;
}

TEST(RoundTogether, LeavesEachColumnHalfAStepAtMostAndAllOfThemLittle) {
  // More columns than two blocks, the last of them partial, and several threads.
  constexpr size_t kDepth = 150, kOutputs = 5;
  const std::vector<float> covariance = Covariance(kDepth, 3);
  const std::vector<double> l = LowerFactor(covariance, kDepth);
  const Tensor exact = RandomTensor({kOutputs * kDepth}, 4);
  std::vector<float> weights(exact.data<float>().begin(), exact.data<float>().end());
  for (float& weight : weights) weight *= 100;
  const std::vector<float> before = weights;
  ThreadTeam one, three(3);
  std::vector<float> used = covariance, again = weights;
  RoundTogether(weights, used, three);
  used = covariance;
  RoundTogether(again, used, one);
  EXPECT_EQ(weights, again);
  for (size_t o = 0; o < kOutputs; ++o) {
    const auto row = std::span(weights).subspan(o * kDepth, kDepth);
    const auto own = std::span(before).subspan(o * kDepth, kDepth);
    const std::vector<double> errors = Differences(own, row);
    for (size_t k = 0; k < kDepth; ++k) {
      EXPECT_EQ(row[k], std::nearbyint(row[k]));
      double left = 0;
      for (size_t j = k; j < kDepth; ++j) left += errors[j] * l[j * kDepth + k];
      EXPECT_LE(std::fabs(left), 0.51) << o << ", " << k;
    }
    std::vector<float> nearest(own.begin(), own.end());
    for (float& weight : nearest) weight = std::nearbyint(weight);
    EXPECT_LT(Cost(errors, covariance), Cost(Differences(own, nearest), covariance) / 5);
  }
}

TEST(RoundTogether, RoundsToTheNearestWhatVariesAlone) {
  constexpr size_t kDepth = 70;
  ThreadTeam team;
  for (const float variance : {0.0f, 1.0f}) {
    std::vector<float> covariance(kDepth * kDepth);
    for (size_t i = 0; i < kDepth; ++i) covariance[i * kDepth + i] = variance;
    const Tensor exact = RandomTensor({kDepth}, 5);
    std::vector<float> weights(exact.data<float>().begin(), exact.data<float>().end()), expected;
    for (float& weight : weights) expected.push_back(std::nearbyint(weight *= 100));
    RoundTogether(weights, covariance, team);
    EXPECT_EQ(weights, expected);
  }
}

TEST(WindowStatistics, GiveTheVarianceOfWhatErrorsOfWeightsChange) {
  // Strides, dilations, unequal padding and groups; few enough windows that none is left out.
  GraphBuilder b;
  const ValueId x = b.Input({kBatch, 4, 11, 9});
  const Tensor errors = RandomTensor({6, 2, 3, 2}, 8);
  const ValueId y = b.Node("Conv", {x, b.Constant(errors)},
                           Attrs({{"group", int64_t{2}},
                                  {"strides", testing::IntsAttribute{2, 1}},
                                  {"dilations", testing::IntsAttribute{1, 2}},
                                  {"pads", testing::IntsAttribute{1, 0, 2, 1}}}));
  Graph graph = b.Build(y);
  ASSERT_TRUE(InferShapes(graph, true).has_value());
  const Node& conv = graph.nodes()[0];
  WindowStatistics statistics(*ConvWindow(graph, conv), errors.shape(), 2);
  ThreadTeam team(2);
  const Tensor pictures = RandomTensor({5, 4, 11, 9}, 9);
  for (const int64_t first : {0, 3}) {
    const Shape shape = {first == 0 ? 3 : 2, 4, 11, 9};
    const auto bytes = static_cast<size_t>(first * 4 * 11 * 9) * sizeof(float);
    statistics.Add({DType::kF32, shape, pictures.bytes() + bytes}, team);
  }
  const Tensor results = testing::RunGraph(graph, {{"x", pictures}});
  const auto plane = static_cast<size_t>(results.shape()[2] * results.shape()[3]);
  for (size_t o = 0; o < 6; ++o) {
    double sum = 0, squares = 0;
    for (size_t n = 0; n < 5; ++n) {
      for (const float v : results.data<float>().subspan((n * 6 + o) * plane, plane)) {
        sum += double{v};
        squares += double{v} * double{v};
      }
    }
    const auto count = static_cast<double>(5 * plane);
    const double variance = squares / count - sum / count * (sum / count);
    const auto own = errors.data<float>().subspan(o * 12, 12);
    EXPECT_NEAR(Cost({own.begin(), own.end()}, statistics.Products(o < 3 ? 0 : 1, true)), variance,
                1e-4 * variance);
    const double square = squares / count;
    EXPECT_NEAR(Cost({own.begin(), own.end()}, statistics.Products(o < 3 ? 0 : 1, false)), square,
                1e-4 * square);
  }
}

/// How far weights rounded together move results on pictures not seen before, relative to each
/// weight's nearest.
double MovedByRounding(bool has_bias) {
  GraphBuilder b;
  const ValueId x = b.Input({kBatch, 12, 6, 6});
  const Attributes same = Attrs({{"pads", testing::IntsAttribute{1, 1, 1, 1}}});
  std::vector<ValueId> inputs = {x, b.Weight({16, 12, 3, 3})};
  if (has_bias) inputs.push_back(b.Weight({16}));
  const ValueId conv = b.Node("Conv", inputs, same);
  Graph graph = b.Build(b.Node("Relu", {conv}));
  EXPECT_TRUE(InferShapes(graph, true).has_value());
  Pictures pictures = RandomPictures(24, 12 * 36);
  // Channels that are much alike, as a network's are; a mean, where no bias takes its errors back.
  for (auto& picture : pictures) {
    for (size_t i = 0; i < 36 && !has_bias; ++i) picture[i] += 1;
    for (size_t i = 36; i < picture.size(); ++i) picture[i] = picture[i % 36] + picture[i] / 8;
  }
  const Pictures unseen(pictures.begin() + 16, pictures.end());
  pictures.resize(16);
  const QuantizationPlan plan = PlanQuantization(graph, {0});
  const Mappings mappings = {{x, QuantizationOf(-1.5, 1.5)}, {conv, QuantizationOf(-9, 9)}};
  const auto rounded = RoundWeights(graph, {0}, mappings, pictures, {});
  EXPECT_TRUE(rounded.has_value() && rounded->contains(conv));
  const Scores expected = *ComputeScores(**ScoresRunner(graph, {}), unseen);
  // Of the weights alone: inputs stay as they are.
  const auto error = [&](const RoundedWeights& known) {
    Graph quantized = QuantizeGraph(graph, plan, mappings, {}, known);
    const auto node = std::ranges::find(quantized.nodes(), "Conv", &Node::op);
    node->inputs[0] = x;
    return RelativeError(*ComputeScores(**ScoresRunner(quantized, {}), unseen), expected);
  };
  return error(*rounded) / error({});
}

TEST(RoundWeights, MovesResultsLessThanNearestWeightsDo) {
  EXPECT_LT(MovedByRounding(/*has_bias=*/true), 0.5);
  EXPECT_LT(MovedByRounding(/*has_bias=*/false), 0.5);
}

TEST(QuantizeGraph, KeepsABiasThatIsLargeForItsWeightsWithinS32) {
  GraphBuilder b;
  const ValueId x = b.Input({kBatch, 1, 4, 4});
  const ValueId w = b.Constant(testing::Floats({2, 1, 1, 1}, {1e-12f, 0}));
  const ValueId conv = b.Node("Conv", {x, w, b.Constant(testing::Floats({2}, {100, -3}))});
  Graph graph = b.Build(b.Node("Relu", {conv}));
  ASSERT_TRUE(InferShapes(graph, true).has_value());
  const QuantizationPlan plan = PlanQuantization(graph, {0});
  const Graph quantized = QuantizeGraph(graph, plan, {{x, QuantizationOf(-1, 1)}});
  const Tensor picture = RandomTensor({1, 1, 4, 4}, 3);
  const Tensor y = testing::RunGraph(quantized, {{"x", picture}});
  EXPECT_NEAR(y.data<float>()[0], 100, 1e-3);
  EXPECT_EQ(y.data<float>()[16], 0);
}

TEST(MeasureLayers, SeesTheLayerWithTheWorstRange) {
  SmallCase small;
  // The second convolution's input gets a range of 3 levels.
  const Node& conv = small.graph.nodes()[small.products[1]];
  small.mappings[conv.inputs[0]] =
      QuantizationOf(0, 255 * small.mappings[conv.inputs[0]].scale * 80);
  const auto errors =
      MeasureLayers(small.graph, small.products, small.mappings, {}, {}, small.pictures, {});
  ASSERT_TRUE(errors.has_value());
  const auto worst = std::ranges::max_element(*errors, {}, &LayerError::error);
  EXPECT_EQ(worst->node, small.products[1]);
}

TEST(MeasureLayers, MeasuresWhatIsWritten) {
  const SmallCase small;
  const auto means = MeasureMeans(small.graph, small.products, small.mappings, small.pictures, {});
  const auto rounded =
      RoundWeights(small.graph, small.products, small.mappings, small.pictures, {});
  ASSERT_TRUE(means.has_value() && rounded.has_value());
  const auto errors = MeasureLayers(small.graph, small.products, small.mappings, *means, *rounded,
                                    small.pictures, {});
  ASSERT_TRUE(errors.has_value());
  const Scores reference = *ComputeScores(**ScoresRunner(small.graph, {}), small.pictures);
  const QuantizationPlan first = PlanQuantization(small.graph, {small.products[0]}, false);
  const auto error = [&](const InputMeans& m, const RoundedWeights& r) {
    const Graph alone = QuantizeGraph(small.graph, first, small.mappings, m, r);
    return RelativeError(*ComputeScores(**ScoresRunner(alone, {}), small.pictures), reference);
  };
  EXPECT_EQ(errors->front().error, error(*means, *rounded));
  EXPECT_NE(errors->front().error, error({}, *rounded));
  EXPECT_NE(errors->front().error, error(*means, {}));
}

TEST(SerializeOnnx, WritesWhatTheLoaderReadsBack) {
  const SmallCase small;
  for (const Graph* graph : {&small.graph, &small.quantized}) {
    const auto bytes = SerializeOnnx(*graph);
    ASSERT_TRUE(bytes.has_value()) << bytes.error().message();
    const auto read = ParseOnnx(*bytes);
    ASSERT_TRUE(read.has_value()) << read.error().message();
    EXPECT_EQ(read->nodes().size(), graph->nodes().size());
    const Tensor picture = RandomTensor({2, 3, 12, 12}, 11);
    const Tensor a = testing::RunGraph(*graph, {{"x", picture}}),
                 b = testing::RunGraph(*read, {{"x", picture}});
    testing::ExpectNear(a, b, 0);
    EXPECT_EQ(*bytes, *SerializeOnnx(*graph));
  }
  EXPECT_GT(CountOf(small.quantized, "QuantizeLinear"), 0U);
}

TEST(SerializeOnnx, RefusesOperatorsThatAreNotOnnx) {
  GraphBuilder b;
  const ValueId x = b.Input({kBatch, 3});
  const ValueId one = b.Constant(testing::Floats({}, {1}));
  const ValueId zero = b.Constant(Tensor(DType::kU8, {}));
  Graph graph = b.Build(b.Node("FakeQuantize", {x, one, zero}));
  ASSERT_TRUE(InferShapes(graph, false).has_value());
  const auto bytes = SerializeOnnx(graph);
  ASSERT_FALSE(bytes.has_value());
  EXPECT_EQ(bytes.error().code(), Code::kUnimplemented);
}

TEST(WritePackage, IsReadBackAsItWasAndNeverOverwritten) {
  const trawl::testing::TempDir folder;
  ModelPackage package = testing::WriteSmallModel(folder.path().string());
  package.labels = {"a: b", "#c", "'d'", "é"};
  package.preprocess.mean = {123.675f, 0, 1e-3f};
  package.preprocess.std = {58.395f, 1, 3};
  const auto graph = LoadForQuantization(package);
  ASSERT_TRUE(graph.has_value()) << graph.error().message();
  const std::string out = (folder / "out").string();
  QuantizationRecord record;
  record.validation = Validation{.pictures = 3, .agreement = 1, .labelled = 2};
  ASSERT_TRUE(WritePackage(out + "/", *graph, package, record).ok());
  const auto read = OpenModelPackage(out);
  ASSERT_TRUE(read.has_value()) << read.error().message();
  EXPECT_EQ(read->labels, package.labels);
  EXPECT_EQ(read->preprocess.mean, package.preprocess.mean);
  EXPECT_EQ(read->preprocess.std, package.preprocess.std);
  EXPECT_EQ(read->preprocess.resize, package.preprocess.resize);
  EXPECT_EQ(read->preprocess.height, package.preprocess.height);
  EXPECT_EQ(read->output_kind, package.output_kind);

  const Status again = WritePackage(out, *graph, package, record);
  EXPECT_EQ(again.code(), Code::kAlreadyExists);
  size_t entries = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    ++entries;
  }
  EXPECT_EQ(entries, 2U);  // the model and the package: nothing unfinished is left
}

TEST(WritePackage, KeepsPrecisionAndSaysItInTheName) {
  const trawl::testing::TempDir folder;
  ModelPackage package = testing::WriteSmallModel(folder.path().string());
  package.precision = Precision::kBf16;
  EXPECT_FALSE(LoadForQuantization(package)) << "a model in bf16 is no source";
  package.precision = Precision::kF32;
  const auto graph = LoadForQuantization(package);
  ASSERT_TRUE(graph.has_value()) << graph.error().message();
  package.precision = Precision::kBf16;
  const std::string out = (folder / "out").string();
  ASSERT_TRUE(WritePackage(out, *graph, package, {}).ok());
  const auto read = OpenModelPackage(out);
  ASSERT_TRUE(read.has_value()) << read.error().message();
  EXPECT_EQ(read->precision, Precision::kBf16);
  EXPECT_EQ(read->name, package.name + "-bf16");
  const std::string yaml = trawl::testing::ReadFile(folder / "out/model.yaml");
  EXPECT_EQ(yaml.find("calibration"), std::string::npos) << yaml;
}

TEST(ScoresRunner, RoundsToBf16OnlyWhereItCan) {
  const SmallCase small;
  RunOptions in_bf16;
  in_bf16.bf16 = true;
  const auto rounded = ScoresRunner(small.graph, in_bf16);
  if (simd::MicrokernelsFor(*simd::ChooseIsa()).bf16 == nullptr) {
    ASSERT_FALSE(rounded.has_value());
    EXPECT_EQ(rounded.error().code(), Code::kFailedPrecondition);
    return;
  }
  const auto exact = ScoresRunner(small.graph, {});
  ASSERT_TRUE(exact && rounded);
  const double error = RelativeError(*ComputeScores(**rounded, small.pictures),
                                     *ComputeScores(**exact, small.pictures));
  EXPECT_GT(error, 0);
  EXPECT_LT(error, 0.01);  // a few roundings to 8 bits
}

}  // namespace
}  // namespace trawl::engine
