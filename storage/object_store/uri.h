#pragma once
// Names of objects as text: percent-encoding, and the three kinds of URI. In s3:// and file:// URIs
// every byte of the key stands for itself (`%` too); http(s):// URLs are percent-encoded as usual.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "config/status.h"

namespace trawl::storage {

/// RFC 3986 unreserved characters and `/` stay, every other byte becomes %XX.
std::string PercentEncodePath(std::string_view bytes);
/// As above, and `/` is encoded as well: for names and values of a query.
std::string PercentEncode(std::string_view bytes);
/// `+` is a space, as in form encoding. None when a `%` is not followed by two hex digits.
std::optional<std::string> FormDecode(std::string_view text);

/// s3://bucket/key
struct S3Uri {
  std::string bucket;
  std::string key;  // any bytes; may be empty, and may end with `/`
};
/// Errors: kInvalidArgument, also for a bucket name that is none (it becomes part of a host name).
Result<S3Uri> ParseS3Uri(std::string_view uri);

/// The absolute path in file:///path, byte for byte. Errors: kInvalidArgument.
Result<std::string> ParseFileUri(std::string_view uri);

/// http(s)://host[:port]/path?query
struct HttpUrl {
  std::string scheme;     // "http" or "https"
  std::string host;       // lower case; IPv6 without brackets
  std::string authority;  // what the Host header says: no default port, IPv6 in brackets
  std::string path;       // percent-encoded; "/" at least
  std::string query;      // without `?`

  /// Without the query, which may hold secrets: for messages.
  std::string ToPublicString() const { return scheme + "://" + authority + path; }
  std::string ToString() const { return ToPublicString() + (query.empty() ? "" : "?" + query); }
};
/// Bytes that no URL may hold (spaces, controls, beyond ASCII) are percent-encoded on the way, a
/// fragment is dropped. Errors: kInvalidArgument, also for a URL with a user name or password; the
/// message shows no more than its scheme.
Result<HttpUrl> ParseHttpUrl(std::string_view url);

/// True when `url` is `base` or lies below it: same scheme and authority, and `base`'s path
/// followed by
/// `/`. A path with `..`, plain or encoded, lies below nothing: where it ends is the server's to
/// decide.
bool IsBelow(const HttpUrl& url, const HttpUrl& base);

/// The text on one line: other bytes than printable ASCII and UTF-8 become `?`, and it is cut at
/// `max_bytes`.
std::string Printable(std::string_view text, size_t max_bytes);

}  // namespace trawl::storage
