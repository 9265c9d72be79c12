#include "storage/object_store/s3/sigv4.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include <algorithm>
#include <string_view>

#include "storage/object_store/uri.h"

namespace trawl::storage {
namespace {

// sha-256 of nothing: the payload of every GET.
constexpr const char* kEmptyHash =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

std::string Hex(std::string_view bytes) {
  std::string hex;
  for (const char c : bytes) hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return hex;
}

std::string Sha256Hex(std::string_view text) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  return Hex({reinterpret_cast<const char*>(digest), sizeof digest});
}

std::string HmacSha256(std::string_view key, std::string_view text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest, &size);
  return {reinterpret_cast<const char*>(digest), size};
}

}  // namespace

std::string CanonicalQuery(const std::vector<std::pair<std::string, std::string>>& query) {
  std::vector<std::pair<std::string, std::string>> encoded;
  for (const auto& [name, value] : query)
    encoded.emplace_back(PercentEncode(name), PercentEncode(value));
  std::sort(encoded.begin(), encoded.end());
  std::string text;
  for (const auto& [name, value] : encoded) text += (text.empty() ? "" : "&") + name + "=" + value;
  return text;
}

std::string AmzDate(int64_t unix_ms) {
  const auto seconds = static_cast<std::time_t>(unix_ms / 1'000);
  return fmt::format("{:%Y%m%dT%H%M%SZ}", fmt::gmtime(seconds));
}

std::string Authorization(const SignedRequest& request, const SigningScope& scope,
                          const std::string& amz_date, const Credentials& credentials) {
  auto headers = request.headers;
  std::sort(headers.begin(), headers.end());
  std::string canonical_headers, signed_names;
  for (const auto& [name, value] : headers) {
    canonical_headers += name + ":" + value + "\n";
    signed_names += (signed_names.empty() ? "" : ";") + name;
  }
  const std::string canonical = fmt::format("{}\n{}\n{}\n{}\n{}\n{}", request.method, request.path,
                                            CanonicalQuery(request.query), canonical_headers,
                                            signed_names, request.payload_hash);
  const std::string day = amz_date.substr(0, 8);
  const std::string credential_scope =
      fmt::format("{}/{}/{}/aws4_request", day, scope.region, scope.service);
  const std::string to_sign =
      fmt::format("AWS4-HMAC-SHA256\n{}\n{}\n{}", amz_date, credential_scope, Sha256Hex(canonical));
  std::string key = HmacSha256("AWS4" + credentials.secret_key.Reveal(), day);
  for (const std::string& part : {scope.region, scope.service, std::string("aws4_request")})
    key = HmacSha256(key, part);
  return fmt::format("AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={}, Signature={}",
                     credentials.access_key, credential_scope, signed_names,
                     Hex(HmacSha256(key, to_sign)));
}

std::vector<std::string> SignS3(SignedRequest request, const std::string& host,
                                const std::string& region, int64_t unix_ms,
                                const Credentials& credentials) {
  const std::string date = AmzDate(unix_ms);
  if (request.payload_hash.empty()) request.payload_hash = kEmptyHash;
  request.headers.emplace_back("host", host);
  request.headers.emplace_back("x-amz-date", date);
  request.headers.emplace_back("x-amz-content-sha256", request.payload_hash);
  if (!credentials.session_token.empty())
    request.headers.emplace_back("x-amz-security-token", credentials.session_token.Reveal());
  const std::string authorization =
      Authorization(request, {.region = region, .service = "s3"}, date, credentials);
  std::vector<std::string> lines;
  for (const auto& [name, value] : request.headers) lines.push_back(name + ": " + value);
  lines.push_back("authorization: " + authorization);
  return lines;
}

}  // namespace trawl::storage
