// Goal: every form of MXNet's .params container is read, and none that lies about itself is.
// Method: containers written byte by byte.

#include "engine/loaders/mxnet_params.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/engine/loaders/mxnet_files.h"

namespace trawl::engine {
namespace {

using testing::Bytes;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Bytes Header(uint64_t arrays) {
  Bytes bytes;
  bytes.U64(0x112).U64(0).U64(arrays);
  return bytes;
}

/// One array `w` of two elements after `shape`, which holds magic, shape and device.
std::string TwoFloats(Bytes shape) {
  return shape.U32(0).F32(1.5f).F32(-2).U64(1).Text("arg:w").str();
}

void ExpectTwoFloats(const std::string& bytes) {
  const auto params = ParseMxnetParams(bytes);
  ASSERT_TRUE(params) << params.error().message();
  ASSERT_EQ(params->count("w"), 1u);
  EXPECT_EQ(params->at("w").shape(), Shape{2});
  EXPECT_THAT(params->at("w").data<float>(), ElementsAre(1.5f, -2));
}

TEST(MxnetParams, ReadsArraysOfVersionOne) {
  ExpectTwoFloats(TwoFloats(Header(1).U32(0xF993FAC8).U32(1).U64(2).U32(1).U32(0)));
}

TEST(MxnetParams, ReadsArraysOfVersionTwo) {
  ExpectTwoFloats(TwoFloats(Header(1).U32(0xF993FAC9).U32(0).U32(1).U64(2).U32(1).U32(0)));
}

TEST(MxnetParams, ReadsArraysOfVersionThree) {
  ExpectTwoFloats(TwoFloats(Header(1).U32(0xF993FACA).U32(0).U32(1).U64(2).U32(1).U32(0)));
}

TEST(MxnetParams, ReadsArraysFromBeforeThereWereVersions) {
  ExpectTwoFloats(TwoFloats(Header(1).U32(1).U32(2).U32(1).U32(0)));
}

TEST(MxnetParams, ReadsScalarsOfVersionThree) {
  const auto params = ParseMxnetParams(Header(1)
                                           .U32(0xF993FACA)
                                           .U32(0)
                                           .U32(0)
                                           .U32(1)
                                           .U32(0)
                                           .U32(0)
                                           .F32(7)
                                           .U64(1)
                                           .Text("aux:s")
                                           .str());
  ASSERT_TRUE(params) << params.error().message();
  EXPECT_TRUE(params->at("s").shape().empty());
  EXPECT_THAT(params->at("s").data<float>(), ElementsAre(7));
}

TEST(MxnetParams, WidensHalfFloatsAndIntegers) {
  // 1.0 and -2.0 in binary16, then int32 values 3 and -4.
  const auto params = ParseMxnetParams(Header(2)
                                           .U32(0xF993FAC8)
                                           .U32(1)
                                           .U64(2)
                                           .U32(1)
                                           .U32(0)
                                           .U32(2)
                                           .U32(0xC0003C00)
                                           .U32(0xF993FAC8)
                                           .U32(1)
                                           .U64(2)
                                           .U32(1)
                                           .U32(0)
                                           .U32(4)
                                           .U32(3)
                                           .U32(0xFFFFFFFC)
                                           .U64(2)
                                           .Text("arg:half")
                                           .Text("arg:int")
                                           .str());
  ASSERT_TRUE(params) << params.error().message();
  EXPECT_THAT(params->at("half").data<float>(), ElementsAre(1, -2));
  EXPECT_THAT(params->at("int").data<float>(), ElementsAre(3, -4));
}

TEST(MxnetParams, RefusesOtherFiles) {
  const auto params = ParseMxnetParams(std::string(64, 'x'));
  ASSERT_FALSE(params);
  EXPECT_EQ(params.error().code(), Code::kDataLoss);
  EXPECT_THAT(params.error().message(), HasSubstr("not an MXNet .params file"));
}

TEST(MxnetParams, RefusesSizesThatTheFileDoesNotHave) {
  const std::string huge_dimension =
      Header(1).U32(0xF993FAC8).U32(1).U64(uint64_t{1} << 61).U32(1).U32(0).U32(0).str();
  const std::string product_overflows = Header(1)
                                            .U32(0xF993FAC8)
                                            .U32(2)
                                            .U64(uint64_t{1} << 33)
                                            .U64(uint64_t{1} << 33)
                                            .U32(1)
                                            .U32(0)
                                            .U32(0)
                                            .str();
  const std::string negative =
      Header(1).U32(0xF993FAC8).U32(1).U64(~uint64_t{0}).U32(1).U32(0).U32(0).str();
  const std::string many_arrays = Header(uint64_t{1} << 60).str();
  const std::string huge_rank = Header(1).U32(0xF993FAC8).U32(1'000'000'000).str();
  const std::string long_name =
      Header(1).U32(0xF993FAC8).U32(1).U64(0).U32(1).U32(0).U32(0).U64(1).U64(1u << 30).str();
  for (const std::string& bytes :
       {huge_dimension, product_overflows, negative, many_arrays, huge_rank, long_name}) {
    const auto params = ParseMxnetParams(bytes + std::string(64, '\0'));
    ASSERT_FALSE(params);
    EXPECT_EQ(params.error().code(), Code::kDataLoss) << params.error().message();
  }
}

TEST(MxnetParams, RefusesSparseArraysAndDoubleNames) {
  const auto sparse = ParseMxnetParams(Header(1).U32(0xF993FAC9).U32(1).U64(0).U64(0).str());
  ASSERT_FALSE(sparse);
  EXPECT_EQ(sparse.error().code(), Code::kUnimplemented);
  const auto twice = ParseMxnetParams(testing::Params({{"arg:w", {1}}, {"aux:w", {1}}}));
  ASSERT_FALSE(twice);
  EXPECT_THAT(twice.error().message(), HasSubstr("two arrays are named 'w'"));
}

TEST(MxnetParams, RefusesWhatFollowsTheLastName) {
  EXPECT_TRUE(ParseMxnetParams(testing::Params({{"arg:w", {2}}})));
  EXPECT_FALSE(ParseMxnetParams(testing::Params({{"arg:w", {2}}}) + "x"));
}

}  // namespace
}  // namespace trawl::engine
