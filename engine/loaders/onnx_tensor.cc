#include "engine/loaders/onnx_tensor.h"

#include <onnx/onnx_pb.h>

#include <bit>
#include <cstring>
#include <type_traits>

#include "engine/limits.h"
#include "engine/loaders/float16.h"

namespace trawl::engine {
namespace {

static_assert(std::endian::native == std::endian::little, "raw_data is little-endian");

using Proto = onnx::TensorProto;

Result<Shape> CheckedShape(const Proto& proto) {
  if (proto.dims_size() > static_cast<int>(kMaxRank)) {
    return Error(Code::kUnimplemented, "{} dimensions, at most {} are supported", proto.dims_size(),
                 kMaxRank);
  }
  Shape shape;
  for (const int64_t dim : proto.dims()) {
    if (dim < 0 || dim > INT32_MAX) return Error(Code::kInvalidArgument, "a dimension of {}", dim);
    shape.push_back(dim);
  }
  if (!CheckedElementCount(shape)) {
    return Error(Code::kInvalidArgument, "shape {} is too large", ToString(shape));
  }
  return shape;
}

/// `count` elements of `Stored` in raw_data, or as numbers in `field`, which is how small tensors
/// and old files are written. The count is compared with what is there before anything is
/// allocated.
template <class T, class Stored, class Field, class Convert>
Result<Tensor> Read(const Proto& proto, DType dtype, const Shape& shape, const Field& field,
                    const Convert& convert) {
  const auto count = static_cast<uint64_t>(ElementCount(shape));
  const std::string& raw = proto.raw_data();
  const bool is_raw = proto.has_raw_data();
  if (is_raw ? raw.size() / sizeof(Stored) != count || raw.size() % sizeof(Stored) != 0
             : static_cast<uint64_t>(field.size()) != count) {
    return Error(Code::kDataLoss, "{} {} of data for shape {}",
                 is_raw ? raw.size() : static_cast<size_t>(field.size()),
                 is_raw ? "bytes" : "numbers", ToString(shape));
  }
  Tensor tensor(dtype, shape);
  const std::span<T> out = tensor.mutable_data<T>();
  if constexpr (std::is_same_v<T, Stored>) {  // nothing to convert
    if (is_raw && !raw.empty()) std::memcpy(out.data(), raw.data(), raw.size());
    if (is_raw) return tensor;
  }
  for (size_t i = 0; i < out.size(); ++i) {
    Stored stored;
    if (is_raw) {
      std::memcpy(&stored, raw.data() + i * sizeof(Stored), sizeof(Stored));
    } else {
      stored = static_cast<Stored>(field[static_cast<int>(i)]);
    }
    out[i] = static_cast<T>(convert(stored));
  }
  return tensor;
}

}  // namespace

Result<DType> ToDType(int onnx_type) {
  switch (onnx_type) {
    case Proto::FLOAT:
    case Proto::FLOAT16:
    case Proto::DOUBLE:
      return DType::kF32;
    case Proto::INT8:
      return DType::kI8;
    case Proto::UINT8:
      return DType::kU8;
    case Proto::INT32:
      return DType::kI32;
    case Proto::INT64:
      return DType::kI64;
    case Proto::BOOL:
      return DType::kBool;
    default:
      return Error(Code::kUnimplemented, "type {} is not supported",
                   Proto::DataType_IsValid(onnx_type)
                       ? Proto::DataType_Name(static_cast<Proto::DataType>(onnx_type))
                       : std::to_string(onnx_type));
  }
}

Result<Tensor> ToTensor(const Proto& proto) {
  if (proto.data_location() == Proto::EXTERNAL || proto.external_data_size() > 0) {
    return Error(Code::kUnimplemented, "data in another file is not supported");
  }
  if (proto.has_segment()) return Error(Code::kUnimplemented, "segments are not supported");
  TRAWL_ASSIGN(const DType dtype, ToDType(proto.data_type()));
  TRAWL_ASSIGN(const Shape shape, CheckedShape(proto));
  const auto same = [](auto value) { return value; };
  switch (proto.data_type()) {
    case Proto::FLOAT:
      return Read<float, float>(proto, dtype, shape, proto.float_data(), same);
    case Proto::DOUBLE:
      return Read<float, double>(proto, dtype, shape, proto.double_data(), same);
    case Proto::FLOAT16:
      return Read<float, uint16_t>(proto, dtype, shape, proto.int32_data(), HalfToFloat);
    case Proto::INT8:
      return Read<int8_t, int8_t>(proto, dtype, shape, proto.int32_data(), same);
    case Proto::UINT8:
      return Read<uint8_t, uint8_t>(proto, dtype, shape, proto.int32_data(), same);
    case Proto::INT32:
      return Read<int32_t, int32_t>(proto, dtype, shape, proto.int32_data(), same);
    case Proto::INT64:
      return Read<int64_t, int64_t>(proto, dtype, shape, proto.int64_data(), same);
    default:  // any byte but 0 is true, and only 0 and 1 are C++'s booleans
      return Read<bool, uint8_t>(proto, dtype, shape, proto.int32_data(),
                                 [](uint8_t value) { return value != 0; });
  }
}

}  // namespace trawl::engine
