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
#include "tests/unit/engine/loaders/valid_files.h"

namespace trawl::engine {
namespace {

using ::testing::HasSubstr;
using testing::OnnxInput;
using testing::OnnxModel;
using testing::OnnxOutput;
using testing::ValidOnnx;
using testing::ValidParams;
using testing::ValidSymbol;
using Loader = std::function<Result<Graph>(std::string_view)>;

const MxnetOptions kMxnetOptions = testing::ValidMxnetOptions();

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

/// A field of a protobuf message that is a message or a text.
std::string Field(int number, const std::string& bytes) {
  std::string out(1, static_cast<char>(number << 3 | 2));
  for (size_t n = bytes.size();; n >>= 7) {
    out.push_back(static_cast<char>((n & 0x7f) | (n > 0x7f ? 0x80 : 0)));
    if (n <= 0x7f) return out + bytes;
  }
}

/// `count` times the same bytes.
std::string Repeat(const std::string& bytes, size_t count) {
  std::string out;
  for (size_t i = 0; i < count; ++i) out += bytes;
  return out;
}

TEST(HostileBytes, DeepNestingIsRefused) {
  // Graphs within attributes within nodes within graphs; the length of each level is that of the
  // rest, so the bytes are built from the inside.
  std::string graph;
  for (int level = 0; level < 2'000; ++level) {
    graph = Field(1, Field(5, Field(6, graph)));  // GraphProto.node, .attribute, .g
  }
  const auto loaded = ParseOnnx(Field(7, graph));  // ModelProto.graph
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code(), Code::kDataLoss);
}

/// Two bytes of file can be two hundred in memory.
TEST(HostileBytes, FilesThatWouldGrowInMemoryAreRefused) {
  const std::string nothing = Field(1, "");
  for (const std::string& graph : {
           Repeat(Field(1, ""), 600'000),                       // nodes
           Field(1, Repeat(Field(5, ""), 600'000)),             // attributes of a node
           Repeat(Field(5, Repeat(Field(13, ""), 60)), 9'000),  // where weights are said to lie
           Field(11, Field(2, Field(1, Field(2, Repeat(nothing, 600'000))))),  // dimensions
       }) {
    const auto loaded = ParseOnnx(Field(7, graph));
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().code(), Code::kResourceExhausted) << loaded.error().message();
  }
  for (const std::string value : {"[]", "{}", "0", "\"\""}) {
    const auto symbol = ParseMxnetSymbol("{\"nodes\":[" + Repeat(value + ",", 1'100'000) + value +
                                         "],\"heads\":[[0,0]]}");
    ASSERT_FALSE(symbol);
    EXPECT_EQ(symbol.error().code(), Code::kResourceExhausted) << symbol.error().message();
  }
}

TEST(HostileBytes, RanksThatNobodyHasAreRefusedInOneLine) {
  const std::string dims = Repeat("1, ", 100'000) + "1";
  for (const std::string& graph :
       {OnnxInput("x", Repeat("1 ", 100'001)) + OnnxOutput("y") +
            "node { op_type: 'Relu' name: 'r' input: 'x' output: 'y' }",
        OnnxInput("x", "N 4") + OnnxOutput("y") + "initializer { name: 'w' data_type: 1 dims: [" +
            dims + "] float_data: 1 } node { op_type: 'Add' input: 'x' input: 'w' output: 'y' }"}) {
    const auto loaded = ParseOnnx(OnnxModel(13, graph));
    ASSERT_FALSE(loaded);
    EXPECT_THAT(loaded.error().message(), HasSubstr("100001 dimensions"));
    EXPECT_LT(loaded.error().message().size(), 200u);
  }
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
