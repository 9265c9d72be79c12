#include "storage/object_store/s3/service_call.h"

#include <pugixml.hpp>
#include <string_view>
#include <utility>

#include "storage/object_store/http/http_call.h"
#include "storage/object_store/uri.h"

namespace trawl::storage {
namespace {

std::string_view Text(const HttpReply& reply) {
  return {reinterpret_cast<const char*>(reply.body.data()), reply.body.size()};
}

}  // namespace

Result<std::string> AskService(HttpRequest request, const std::string& service,
                               const ServiceTimeouts& timeouts) {
  TransferLimits limits;
  limits.connect_timeout = timeouts.connect;
  limits.total_timeout = timeouts.total;
  request.max_body_bytes = kServiceAnswerBytesMax;
  const HttpReply reply = CallHttp(std::move(request), limits);
  if (reply.wire != Wire::kComplete)
    return Error(Code::kUnavailable, "{}: {}", service, reply.wire_detail);
  if (reply.status == 200) return std::string(Text(reply));
  pugi::xml_document document;
  document.load_buffer(reply.body.data(), reply.body.size());
  const std::string code = document.child("ErrorResponse").child("Error").child_value("Code");
  return Error(reply.status == 404 ? Code::kNotFound : Code::kPermissionDenied, "{}: {}{}", service,
               StatusName(reply.status), code.empty() ? "" : " (" + Printable(code, 64) + ")");
}

}  // namespace trawl::storage
