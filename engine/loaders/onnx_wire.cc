#include "engine/loaders/onnx_wire.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>
#include <onnx/onnx_pb.h>

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

}  // namespace

Status CheckOnnxParts(std::string_view bytes) {
  CodedInputStream stream(reinterpret_cast<const uint8_t*>(bytes.data()),
                          static_cast<int>(bytes.size()));
  PartCounter counter;
  counter.Count(stream, *onnx::ModelProto::descriptor(), 0);
  if (counter.parts() <= kMaxParts) return OkStatus();
  return Error(Code::kResourceExhausted, "more than {} messages and texts", kMaxParts);
}

}  // namespace trawl::engine
