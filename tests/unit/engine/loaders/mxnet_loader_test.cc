// Goal: MXNet's operators mean here what they mean there, defaults and odd rules included.
// Method: small symbols; the graphs are looked at, and pooling is compared with MXNet's own
// formula.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string_view>

#include "engine/compiled_graph.h"
#include "engine/loaders/loaders.h"
#include "tests/unit/engine/loaders/mxnet_files.h"

namespace trawl::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::Params;
using testing::Symbol;
using testing::SymbolEntry;
using Attrs = std::map<std::string, std::string>;

const MxnetOptions kSmall = {.input_shape = {kBatch, 2, 5, 7}};

/// `op` over `data`, followed by nothing.
std::string OneOperator(const std::string& op, const Attrs& attributes) {
  return Symbol({{"null", "data", {}, {}}, {op, "op", attributes, {0}}});
}

/// The output of a one-operator symbol for one image; `data` is [1, 2, 5, 7] unless given.
std::vector<float> RunOperator(const std::string& op, const Attrs& attributes,
                               const std::vector<float>& data, Shape shape = {1, 2, 5, 7}) {
  Shape input_shape = shape;
  input_shape[0] = kBatch;
  const auto graph =
      ParseMxnet(OneOperator(op, attributes), Params({}), {.input_shape = input_shape});
  EXPECT_TRUE(graph) << graph.error().message();
  if (!graph) return {};
  const auto outputs = RunOnce(*graph, {{"data", Tensor::Of<float>(shape, data)}});
  EXPECT_TRUE(outputs) << outputs.error().message();
  if (!outputs) return {};
  const auto values = outputs->begin()->second.data<float>();
  return {values.begin(), values.end()};
}

std::vector<float> Ramp(size_t count) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = std::sin(static_cast<float>(i)) - 0.5f;
  return values;
}

/// The value with this op in the graph of `symbol`.
const Node& FindOp(const Graph& graph, std::string_view op) {
  const auto found = std::ranges::find(graph.nodes(), op, &Node::op);
  CHECK(found != graph.nodes().end());
  return *found;
}

std::string ConvNetwork(const Attrs& batch_norm) {
  return Symbol(
      {{"null", "data", {}, {}},
       {"null", "conv_weight", {}, {}},
       {"Convolution",
        "conv",
        {{"kernel", "(3, 3)"}, {"num_filter", "4"}, {"no_bias", "True"}, {"workspace", "512"}},
        {0, 1}},
       {"null", "bn_gamma", {}, {}},
       {"null", "bn_beta", {}, {}},
       {"null", "bn_moving_mean", {}, {}},
       {"null", "bn_moving_var", {}, {}},
       {"BatchNorm", "bn", batch_norm, {2, 3, 4, 5, 6}},
       {"null", "fc_weight", {}, {}},
       {"null", "fc_bias", {}, {}},
       {"FullyConnected", "fc", {{"num_hidden", "3"}}, {7, 8, 9}},
       {"null", "softmax_label", {}, {}},
       {"SoftmaxOutput", "softmax", {}, {10, 11}}});
}

std::string ConvParams() {
  return Params({{"arg:conv_weight", {4, 2, 3, 3}},
                 {"arg:bn_gamma", {4}, 5},
                 {"arg:bn_beta", {4}},
                 {"aux:bn_moving_mean", {4}},
                 {"aux:bn_moving_var", {4}},
                 {"arg:fc_weight", {3, 4 * 3 * 5}},
                 {"arg:fc_bias", {3}}});
}

TEST(MxnetLoader, ReadsAClassifierAndDropsItsLabels) {
  const auto graph = ParseMxnet(ConvNetwork({}), ConvParams(), kSmall);
  ASSERT_TRUE(graph) << graph.error().message();
  ASSERT_EQ(graph->inputs().size(), 1u);
  EXPECT_EQ(graph->value(graph->inputs()[0]).name, "data");
  const Value& output = graph->value(graph->outputs()[0]);
  EXPECT_EQ(output.name, "softmax_output");
  EXPECT_EQ(output.shape, (Shape{kBatch, 3}));
  EXPECT_NE(graph->FindValue("bn_output"), kNoValue);
}

TEST(MxnetLoader, FixesGammaUnlessToldOtherwise) {
  const auto gamma = [](const Attrs& attributes) {
    const auto graph = ParseMxnet(ConvNetwork(attributes), ConvParams(), kSmall);
    CHECK(graph.has_value());
    const Node& node = FindOp(*graph, "BatchNormalization");
    return graph->value(node.inputs[1]).constant->data<float>()[0];
  };
  EXPECT_EQ(gamma({}), 1);
  EXPECT_EQ(gamma({{"fix_gamma", "True"}}), 1);
  EXPECT_EQ(gamma({{"fix_gamma", "False"}}), 5);
}

