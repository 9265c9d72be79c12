// Goal: symbol files of all MXNet versions are read alike; broken ones are refused by name of node.
// Method: small files in each version's form.

#include "engine/loaders/mxnet_symbol.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/engine/loaders/mxnet_files.h"

namespace trawl::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

SymbolNode NodeWith(std::map<std::string, std::string, std::less<>> attributes) {
  SymbolNode node;
  node.attributes = std::move(attributes);
  return node;
}

TEST(MxnetSymbol, ReadsAttributesOfEveryVersion) {
  for (const char* key : {"param", "attr", "attrs"}) {
    const auto symbol = ParseMxnetSymbol(
        testing::Symbol({{"null", "data", {}, {}}, {"Flatten", "flat", {{"a", "1"}}, {0}}}, key));
    ASSERT_TRUE(symbol) << symbol.error().message();
    EXPECT_EQ(symbol->nodes[1].Int("a", std::nullopt), 1) << key;
  }
}

TEST(MxnetSymbol, ReadsEdgesWithAndWithoutVersion) {
  const auto symbol = ParseMxnetSymbol(
      R"({"nodes":[{"op":"null","name":"data","inputs":[]},
                   {"op":"Flatten","name":"f","inputs":[[0,0]]}],"heads":[[1,0]]})");
  ASSERT_TRUE(symbol) << symbol.error().message();
  EXPECT_EQ(symbol->nodes[1].inputs[0].node, 0u);
}

TEST(MxnetSymbol, ReadsTuplesAsEveryPythonWroteThem) {
  for (const char* text : {"(3, 5)", "[3,5]", "(3L, 5L)", "( 3 ,5, )"}) {
    const auto values = NodeWith({{"kernel", text}}).Ints("kernel", {});
    ASSERT_TRUE(values) << text;
    EXPECT_THAT(*values, ElementsAre(3, 5)) << text;
  }
  EXPECT_THAT(*NodeWith({{"kernel", "7"}}).Ints("kernel", {}), ElementsAre(7));
  EXPECT_TRUE(NodeWith({{"kernel", "()"}}).Ints("kernel", {1})->empty());
  EXPECT_THAT(*NodeWith({{"kernel", "None"}}).Ints("kernel", {1}), ElementsAre(1));
  EXPECT_FALSE(NodeWith({{"kernel", "(3, x)"}}).Ints("kernel", {}));
}

TEST(MxnetSymbol, ReadsNumbersAndBooleans) {
  const SymbolNode node =
      NodeWith({{"eps", "2e-05"}, {"yes", "True"}, {"no", "0"}, {"bad", "yes!"}});
  EXPECT_FLOAT_EQ(*node.Float("eps", std::nullopt), 2e-5f);
  EXPECT_EQ(node.Bool("yes", false), true);
  EXPECT_EQ(node.Bool("no", true), false);
  EXPECT_EQ(node.Bool("absent", true), true);
  EXPECT_FALSE(node.Bool("bad", true));
  EXPECT_FALSE(node.Int("absent", std::nullopt));
}

TEST(MxnetSymbol, RefusesEdgesThatDoNotComeFromBefore) {
  const auto symbol = ParseMxnetSymbol(testing::Symbol({{"Flatten", "loop", {}, {0}}}));
  ASSERT_FALSE(symbol);
  EXPECT_THAT(symbol.error().message(), HasSubstr("'loop'"));
  EXPECT_THAT(symbol.error().message(), HasSubstr("not before it"));
}

TEST(MxnetSymbol, RefusesWhatIsNoSymbolFile) {
  for (const char* text :
       {"", "{", "[]", "{}", R"({"nodes":1,"heads":[[0,0]]})", R"({"nodes":[],"heads":[]})",
        R"({"nodes":[{}],"heads":[[0,0]]})",
        R"({"nodes":[{"op":"null","name":"d"}],"heads":[[1,0]]})",
        R"({"nodes":[{"op":"null","name":"d"}],"heads":[[-1,0]]})",
        R"({"nodes":[{"op":"null","name":"d","inputs":3}],"heads":[[0,0]]})",
        R"({"nodes":[{"op":"f","name":"d","attrs":{"a":1}}],"heads":[[0,0]]})"}) {
    EXPECT_FALSE(ParseMxnetSymbol(text)) << text;
  }
}

TEST(MxnetSymbol, RefusesDeepNesting) {
  for (const std::string& text :
       {std::string(1'000'000, '['),
        R"({"nodes":)" + std::string(9, '[') + std::string(9, ']') + R"(,"heads":[[0,0]]})"}) {
    const auto symbol = ParseMxnetSymbol(text);
    ASSERT_FALSE(symbol);
    EXPECT_EQ(symbol.error().code(), Code::kDataLoss);
    EXPECT_EQ(symbol.error().message(), "the symbol file nests more than 8 deep");
  }
}

}  // namespace
}  // namespace trawl::engine
