// Goal: no bytes crash a loader, hang it or make it allocate beyond what the file itself is worth.
// Method: every loader is fed truncations of valid files, files with flipped bits, and lies about
// sizes. Whatever comes back is fine as long as it comes back; a graph that is accepted must hold
// together (Graph::Verify). Run it under the address sanitizer too.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "engine/compiled_graph.h"
#include "engine/loaders/loaders.h"
#include "engine/loaders/mxnet_params.h"
#include "engine/loaders/mxnet_symbol.h"
#include "engine/ops.h"
#include "tests/support/seed.h"
#include "tests/unit/engine/loaders/mxnet_files.h"
#include "tests/unit/engine/loaders/onnx_files.h"

namespace trawl::engine {
namespace {

using ::testing::HasSubstr;
using Loader = std::function<Result<Graph>(std::string_view)>;

std::string ValidOnnx() {
  return testing::OnnxModel(
      11, testing::OnnxInput("data", "N 3 8 8") + testing::OnnxOutput("prob") +
              "initializer { name: 'w' data_type: 1 dims: [4, 3, 3, 3] raw_data: '" +
              std::string(4 * 3 * 3 * 3 * 4, 'A') +
              "' } initializer { name: 's' data_type: 7 dims: 2 int64_data: [0, -1] } "
              "node { op_type: 'Conv' name: 'c' input: 'data' input: 'w' output: 'm' attribute { "
              "name: 'pads' type: INTS ints: [1, 1, 1, 1] } } "
              "node { op_type: 'MaxPool' input: 'm' output: 'p' attribute { name: 'kernel_shape' "
              "type: INTS ints: [2, 2] } attribute { name: 'strides' type: INTS ints: [2, 2] } } "
              "node { op_type: 'Reshape' input: 'p' input: 's' output: 'r' } "
              "node { op_type: 'Softmax' input: 'r' output: 'prob' }");
}

std::string ValidSymbol() {
  return testing::Symbol(
      {{"null", "data", {}, {}},
       {"null", "w", {}, {}},
       {"null", "b", {}, {}},
       {"Convolution",
        "c",
        {{"kernel", "(3, 3)"}, {"pad", "(1, 1)"}, {"num_filter", "4"}},
        {0, 1, 2}},
       {"Pooling", "p", {{"kernel", "(2, 2)"}, {"stride", "(2, 2)"}, {"pool_type", "avg"}}, {3}},
       {"Reshape", "r", {{"shape", "(0, -1)"}}, {4}},
       {"SoftmaxOutput", "softmax", {}, {5}}});
}

std::string ValidParams() { return testing::Params({{"arg:w", {4, 3, 3, 3}}, {"arg:b", {4}}}); }

const MxnetOptions kMxnetOptions = {.input_shape = {kBatch, 3, 8, 8}};

struct Victim {
  const char* name;
  std::string valid;
  Loader load;
};

std::vector<Victim> Victims() {
  return {{"ONNX", ValidOnnx(), [](std::string_view bytes) { return ParseOnnx(bytes); }},
          {"symbol", ValidSymbol(),
           [](std::string_view bytes) { return ParseMxnet(bytes, ValidParams(), kMxnetOptions); }},
          {"params", ValidParams(),
           [](std::string_view bytes) { return ParseMxnet(ValidSymbol(), bytes, kMxnetOptions); }}};
}

/// Loads and, when that works, goes on as the engine would.
void Feed(const Victim& victim, const std::string& bytes) {
  Result<Graph> graph = victim.load(bytes);
  if (!graph) {
    EXPECT_FALSE(graph.error().message().empty());
    return;
  }
  EXPECT_TRUE(graph->Verify().ok());
  const auto compiled = CompiledGraph::Compile(std::move(*graph));
  EXPECT_TRUE(compiled || !compiled.error().message().empty());
}

TEST(HostileBytes, ValidFilesAreAccepted) {
  for (const Victim& victim : Victims()) {
    const auto graph = victim.load(victim.valid);
    ASSERT_TRUE(graph) << victim.name << ": " << graph.error().message();
  }
}

TEST(HostileBytes, TruncatedFilesAreRefused) {
  for (const Victim& victim : Victims()) {
    for (size_t twentieth = 0; twentieth < 20; ++twentieth) {
      const std::string cut = victim.valid.substr(0, victim.valid.size() * twentieth / 20);
      EXPECT_FALSE(victim.load(cut)) << victim.name << " cut to " << cut.size() << " bytes";
    }
  }
}

TEST(HostileBytes, FlippedBitsNeverCrash) {
  std::mt19937 random(trawl::testing::FuzzSeed());
  for (const Victim& victim : Victims()) {
    for (int round = 0; round < 1'000; ++round) {
      std::string bytes = victim.valid;
      for (auto flips = 1 + random() % 3; flips > 0; --flips) {
        bytes[random() % bytes.size()] ^= static_cast<char>(1 << (random() % 8));
      }
      Feed(victim, bytes);
    }
  }
}

TEST(HostileBytes, RandomPiecesNeverCrash) {
  std::mt19937 random(trawl::testing::FuzzSeed());
  for (const Victim& victim : Victims()) {
    for (int round = 0; round < 300; ++round) {
      std::string bytes = victim.valid;
      const size_t from = random() % bytes.size(), to = random() % bytes.size();
      const size_t length = random() % 64;
      bytes.insert(to, bytes.substr(from, length));
      Feed(victim, bytes);
    }
  }
}

TEST(HostileBytes, NumbersAtTheirLimitsNeverCrash) {
  for (const char* value :
       {"-9223372036854775808", "9223372036854775807", "-1", "0", "2147483648"}) {
    const std::string v = value;
    for (const char* key : {"kernel", "stride", "pad", "dilate"}) {
      const std::string symbol = testing::Symbol(
          {{"null", "data", {}, {}},
           {"Pooling",
            "p",
            {{"kernel", "(2, 2)"}, {key, "(" + v + ", " + v + ")"}, {"pooling_convention", "full"}},
            {0}}});
      Feed({"pooling", "",
            [&](std::string_view) {
              return ParseMxnet(symbol, testing::Params({}), kMxnetOptions);
            }},
           "");
    }
    for (const char* op : {"Reshape", "SliceChannel", "SwapAxis", "slice_axis", "mean", "Concat",
                           "transpose", "expand_dims", "Pad", "LRN"}) {
      const std::string list = "(" + v + ", " + v + ", " + v + ", " + v + ")";
      const std::string symbol =
          testing::Symbol({{"null", "data", {}, {}},
                           {op,
                            "op",
                            {{"shape", list},
                             {"axis", v},
                             {"num_outputs", v},
                             {"dim1", v},
                             {"dim2", v},
                             {"begin", v},
                             {"end", v},
                             {"dim", v},
                             {"axes", list},
                             {"nsize", v},
                             {"pad_width", "(" + v + ",0,0,0,0,0,0," + v + ")"},
                             {"mode", "constant"}},
                            {0}}});
      Feed({op, "",
            [&](std::string_view) {
              return ParseMxnet(symbol, testing::Params({}), kMxnetOptions);
            }},
           "");
    }
    for (const char* name : {"kernel_shape", "strides", "pads", "dilations"}) {
      const std::string bytes = testing::OnnxModel(
          13, testing::OnnxInput("x", "N 3 8 8") + testing::OnnxOutput("y") +
                  "node { op_type: 'MaxPool' input: 'x' output: 'y' attribute { name: '" + name +
                  "' type: INTS ints: [" + v + ", " + v + "] } }");
      Feed({"window", "", [&](std::string_view) { return ParseOnnx(bytes); }}, "");
    }
    const std::string input = testing::OnnxModel(
        13, testing::OnnxInput("x", "N " + v + " " + v + " " + v) + testing::OnnxOutput("y") +
                "node { op_type: 'Relu' input: 'x' output: 'y' }");
    Feed({"input", "", [&](std::string_view) { return ParseOnnx(input); }}, "");
  }
}

TEST(HostileBytes, DeepNestingIsRefused) {
  // Graphs within attributes within nodes within graphs; the length of each level is that of the
  // rest, so the bytes are built from the inside.
  std::string graph;
  const auto field = [](int number, const std::string& bytes) {
    std::string out(1, static_cast<char>(number << 3 | 2));
    for (size_t n = bytes.size();; n >>= 7) {
      out.push_back(static_cast<char>((n & 0x7f) | (n > 0x7f ? 0x80 : 0)));
      if (n <= 0x7f) return out + bytes;
    }
  };
  for (int level = 0; level < 2'000; ++level) {
    graph = field(1, field(5, field(6, graph)));  // GraphProto.node, .attribute, .g
  }
  const auto loaded = ParseOnnx(field(7, graph));  // ModelProto.graph
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code(), Code::kDataLoss);
}

TEST(HostileBytes, ExternalDataIsNeverOpened) {
  const auto graph = ParseOnnx(testing::OnnxModel(
      13,
      testing::OnnxInput("x", "N 4") + testing::OnnxOutput("y") +
          "initializer { name: 'w' data_type: 1 dims: 4 data_location: EXTERNAL external_data { "
          "key: 'location' value: '../../../../etc/passwd' } } "
          "node { op_type: 'Add' input: 'x' input: 'w' output: 'y' }"));
  ASSERT_FALSE(graph);
  EXPECT_EQ(graph.error().code(), Code::kUnimplemented);
  EXPECT_THAT(graph.error().message(), HasSubstr("weight 'w'"));
}

}  // namespace
}  // namespace trawl::engine