TEST(MxnetLoader, TakesMxnetsOwnEpsilon) {
  const auto graph = ParseMxnet(ConvNetwork({}), ConvParams(), kSmall);
  ASSERT_TRUE(graph);
  EXPECT_EQ(FindOp(*graph, "BatchNormalization").attributes.Float("epsilon", 0), 1e-3f);
}

TEST(MxnetLoader, FindsStatisticsThatOldFilesDoNotList) {
  const std::string symbol = Symbol({{"null", "data", {}, {}},
                                     {"null", "bn_gamma", {}, {}},
                                     {"null", "bn_beta", {}, {}},
                                     {"BatchNorm", "bn", {}, {0, 1, 2}}},
                                    "param");
  const std::vector<testing::Array> weights = {{"arg:bn_gamma", {2}}, {"arg:bn_beta", {2}}};
  auto with_statistics = weights;
  with_statistics.push_back({"aux:bn_moving_mean", {2}});
  with_statistics.push_back({"aux:bn_moving_var", {2}});
  EXPECT_TRUE(ParseMxnet(symbol, Params(with_statistics), kSmall));
  const auto missing = ParseMxnet(symbol, Params(weights), kSmall);
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().message(), HasSubstr("bn_moving_mean"));
}

TEST(MxnetLoader, NamesWhatItDoesNotSupport) {
  const auto graph = ParseMxnet(OneOperator("UpSampling", {{"scale", "2"}}), Params({}), kSmall);
  ASSERT_FALSE(graph);
  EXPECT_EQ(graph.error().code(), Code::kUnimplemented);
  EXPECT_THAT(graph.error().message(), HasSubstr("node 'op' (UpSampling)"));
}

TEST(MxnetLoader, NamesAParameterThatIsMissing) {
  auto params = Params({{"arg:bn_gamma", {4}}});
  const auto graph = ParseMxnet(ConvNetwork({}), params, kSmall);
  ASSERT_FALSE(graph);
  EXPECT_THAT(graph.error().message(), HasSubstr("'conv_weight' has no parameters"));
}

TEST(MxnetLoader, RefusesWeightsThatDoNotFit) {
  const auto graph =
      ParseMxnet(Symbol({{"null", "data", {}, {}},
                         {"null", "w", {}, {}},
                         {"Convolution",
                          "c",
                          {{"kernel", "(3, 3)"}, {"num_filter", "8"}, {"no_bias", "1"}},
                          {0, 1}}}),
                 Params({{"arg:w", {4, 2, 3, 3}}}), kSmall);
  ASSERT_FALSE(graph);
  EXPECT_THAT(graph.error().message(), HasSubstr("num_filter is 8"));
}

struct PoolCase {
  int64_t kernel, stride, pad;
  bool max, full, count_include_pad;
};

/// MXNet's pooling of one row-major plane, after src/operator/nn/pool.h's rules.
std::vector<float> MxnetPool(const std::vector<float>& data, int64_t height, int64_t width,
                             const PoolCase& c) {
  const auto outputs = [&](int64_t size) {
    const double room =
        static_cast<double>(size + 2 * c.pad - c.kernel) / static_cast<double>(c.stride);
    return 1 + static_cast<int64_t>(c.full ? std::ceil(room) : std::floor(room));
  };
  std::vector<float> out;
  for (int64_t oy = 0; oy < outputs(height); ++oy) {
    for (int64_t ox = 0; ox < outputs(width); ++ox) {
      int64_t y0 = oy * c.stride - c.pad, x0 = ox * c.stride - c.pad;
      int64_t y1 = std::min(y0 + c.kernel, height + c.pad);
      int64_t x1 = std::min(x0 + c.kernel, width + c.pad);
      int64_t area = (y1 - y0) * (x1 - x0);
      y0 = std::max<int64_t>(y0, 0), x0 = std::max<int64_t>(x0, 0);
      y1 = std::min(y1, height), x1 = std::min(x1, width);
      if (!c.count_include_pad) area = (y1 - y0) * (x1 - x0);
      float best = -INFINITY, sum = 0;
      for (int64_t y = y0; y < y1; ++y) {
        for (int64_t x = x0; x < x1; ++x) {
          const float value = data[static_cast<size_t>(y * width + x)];
          best = std::max(best, value);
          sum += value;
        }
      }
      out.push_back(c.max ? best : sum / static_cast<float>(area));
    }
  }
  return out;
}

