#include "storage/object_store/uri.h"

#include <algorithm>
#include <cstdint>

#include "config/text.h"

namespace trawl::storage {
namespace {

bool IsAlphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool IsUnreserved(char c) {
  return IsAlphanumeric(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

void AppendEncoded(std::string& out, char c) {
  constexpr char kHex[] = "0123456789ABCDEF";
  const auto byte = static_cast<uint8_t>(c);
  out += '%';
  out += kHex[byte >> 4];
  out += kHex[byte & 15];
}

template <class Keep>
std::string EncodeUnless(std::string_view bytes, Keep keep) {
  std::string out;
  out.reserve(bytes.size() + bytes.size() / 4);
  for (const char c : bytes) {
    if (keep(c))
      out += c;
    else
      AppendEncoded(out, c);
  }
  return out;
}

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// A bucket is a DNS label or several; old ones have capitals and underscores.
bool IsBucketName(std::string_view name) {
  const auto valid = [](char c) { return IsAlphanumeric(c) || c == '-' || c == '.' || c == '_'; };
  return !name.empty() && name.size() <= 255 && std::all_of(name.begin(), name.end(), valid) &&
         IsAlphanumeric(name.front());
}

// Splits "host", "host:port", "[v6]" or "[v6]:port"; false when it is none of them.
bool SplitAuthority(std::string_view authority, std::string& host, std::string& port) {
  const bool bracketed = authority.starts_with('[');
  const size_t host_end = bracketed ? authority.find(']') : authority.find(':');
  if (bracketed && host_end == std::string_view::npos) return false;
  host = bracketed ? authority.substr(1, host_end - 1) : authority.substr(0, host_end);
  std::string_view rest = bracketed                            ? authority.substr(host_end + 1)
                          : host_end == std::string_view::npos ? std::string_view()
                                                               : authority.substr(host_end);
  if (!rest.empty() && rest.front() != ':') return false;
  if (!rest.empty()) rest.remove_prefix(1);
  port = rest;
  const auto valid_host = [bracketed](char c) {
    return IsAlphanumeric(c) || c == '-' || c == '.' || (bracketed ? c == ':' : c == '_');
  };
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  return !host.empty() && std::all_of(host.begin(), host.end(), valid_host) && port.size() <= 5 &&
         std::all_of(port.begin(), port.end(), digit);
}

std::string EncodeIllegal(std::string_view text) {
  return EncodeUnless(text, [](char c) {
    constexpr std::string_view kNever = " \"<>\\^`{|}";
    return c > 0x20 && c < 0x7f && kNever.find(c) == std::string_view::npos;
  });
}

// A segment `..`, also written with %2e.
bool HasDotDot(std::string_view path) {
  std::string plain;
  for (size_t i = 0; i < path.size(); ++i) {
    const bool dot = path.substr(i, 3) == "%2e" || path.substr(i, 3) == "%2E";
    plain += dot ? '.' : path[i];
    if (dot) i += 2;
  }
  return (plain + "/").find("/../") != std::string::npos;
}

}  // namespace

std::string PercentEncodePath(std::string_view bytes) {
  return EncodeUnless(bytes, [](char c) { return IsUnreserved(c) || c == '/'; });
}

std::string PercentEncode(std::string_view bytes) { return EncodeUnless(bytes, IsUnreserved); }

std::optional<std::string> FormDecode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i] == '+' ? ' ' : text[i];
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const int high = HexValue(text[i + 1]), low = HexValue(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

Result<S3Uri> ParseS3Uri(std::string_view uri) {
  constexpr std::string_view kScheme = "s3://";
  if (!uri.starts_with(kScheme))
    return Error(Code::kInvalidArgument, "'{}' is not s3://bucket/key", Printable(uri, 200));
  const std::string_view rest = uri.substr(kScheme.size());
  const size_t slash = rest.find('/');
  S3Uri parsed{std::string(rest.substr(0, slash)),
               slash == std::string_view::npos ? "" : std::string(rest.substr(slash + 1))};
  if (!IsBucketName(parsed.bucket))
    return Error(Code::kInvalidArgument, "'{}' has no valid bucket name", Printable(uri, 200));
  return parsed;
}

Result<std::string> ParseFileUri(std::string_view uri) {
  constexpr std::string_view kScheme = "file://";
  if (!uri.starts_with(kScheme) || !uri.substr(kScheme.size()).starts_with('/'))
    return Error(Code::kInvalidArgument, "'{}' is not file:///path", Printable(uri, 200));
  const std::string_view path = uri.substr(kScheme.size());
  if (path.find('\0') != std::string_view::npos)
    return Error(Code::kInvalidArgument, "'{}' holds a NUL byte", Printable(uri, 200));
  return std::string(path);
}

Result<HttpUrl> ParseHttpUrl(std::string_view url) {
  HttpUrl parsed;
  const size_t colon = url.find("://");
  parsed.scheme = url.substr(0, colon == std::string_view::npos ? 0 : colon);
  if (parsed.scheme != "http" && parsed.scheme != "https")
    return Error(Code::kInvalidArgument, "not an http:// or https:// URL");
  std::string_view rest = url.substr(colon + 3);
  const size_t authority_end = std::min(rest.find_first_of("/?#"), rest.size());
  const std::string_view authority = rest.substr(0, authority_end);
  rest = rest.substr(authority_end);
  rest = rest.substr(0, rest.find('#'));
  if (authority.find('@') != std::string_view::npos)
    return Error(Code::kInvalidArgument, "an {}:// URL with a user name or password",
                 parsed.scheme);
  std::string port;
  if (!SplitAuthority(authority, parsed.host, port))
    return Error(Code::kInvalidArgument, "an {}:// URL without a valid host", parsed.scheme);
  std::transform(parsed.host.begin(), parsed.host.end(), parsed.host.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  const bool v6 = parsed.host.find(':') != std::string::npos;
  parsed.authority = v6 ? "[" + parsed.host + "]" : parsed.host;
  if (!port.empty() && port != (parsed.scheme == "http" ? "80" : "443"))
    parsed.authority += ":" + port;
  const size_t question = std::min(rest.find('?'), rest.size());
  parsed.path = EncodeIllegal(rest.substr(0, question));
  if (parsed.path.empty()) parsed.path = "/";
  if (question < rest.size()) parsed.query = EncodeIllegal(rest.substr(question + 1));
  return parsed;
}

bool IsBelow(const HttpUrl& url, const HttpUrl& base) {
  if (url.scheme != base.scheme || url.authority != base.authority) return false;
  if (HasDotDot(url.path)) return false;
  if (base.path.ends_with('/')) return url.path.starts_with(base.path);
  return url.path == base.path || url.path.starts_with(base.path + "/");
}

std::string Printable(std::string_view text, size_t max_bytes) {
  const bool utf8 = IsUtf8(text);
  std::string out;
  for (size_t i = 0; i < text.size() && out.size() < max_bytes; ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    // U+0080…U+009F are control characters as well: C2 80…C2 9F.
    const bool c1 = byte == 0xC2 && i + 1 < text.size() && static_cast<uint8_t>(text[i + 1]) < 0xA0;
    const bool shown = byte >= 0x20 && byte != 0x7f && (byte < 0x80 || (utf8 && !c1));
    if (c1) ++i;
    out += shown ? text[i] : '?';
  }
  if (out.size() == max_bytes)
    while (!IsUtf8(out)) out.pop_back();  // a character that the limit cut in two
  return out;
}

}  // namespace trawl::storage
