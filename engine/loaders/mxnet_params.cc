// The container: u64 magic 0x112, u64 reserved, u64 count, `count` arrays, u64 count, `count` names
// (u64 length, bytes). An array: u32 magic, which tells how the shape is stored:
//   0xF993FAC8 (V1)  i32 rank, i64 dimensions
//   0xF993FAC9 (V2)  i32 storage type, then as V1          0xF993FACA (V3)  as V2; rank -1: no
//   array anything else    is itself the rank, followed by u32 dimensions (before MXNet 0.10)
// then i32 device type, i32 device id, i32 element type and the elements. Rank 0 means "no array",
// except in V3, where it is a scalar.

#include "engine/loaders/mxnet_params.h"

#include <bit>
#include <cstring>
#include <type_traits>

#include "engine/limits.h"
#include "engine/loaders/float16.h"

namespace trawl::engine {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers are read in place");

constexpr uint64_t kListMagic = 0x112;
constexpr uint32_t kMagicV1 = 0xF993FAC8;
constexpr uint32_t kMagicV2 = 0xF993FAC9;
constexpr uint32_t kMagicV3 = 0xF993FACA;

/// A cursor over bytes that never passes their end.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  size_t left() const { return rest_.size(); }

  Result<std::string_view> Bytes(uint64_t count, const char* what) {
    if (count > rest_.size()) {
      return Error(Code::kDataLoss, "{} needs {} bytes, {} are left", what, count, rest_.size());
    }
    const std::string_view bytes = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return bytes;
  }

  template <class T>
  Result<T> Number(const char* what) {
    TRAWL_ASSIGN(const std::string_view bytes, Bytes(sizeof(T), what));
    T value;
    std::memcpy(&value, bytes.data(), sizeof(T));
    return value;
  }

 private:
  std::string_view rest_;
};

template <class Stored, class Convert>
void Widen(std::string_view bytes, std::span<float> out, const Convert& convert) {
  for (size_t i = 0; i < out.size(); ++i) {
    Stored stored;
    std::memcpy(&stored, bytes.data() + i * sizeof(Stored), sizeof(Stored));
    out[i] = convert(stored);
  }
}

template <class Stored>
void Cast(std::string_view bytes, std::span<float> out) {
  Widen<Stored>(bytes, out, [](Stored value) { return static_cast<float>(value); });
}

struct ElementType {
  size_t size_bytes;
  void (*read)(std::string_view bytes, std::span<float> out);
};

/// MXNet's type flags.
const ElementType* FindElementType(int32_t flag) {
  static constexpr ElementType kTypes[] = {
      {4, Cast<float>},
      {8, Cast<double>},
      {2, [](std::string_view b, std::span<float> out) { Widen<uint16_t>(b, out, HalfToFloat); }},
      {1, Cast<uint8_t>},
      {4, Cast<int32_t>},
      {1, Cast<int8_t>},
      {8, Cast<int64_t>},
      {1, Cast<uint8_t>},  // bool
      {2, Cast<int16_t>},
      {2, Cast<uint16_t>},
      {4, Cast<uint32_t>},
      {8, Cast<uint64_t>},
      {2,
       [](std::string_view b, std::span<float> out) { Widen<uint16_t>(b, out, BFloat16ToFloat); }},
  };
  constexpr auto kCount = static_cast<int32_t>(std::size(kTypes));
  return flag >= 0 && flag < kCount ? &kTypes[flag] : nullptr;
}

/// A shape whose rank and dimensions are plausible; nullopt: "no array".
struct StoredShape {
  bool present = false;
  Shape dims;
};

template <class Dim>
Result<StoredShape> ReadDims(Reader& reader, int64_t rank, bool scalar_allowed) {
  if (rank == -1 || (rank == 0 && !scalar_allowed)) return StoredShape{};
  if (rank < 0 || rank > static_cast<int64_t>(kMaxRank)) {
    return Error(Code::kDataLoss, "an array of rank {}", rank);
  }
  StoredShape shape{true, {}};
  for (int64_t i = 0; i < rank; ++i) {
    TRAWL_ASSIGN(const Dim dim, reader.Number<Dim>("a dimension"));
    shape.dims.push_back(static_cast<int64_t>(dim));
  }
  return shape;
}