TEST(MxnetLoader, PoolsAsMxnetDoesAtEveryBorder) {
  const std::vector<float> data = Ramp(5 * 7);
  for (const int64_t kernel : {2, 3}) {
    for (const int64_t stride : {1, 2, 3}) {
      for (const int64_t pad : {0, 1}) {
        for (int bits = 0; bits < 8; ++bits) {
          const PoolCase c = {kernel,          stride,          pad,
                              (bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0};
          const auto text = [](int64_t n) { return fmt::format("({}, {})", n, n); };
          const std::vector<float> expected = MxnetPool(data, 5, 7, c);
          const Attrs attributes = {{"kernel", text(kernel)},
                                    {"stride", text(stride)},
                                    {"pad", text(pad)},
                                    {"pool_type", c.max ? "max" : "avg"},
                                    {"pooling_convention", c.full ? "full" : "valid"},
                                    {"count_include_pad", c.count_include_pad ? "True" : "False"}};
          const auto graph = ParseMxnet(OneOperator("Pooling", attributes), Params({}),
                                        {.input_shape = {kBatch, 1, 5, 7}});
          if (!graph) {  // a window that lies wholly in the padding has no meaning
            EXPECT_THAT(graph.error().message(), HasSubstr("wholly in the padding"));
            EXPECT_TRUE(c.full && stride >= kernel);
            continue;
          }
          SCOPED_TRACE(
              fmt::format("kernel {} stride {} pad {} bits {}", kernel, stride, pad, bits));
          const std::vector<float> actual = RunOperator("Pooling", attributes, data, {1, 1, 5, 7});
          EXPECT_THAT(actual, ::testing::Pointwise(::testing::FloatNear(1e-6f), expected));
        }
      }
    }
  }
}

TEST(MxnetLoader, UnderstandsReshapeCodes) {
  const std::pair<const char*, Shape> cases[] = {{"(0, -1)", {kBatch, 70}},
                                                 {"(-1, 70)", {kBatch, 70}},
                                                 {"(0, -2)", {kBatch, 2, 5, 7}},
                                                 {"(0, -3, 7)", {kBatch, 10, 7}},
                                                 {"(0, -4, 1, 2, -2)", {kBatch, 1, 2, 5, 7}},
                                                 {"(0, -4, -1, 2, 0, 0)", {kBatch, 1, 2, 5, 7}},
                                                 {"(-3, 0, 0)", {-2, 5, 7}}};
  for (const auto& [codes, shape] : cases) {
    const auto graph = ParseMxnet(OneOperator("Reshape", {{"shape", codes}}), Params({}), kSmall);
    ASSERT_TRUE(graph) << codes << ": " << graph.error().message();
    EXPECT_EQ(graph->value(graph->outputs()[0]).shape, shape) << codes;
  }
  for (const char* codes :
       {"(0, -9)", "(0, 0, 0, 0, 0)", "(0, -4, 2)", "(0, -4, 3, 3, -2)", "()"}) {
    EXPECT_FALSE(ParseMxnet(OneOperator("Reshape", {{"shape", codes}}), Params({}), kSmall))
        << codes;
  }
}

TEST(MxnetLoader, PadsInMxnetsOrder) {
  const auto graph = ParseMxnet(
      OneOperator("Pad", {{"mode", "constant"}, {"pad_width", "(0, 0, 0, 0, 1, 2, 3, 4)"}}),
      Params({}), kSmall);
  ASSERT_TRUE(graph) << graph.error().message();
  EXPECT_EQ(graph->value(graph->outputs()[0]).shape, (Shape{kBatch, 2, 8, 14}));
}

TEST(MxnetLoader, PutsScalarsOnTheirSide) {
  const std::vector<float> data = {1, 2, 4, 8};
  const Shape shape = {1, 4, 1, 1};
  EXPECT_THAT(RunOperator("_rminus_scalar", {{"scalar", "10"}}, data, shape),
              ElementsAre(9, 8, 6, 2));
  EXPECT_THAT(RunOperator("_minus_scalar", {{"scalar", "1"}}, data, shape),
              ElementsAre(0, 1, 3, 7));
  EXPECT_THAT(RunOperator("_rdiv_scalar", {{"scalar", "8"}}, data, shape), ElementsAre(8, 4, 2, 1));
  EXPECT_THAT(RunOperator("clip", {{"a_min", "2"}, {"a_max", "6"}}, data, shape),
              ElementsAre(2, 2, 4, 6));
}

TEST(MxnetLoader, NormalisesOverTheAxesThatMxnetMeans) {
  const std::vector<float> data(8, 1.0f);
  const Shape shape = {1, 2, 2, 2};
  EXPECT_THAT(RunOperator("SoftmaxOutput", {}, data, shape), ::testing::Each(1.0f / 8));
  EXPECT_THAT(RunOperator("SoftmaxOutput", {{"multi_output", "True"}}, data, shape),
              ::testing::Each(1.0f / 2));
  EXPECT_THAT(RunOperator("softmax", {}, data, shape), ::testing::Each(1.0f / 2));
  EXPECT_THAT(RunOperator("mean", {{"axis", "(2, 3)"}}, data, shape), ElementsAre(1, 1));
  EXPECT_THAT(RunOperator("sum", {{"axis", "(0, 1)"}, {"exclude", "1"}}, data, shape),
              ElementsAre(4, 4));
}

}  // namespace
}  // namespace trawl::engine
