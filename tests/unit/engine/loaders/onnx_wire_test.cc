// Goal: a model's weights are found where the file has them, and everything else is copied. Method:
// files written by protobuf, or field by field where protobuf would not write them so.

#include "engine/loaders/onnx_wire.h"

#include <gtest/gtest.h>
#include <onnx/onnx_pb.h>

#include "tests/unit/engine/loaders/valid_files.h"

namespace trawl::engine {
namespace {

/// A field that is a message, a text or bytes; shorter than 128 bytes.
std::string Field(int number, const std::string& bytes) {
  return std::string{static_cast<char>(number << 3 | 2), static_cast<char>(bytes.size())} + bytes;
}

/// ModelProto.graph, .initializer.
std::string WithInitializer(const std::string& fields) { return Field(7, Field(5, fields)); }

std::string At(const std::string& file, const ByteRange& range) {
  return file.substr(range.offset, range.size);
}

TEST(OnnxSkeleton, HasEverythingButTheWeights) {
  const std::string file = testing::ValidOnnx();
  onnx::ModelProto whole, skeleton;
  ASSERT_TRUE(whole.ParseFromString(file));
  const auto read = ReadOnnxSkeleton(MemorySource(file));
  ASSERT_TRUE(read) << read.error().message();
  ASSERT_TRUE(skeleton.ParseFromString(read->bytes));
  ASSERT_EQ(read->weights.size(), 2u);
  ASSERT_TRUE(read->weights[0]);
  EXPECT_EQ(At(file, *read->weights[0]), whole.graph().initializer(0).raw_data());
  EXPECT_FALSE(read->weights[1]) << "its numbers are no raw_data";
  whole.mutable_graph()->mutable_initializer(0)->clear_raw_data();
  EXPECT_EQ(skeleton.SerializeAsString(), whole.SerializeAsString());
}

TEST(OnnxSkeleton, TakesTheLastOfSeveralAsProtobufDoes) {
  const std::string file = WithInitializer(Field(9, "first") + Field(8, "w") + Field(9, "last")) +
                           WithInitializer("") + WithInitializer(Field(9, ""));
  onnx::ModelProto whole;
  ASSERT_TRUE(whole.ParseFromString(file));
  ASSERT_EQ(whole.graph().initializer(0).raw_data(), "last");
  const auto read = ReadOnnxSkeleton(MemorySource(file));
  ASSERT_TRUE(read) << read.error().message();
  ASSERT_EQ(read->weights.size(), 3u);
  EXPECT_EQ(At(file, read->weights[0].value()), "last");
  EXPECT_FALSE(read->weights[1]);
  EXPECT_EQ(read->weights[2].value().size, 0u);
}

TEST(OnnxSkeleton, RefusesLengthsBeyondWhatIsThere) {
  const std::string file = WithInitializer(Field(9, "weights"));
  ASSERT_TRUE(ReadOnnxSkeleton(MemorySource(file)));
  for (size_t size = 1; size < file.size(); ++size) {
    const auto cut = ReadOnnxSkeleton(MemorySource(std::string_view(file).substr(0, size)));
    ASSERT_FALSE(cut) << size;
    EXPECT_EQ(cut.error().code(), Code::kDataLoss);
  }
  // Weights that are longer than their initialiser, which is longer than the graph.
  for (const size_t length : {3u, 5u}) {
    std::string lie = file + std::string(100, '\0');
    lie[length] = static_cast<char>(lie[length] + 1);
    EXPECT_FALSE(ReadOnnxSkeleton(MemorySource(lie))) << length;
  }
}

}  // namespace
}  // namespace trawl::engine
