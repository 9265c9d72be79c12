#include "engine/loaders/onnx_wire.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/wire_format_lite.h>
#include <onnx/onnx_pb.h>

#include <algorithm>

#include "engine/limits.h"

namespace trawl::engine {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

/// A node has its name, operator, inputs, outputs and a few attributes of a few parts each. A part
/// takes some 200 bytes, so all take 100 MiB at most.
constexpr size_t kMaxParts = 25 * kMaxNodes;
constexpr int kMaxDepth = 100;  // protobuf's own limit

class PartCounter {
 public:
  size_t parts() const { return parts_; }

  /// Counts the parts of a message of this type, up to the stream's limit. False when there is no
  /// point in going on: too many, too deep or damaged.
  bool Count(CodedInputStream& stream, const Descriptor& type, int depth) {
    while (const uint32_t tag = stream.ReadTag()) {
      if (WireFormatLite::GetTagWireType(tag) != WireFormatLite::WIRETYPE_LENGTH_DELIMITED) {
        if (!WireFormatLite::SkipField(&stream, tag)) return false;
        continue;
      }
      int length = 0;
      if (++parts_ > kMaxParts || !stream.ReadVarintSizeAsInt(&length)) return false;
      const FieldDescriptor* field = type.FindFieldByNumber(WireFormatLite::GetTagFieldNumber(tag));
      const Descriptor* message = field == nullptr ? nullptr : field->message_type();
      if (message == nullptr) {
        if (!stream.Skip(length)) return false;
        continue;
      }
      const auto limit = stream.PushLimit(length);
      if (depth == kMaxDepth || !Count(stream, *message, depth + 1)) return false;
      stream.PopLimit(limit);
    }
    return true;
  }

 private:
  size_t parts_ = 0;
};

/// A ByteSource as protobuf reads it, from its beginning to its end.
class SourceStream final : public google::protobuf::io::CopyingInputStream {
 public:
  explicit SourceStream(const ByteSource& source) : source_(source) {}

  int Read(void* buffer, int size) override {
    const auto count = std::min(static_cast<uint64_t>(size), source_.size_bytes() - position_);
    const std::span to(static_cast<std::byte*>(buffer), static_cast<size_t>(count));
    if (!source_.ReadAt(position_, to).ok()) return -1;
    position_ += count;
    return static_cast<int>(count);
  }
  int Skip(int count) override {
    const auto skipped = std::min(static_cast<uint64_t>(count), source_.size_bytes() - position_);
    position_ += skipped;
    return static_cast<int>(skipped);
  }

 private:
  const ByteSource& source_;
  uint64_t position_ = 0;
};

/// Copies a ModelProto field by field, but for the raw_data of its initialisers.
class SkeletonReader {
 public:
  explicit SkeletonReader(const ByteSource& source)
      : source_(source), stream_(source), adaptor_(&stream_), in_(&adaptor_) {}

  /// nullopt: damaged.
  std::optional<OnnxSkeleton> Read() {
    if (!Copy(Level::kModel, skeleton_.bytes) || !in_.ConsumedEntireMessage()) return std::nullopt;
    return std::move(skeleton_);
  }

 private:
  /// The messages that initialisers lie in, and they themselves.
  enum class Level { kModel, kGraph, kInitializer };

  /// The fields of a message, up to the stream's limit.
  bool Copy(Level level, std::string& out) {
    google::protobuf::io::StringOutputStream stream(&out);
    google::protobuf::io::CodedOutputStream coded(&stream);
    while (const uint32_t tag = in_.ReadTag()) {
      if (level == Level::kInitializer && tag == Tag(onnx::TensorProto::kRawDataFieldNumber)) {
        if (!SkipWeight()) return false;
      } else if (level == Level::kModel && tag == Tag(onnx::ModelProto::kGraphFieldNumber)) {
        if (!CopyMessage(tag, Level::kGraph, coded)) return false;
      } else if (level == Level::kGraph && tag == Tag(onnx::GraphProto::kInitializerFieldNumber)) {
        skeleton_.weights.emplace_back();
        if (!CopyMessage(tag, Level::kInitializer, coded)) return false;
      } else if (!WireFormatLite::SkipField(&in_, tag, &coded)) {
        return false;
      }
    }
    return true;
  }

  bool CopyMessage(uint32_t tag, Level level, google::protobuf::io::CodedOutputStream& out) {
    int length = 0;
    if (!ReadLength(length)) return false;
    const auto limit = in_.PushLimit(length);
    std::string message;
    if (!Copy(level, message) || in_.BytesUntilLimit() != 0) return false;
    in_.PopLimit(limit);
    out.WriteTag(tag);
    out.WriteVarint32(static_cast<uint32_t>(message.size()));
    out.WriteString(message);
    return true;
  }

  bool SkipWeight() {
    int length = 0;
    if (!ReadLength(length)) return false;
    skeleton_.weights.back() = {static_cast<uint64_t>(in_.CurrentPosition()),
                                static_cast<uint64_t>(length)};
    return in_.Skip(length);
  }

  /// Of what comes next; false when it is longer than what is left.
  bool ReadLength(int& length) {
    return in_.ReadVarintSizeAsInt(&length) &&
           static_cast<uint64_t>(length) <=
               source_.size_bytes() - static_cast<uint64_t>(in_.CurrentPosition());
  }

  static constexpr uint32_t Tag(int field) {
    return static_cast<uint32_t>(field) << 3 | WireFormatLite::WIRETYPE_LENGTH_DELIMITED;
  }

  const ByteSource& source_;
  SourceStream stream_;
  google::protobuf::io::CopyingInputStreamAdaptor adaptor_;
  CodedInputStream in_;
  OnnxSkeleton skeleton_;
};

}  // namespace

Result<OnnxSkeleton> ReadOnnxSkeleton(const ByteSource& source) {
  std::optional<OnnxSkeleton> skeleton = SkeletonReader(source).Read();
  if (!skeleton) return Error(Code::kDataLoss, "not an ONNX file, or a damaged one");
  return std::move(*skeleton);
}

Status CheckOnnxParts(std::string_view bytes) {
  CodedInputStream stream(reinterpret_cast<const uint8_t*>(bytes.data()),
                          static_cast<int>(bytes.size()));
  PartCounter counter;
  counter.Count(stream, *onnx::ModelProto::descriptor(), 0);
  if (counter.parts() <= kMaxParts) return OkStatus();
  return Error(Code::kResourceExhausted, "more than {} messages and texts", kMaxParts);
}

}  // namespace trawl::engine
