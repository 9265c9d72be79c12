// Goal: tensors are read from whichever field holds them, and only when the data fits the shape.
// Method: protos filled by hand.

#include "engine/loaders/onnx_tensor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <onnx/onnx_pb.h>

namespace trawl::engine {
namespace {

using ::testing::ElementsAre;
using Proto = onnx::TensorProto;

Proto Make(Proto::DataType type, std::initializer_list<int64_t> dims) {
  Proto proto;
  proto.set_data_type(type);
  for (const int64_t dim : dims) proto.add_dims(dim);
  return proto;
}

TEST(OnnxTensor, ReadsRawBytesAndNumbersAlike) {
  Proto numbers = Make(Proto::FLOAT, {2});
  numbers.add_float_data(1);
  numbers.add_float_data(-2.5f);
  Proto raw = Make(Proto::FLOAT, {2});
  const float values[] = {1, -2.5f};
  raw.set_raw_data(values, sizeof values);
  for (const Proto& proto : {numbers, raw}) {
    const auto tensor = ToTensor(proto);
    ASSERT_TRUE(tensor) << tensor.error().message();
    EXPECT_EQ(tensor->shape(), Shape{2});
    EXPECT_THAT(tensor->data<float>(), ElementsAre(1, -2.5f));
  }
}

TEST(OnnxTensor, WidensHalfFloatsAndNarrowsDoubles) {
  Proto half = Make(Proto::FLOAT16, {4});
  for (const int bits : {0x3C00, 0x0001, 0x7C00, 0x8000}) half.add_int32_data(bits);
  const auto widened = ToTensor(half);
  ASSERT_TRUE(widened);
  EXPECT_THAT(widened->data<float>(),
              ElementsAre(1, 0x1p-24f, std::numeric_limits<float>::infinity(), -0.0f));
  Proto wide = Make(Proto::DOUBLE, {});
  wide.add_double_data(0.5);
  EXPECT_THAT(ToTensor(wide)->data<float>(), ElementsAre(0.5f));
}

TEST(OnnxTensor, ReadsSmallIntegersAndBooleans) {
  Proto bytes = Make(Proto::INT8, {2});
  bytes.add_int32_data(-3);
  bytes.add_int32_data(4);
  EXPECT_THAT(ToTensor(bytes)->data<int8_t>(), ElementsAre(-3, 4));
  Proto flags = Make(Proto::BOOL, {3});
  flags.set_raw_data(std::string("\0\1\x7f", 3));
  EXPECT_THAT(ToTensor(flags)->data<bool>(), ElementsAre(false, true, true));
  Proto wide = Make(Proto::INT64, {1});
  wide.add_int64_data(-7);
  EXPECT_THAT(ToTensor(wide)->data<int64_t>(), ElementsAre(-7));
}

TEST(OnnxTensor, RefusesDataThatDoesNotFitTheShape) {
  Proto shorter = Make(Proto::FLOAT, {1'000'000, 2'000});
  shorter.set_raw_data(std::string(16, 'x'));
  Proto uneven = Make(Proto::FLOAT, {1});
  uneven.set_raw_data(std::string(5, 'x'));
  Proto none = Make(Proto::INT64, {3});
  for (const Proto& proto : {shorter, uneven, none}) {
    EXPECT_EQ(ToTensor(proto).error().code(), Code::kDataLoss);
  }
}

TEST(OnnxTensor, RefusesAbsurdShapes) {
  for (const int64_t dim : {int64_t{-1}, int64_t{1} << 31, INT64_MIN, INT64_MAX}) {
    EXPECT_EQ(ToTensor(Make(Proto::FLOAT, {dim})).error().code(), Code::kInvalidArgument) << dim;
  }
  const int64_t large = (int64_t{1} << 31) - 1;
  EXPECT_EQ(ToTensor(Make(Proto::FLOAT, {large, large, large})).error().code(),
            Code::kInvalidArgument);
}

TEST(OnnxTensor, RefusesExternalDataAndUnknownTypes) {
  Proto external = Make(Proto::FLOAT, {1});
  external.set_data_location(Proto::EXTERNAL);
  auto* entry = external.add_external_data();
  entry->set_key("location");
  entry->set_value("../../../etc/passwd");
  EXPECT_EQ(ToTensor(external).error().code(), Code::kUnimplemented);
  EXPECT_EQ(ToTensor(Make(Proto::STRING, {1})).error().code(), Code::kUnimplemented);
  Proto unknown = Make(Proto::FLOAT, {1});
  unknown.set_data_type(99);
  EXPECT_EQ(ToTensor(unknown).error().code(), Code::kUnimplemented);
}

}  // namespace
}  // namespace trawl::engine
