#include "storage/object_store/s3/xml.h"

#include <charconv>
#include <pugixml.hpp>
#include <string_view>

#include "storage/object_store/uri.h"

namespace trawl::storage {
namespace {

// No white-space or line-end conversion: a key keeps the bytes that it has.
constexpr unsigned int kParseOptions = pugi::parse_cdata | pugi::parse_escapes;

Result<std::string> DecodeKey(const std::string& text, bool encoded) {
  if (!encoded) return text;
  if (auto decoded = FormDecode(text)) return *decoded;
  return Error(Code::kDataLoss, "a key with a broken percent-encoding");
}

Result<ObjectRef> ParseObject(const pugi::xml_node& node, bool encoded) {
  ObjectRef object;
  TRAWL_ASSIGN(object.key, DecodeKey(node.child_value("Key"), encoded));
  if (object.key.empty()) return Error(Code::kDataLoss, "an entry without a key");
  const std::string_view size = node.child_value("Size");
  uint64_t bytes = 0;
  const auto [end, error] = std::from_chars(size.data(), size.data() + size.size(), bytes);
  if (error != std::errc() || end != size.data() + size.size())
    return Error(Code::kDataLoss, "an entry without a valid size");
  object.size_bytes = bytes;
  std::string_view etag = node.child_value("ETag");
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"')
    etag = etag.substr(1, etag.size() - 2);
  object.etag = etag;
  return object;
}

}  // namespace

Result<S3ListPage> ParseListPage(const std::vector<std::byte>& body) {
  pugi::xml_document document;
  const pugi::xml_parse_result parsed =
      document.load_buffer(body.data(), body.size(), kParseOptions);
  if (!parsed) return Error(Code::kDataLoss, "the listing is no XML: {}", parsed.description());
  const pugi::xml_node root = document.child("ListBucketResult");
  if (!root) return Error(Code::kDataLoss, "the answer is no listing");
  S3ListPage page;
  // Servers that do not know encoding-type say nothing of it, and send keys as they are.
  const bool encoded = std::string_view(root.child_value("EncodingType")) == "url";
  for (const pugi::xml_node& node : root.children("Contents")) {
    TRAWL_ASSIGN(ObjectRef object, ParseObject(node, encoded));
    page.objects.push_back(std::move(object));
  }
  page.truncated = std::string_view(root.child_value("IsTruncated")) == "true";
  page.continuation_token = root.child_value("NextContinuationToken");
  return page;
}

ServerFault ParseFault(const HttpReply& reply) {
  if (reply.wire != Wire::kComplete || reply.status == 200 || reply.body.empty()) return {};
  pugi::xml_document document;
  if (!document.load_buffer(reply.body.data(), reply.body.size(), kParseOptions)) return {};
  const pugi::xml_node error = document.child("Error");
  return {error.child_value("Code"), error.child_value("Message")};
}

}  // namespace trawl::storage
