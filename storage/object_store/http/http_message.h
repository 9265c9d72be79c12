#pragma once
// What goes over the wire and comes back: one request, one reply, and how the wire itself behaved.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "storage/object_store/http/address_policy.h"

namespace trawl::storage {

/// The URL is sent as it stands.
struct HttpRequest {
  std::string url;
  std::vector<std::string> headers;  // "Name: value"
  AddressPolicy addresses;
  uint64_t max_body_bytes = 0;  // of a reply with status 200
  std::string method = "GET";
  std::string body{};  // sent only with other methods than GET
};

/// Fields of a reply in their order, names in lower case.
class HttpHeaders {
 public:
  void Add(std::string_view line);  // "Name: value"; anything else is ignored
  void Clear() { fields_.clear(); }
  /// The first field of that name, or "".
  std::string_view Find(std::string_view name) const;
  /// Content-Length, when there is a valid one.
  std::optional<uint64_t> ContentLength() const;
  /// Strong or weak, without quotes.
  std::string_view ETag() const;

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

/// What became of the connection, before anybody looks at the status.
enum class Wire {
  kComplete,       // a whole reply came
  kCannotConnect,  // DNS, TCP or the TLS handshake
  kBroken,         // the connection broke before the body began
  kTruncated,      // … after it began
  kTimeout,
  kConnectTimeout,  // not even a connection in time
  kTooLarge,        // the body is longer than asked for
  kRefusedAddress,  // AddressPolicy
  kUntrusted,       // the server's certificate
  kMalformed,       // not HTTP, or headers without end
};

struct HttpReply {
  Wire wire = Wire::kComplete;
  std::string wire_detail;  // for people; empty when kComplete
  int status = 0;           // 0 when none came
  // False: neither a length nor chunks nor frames say where the body ends, only the connection.
  bool end_marked = true;
  HttpHeaders headers;
  std::vector<std::byte> body;  // of a status other than 200 its beginning only
};

/// An HTTP date as Unix milliseconds.
std::optional<int64_t> ParseHttpDate(std::string_view text);

/// "404 Not Found"; the bare number when the status has no well-known name.
std::string StatusName(int status);

}  // namespace trawl::storage