Result<StoredShape> ReadShape(Reader& reader) {
  TRAWL_ASSIGN(const uint32_t magic, reader.Number<uint32_t>("an array's magic"));
  if (magic != kMagicV1 && magic != kMagicV2 && magic != kMagicV3) {
    return ReadDims<uint32_t>(reader, magic, false);
  }
  if (magic != kMagicV1) {
    TRAWL_ASSIGN(const int32_t storage, reader.Number<int32_t>("a storage type"));
    if (storage != 0) return Error(Code::kUnimplemented, "sparse arrays are not supported");
  }
  TRAWL_ASSIGN(const int32_t rank, reader.Number<int32_t>("a rank"));
  return ReadDims<int64_t>(reader, rank, magic == kMagicV3);
}

Result<Tensor> ReadArray(Reader& reader) {
  TRAWL_ASSIGN(const StoredShape shape, ReadShape(reader));
  if (!shape.present) return Tensor();
  TRAWL_TRY([&]() -> Status {
    TRAWL_ASSIGN([[maybe_unused]] const auto device, reader.Bytes(8, "a device"));
    return OkStatus();
  }());
  TRAWL_ASSIGN(const int32_t flag, reader.Number<int32_t>("an element type"));
  const ElementType* type = FindElementType(flag);
  if (type == nullptr) return Error(Code::kDataLoss, "an unknown element type {}", flag);
  const std::optional<int64_t> count = CheckedElementCount(shape.dims);
  // The first bound keeps the second's product from overflowing.
  if (!count || static_cast<uint64_t>(*count) > reader.left()) {
    return Error(Code::kDataLoss, "an array of shape {} in {} bytes", ToString(shape.dims),
                 reader.left());
  }
  TRAWL_ASSIGN(const std::string_view elements,
               reader.Bytes(static_cast<uint64_t>(*count) * type->size_bytes, "an array"));
  Tensor tensor(DType::kF32, shape.dims);
  type->read(elements, tensor.mutable_data<float>());
  return tensor;
}

Result<std::string> ReadName(Reader& reader) {
  TRAWL_ASSIGN(const uint64_t length, reader.Number<uint64_t>("a name's length"));
  TRAWL_ASSIGN(std::string_view name, reader.Bytes(length, "a name"));
  if (name.starts_with("arg:") || name.starts_with("aux:")) name.remove_prefix(4);
  return std::string(name);
}

}  // namespace

Result<MxnetParams> ParseMxnetParams(std::string_view bytes) {
  Reader reader(bytes);
  TRAWL_ASSIGN(const uint64_t magic, reader.Number<uint64_t>("the magic number"));
  if (magic != kListMagic) return Error(Code::kDataLoss, "not an MXNet .params file");
  TRAWL_ASSIGN([[maybe_unused]] const uint64_t reserved, reader.Number<uint64_t>("the header"));
  TRAWL_ASSIGN(const uint64_t count, reader.Number<uint64_t>("the number of arrays"));
  // An array takes 4 bytes at least and a name 8, so the count bounds what follows.
  if (count > reader.left() / 12 || count > kMaxValues) {
    return Error(Code::kDataLoss, "{} arrays in {} bytes", count, reader.left());
  }
  std::vector<Tensor> arrays;
  for (uint64_t i = 0; i < count; ++i) {
    Result<Tensor> array = ReadArray(reader);
    if (!array) return Annotate(array.error(), "reading array {} of {}", i + 1, count);
    arrays.push_back(std::move(*array));
  }
  TRAWL_ASSIGN(const uint64_t names, reader.Number<uint64_t>("the number of names"));
  if (names != count) {
    return Error(Code::kDataLoss, "{} names for {} arrays", names, count);
  }
  MxnetParams params;
  for (Tensor& array : arrays) {
    TRAWL_ASSIGN(std::string name, ReadName(reader));
    if (!params.try_emplace(name, std::move(array)).second) {
      return Error(Code::kDataLoss, "two arrays are named '{}'", name);
    }
  }
  if (reader.left() != 0) {
    return Error(Code::kDataLoss, "{} bytes follow the last name", reader.left());
  }
  return params;
}

}  // namespace trawl::engine
