#include "engine/loaders/onnx_tensor.h"

#include <onnx/onnx_pb.h>

#include <bit>
#include <optional>
#include <type_traits>
#include <vector>

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

/// Where raw_data lies.
struct RawData {
  const ByteSource& source;
  ByteRange range;

  Status Read(std::span<std::byte> to) const { return source.ReadAt(range.offset, to); }
};

/// Elements as they are stored, without conversion.
template <class T>
Result<std::vector<T>> ReadRaw(const RawData& raw) {
  std::vector<T> elements(raw.range.size / sizeof(T));
  TRAWL_TRY(raw.Read(std::as_writable_bytes(std::span(elements))));
  return elements;
}

/// Elements of `Stored` in `raw`, or as numbers in `field`, which is how small tensors and old
/// files are written. Their count is compared with what is there before anything is allocated.
template <class T, class Stored, class Field, class Convert>
Result<Tensor> Read(const std::optional<RawData>& raw, DType dtype, const Shape& shape,
                    const Field& field, const Convert& convert) {
  const auto count = static_cast<uint64_t>(ElementCount(shape));
  const uint64_t given = raw ? raw->range.size : static_cast<uint64_t>(field.size());
  const uint64_t unit = raw ? sizeof(Stored) : 1;
  if (given / unit != count || given % unit != 0) {
    return Error(Code::kDataLoss, "{} {} of data for shape {}", given, raw ? "bytes" : "numbers",
                 ToString(shape));
  }
  Tensor tensor(dtype, shape);
  const std::span<T> out = tensor.mutable_data<T>();
  if (!raw) {
    for (size_t i = 0; i < out.size(); ++i) {
      out[i] = static_cast<T>(convert(static_cast<Stored>(field[static_cast<int>(i)])));
    }
  } else if constexpr (std::is_same_v<T, Stored>) {
    TRAWL_TRY(raw->Read(std::as_writable_bytes(out)));
  } else {
    TRAWL_ASSIGN(const std::vector<Stored> elements, ReadRaw<Stored>(*raw));
    for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<T>(convert(elements[i]));
  }
  return tensor;
}

Result<Tensor> ReadTensor(const Proto& proto, const std::optional<RawData>& raw) {
  if (proto.data_location() == Proto::EXTERNAL || proto.external_data_size() > 0) {
    return Error(Code::kUnimplemented, "data in another file is not supported");
  }
  if (proto.has_segment()) return Error(Code::kUnimplemented, "segments are not supported");
  TRAWL_ASSIGN(const DType dtype, ToDType(proto.data_type()));
  TRAWL_ASSIGN(const Shape shape, CheckedShape(proto));
  const auto same = [](auto value) { return value; };
  switch (proto.data_type()) {
    case Proto::FLOAT:
      return Read<float, float>(raw, dtype, shape, proto.float_data(), same);
    case Proto::DOUBLE:
      return Read<float, double>(raw, dtype, shape, proto.double_data(), same);
    case Proto::FLOAT16:
      return Read<float, uint16_t>(raw, dtype, shape, proto.int32_data(), HalfToFloat);
    case Proto::INT8:
      return Read<int8_t, int8_t>(raw, dtype, shape, proto.int32_data(), same);
    case Proto::UINT8:
      return Read<uint8_t, uint8_t>(raw, dtype, shape, proto.int32_data(), same);
    case Proto::INT32:
      return Read<int32_t, int32_t>(raw, dtype, shape, proto.int32_data(), same);
    case Proto::INT64:
      return Read<int64_t, int64_t>(raw, dtype, shape, proto.int64_data(), same);
    default:  // any byte but 0 is true, and only 0 and 1 are C++'s booleans
      return Read<bool, uint8_t>(raw, dtype, shape, proto.int32_data(),
                                 [](uint8_t value) { return value != 0; });
  }
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
  if (!proto.has_raw_data()) return ReadTensor(proto, std::nullopt);
  const MemorySource source(proto.raw_data());
  return ReadTensor(proto, RawData{source, {0, proto.raw_data().size()}});
}

Result<Tensor> ToTensor(const Proto& proto, const ByteSource& source, ByteRange raw) {
  return ReadTensor(proto, RawData{source, raw});
}

}  // namespace trawl::engine
