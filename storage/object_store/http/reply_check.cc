#include "storage/object_store/http/reply_check.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <charconv>

#include "config/clock.h"
#include "storage/object_store/uri.h"

namespace trawl::storage {
namespace {

using std::chrono::milliseconds;

Verdict Fail(ObjectErrorCode code, std::string message) {
  return {Route::kFail, {code, std::move(message)}, {}};
}

Verdict Retry(ObjectErrorCode code, std::string message) {
  return {Route::kRetry, {code, std::move(message)}, {}};
}

Verdict Unreached(ObjectErrorCode code, std::string message) {
  return {Route::kUnreached, {code, std::move(message)}, {}};
}

Verdict Damaged(ObjectErrorCode code, std::string message) {
  return {Route::kDamaged, {code, std::move(message)}, {}};
}

Verdict JudgeWire(const HttpReply& reply, const std::string& subject) {
  const std::string message = subject + ": " + reply.wire_detail;
  switch (reply.wire) {
    case Wire::kTimeout:
      return Retry(ObjectErrorCode::kTimeout, message);
    case Wire::kTruncated:
      return Retry(ObjectErrorCode::kTruncated, message);
    case Wire::kCannotConnect:
      return Unreached(ObjectErrorCode::kHttpError, message);
    case Wire::kConnectTimeout:
      return Unreached(ObjectErrorCode::kTimeout, message);
    case Wire::kBroken:
      return Retry(ObjectErrorCode::kHttpError, message);
    case Wire::kTooLarge:
      return Fail(ObjectErrorCode::kTooLarge, message);
    case Wire::kRefusedAddress:
      return Fail(ObjectErrorCode::kForbidden, message);
    case Wire::kUntrusted:
      return {Route::kLockedOut, {ObjectErrorCode::kHttpError, message}, {}};
    case Wire::kComplete:
    case Wire::kMalformed:
      break;
  }
  return Fail(ObjectErrorCode::kHttpError, message);
}

// Retry-After: seconds or a date.
std::optional<milliseconds> RetryAfter(const HttpHeaders& headers) {
  const std::string_view text = headers.Find("retry-after");
  if (text.empty()) return std::nullopt;
  int64_t seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error == std::errc() && end == text.data() + text.size())
    return milliseconds(std::clamp<int64_t>(seconds, 0, 86'400) * 1'000);
  if (const auto date = ParseHttpDate(text))
    return milliseconds(std::max<int64_t>(0, *date - SystemClock().WallMillis()));
  return std::nullopt;
}

std::string Describe(const HttpReply& reply, const ServerFault& fault, const std::string& subject) {
  std::string message = subject + ": " + StatusName(reply.status);
  if (!fault.code.empty()) message += " (" + Printable(fault.code, 64);
  if (!fault.code.empty() && !fault.message.empty())
    message += ": " + Printable(fault.message, 200);
  if (!fault.code.empty()) message += ")";
  if (reply.status >= 300 && reply.status < 400) message += "; redirects are not followed";
  return message;
}

bool IsThrottle(int status, const ServerFault& fault) {
  return status == 503 || status == 429 || fault.code == "SlowDown" ||
         fault.code == "RequestLimitExceeded" || fault.code == "ThrottlingException";
}

// What S3 answers to everybody with these credentials or this clock, or in this region.
std::optional<ObjectErrorCode> LocksEverybodyOut(const ServerFault& fault) {
  constexpr std::string_view kCredentials[] = {
      "AccountProblem",       "ExpiredToken",          "InvalidAccessKeyId",
      "InvalidSecurity",      "InvalidToken",          "NotSignedUp",
      "RequestTimeTooSkewed", "SignatureDoesNotMatch", "TokenRefreshRequired"};
  if (std::find(std::begin(kCredentials), std::end(kCredentials), fault.code) !=
      std::end(kCredentials))
    return ObjectErrorCode::kForbidden;
  if (fault.code == "AuthorizationHeaderMalformed" || fault.code == "PermanentRedirect")
    return ObjectErrorCode::kHttpError;
  return std::nullopt;
}

std::string Md5Hex(const std::vector<std::byte>& bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest, &length, EVP_md5(), nullptr) != 1) return {};
  std::string hex;
  for (unsigned int i = 0; i < length; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

// With a key of one's own (SSE-C) or of the key service, the ETag is no digest of the plain bytes.
bool IsEncryptedWithKey(const HttpHeaders& headers) {
  return headers.Find("x-amz-server-side-encryption").starts_with("aws:kms") ||
         !headers.Find("x-amz-server-side-encryption-customer-algorithm").empty();
}

bool IsMd5(std::string_view tag) {
  return tag.size() == 32 && std::all_of(tag.begin(), tag.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

std::optional<Verdict> JudgeLength(const HttpReply& reply, const ObjectExpectation& expected) {
  const uint64_t received = reply.body.size();
  const std::optional<uint64_t> announced = reply.headers.ContentLength();
  if (announced && received != *announced)
    return Damaged(ObjectErrorCode::kTruncated,
                   fmt::format("{}: {} of {} bytes came", expected.subject, received, *announced));
  if (!expected.size_bytes || received == *expected.size_bytes) return std::nullopt;
  const std::string message = fmt::format("{}: {} bytes came, {} were listed", expected.subject,
                                          received, *expected.size_bytes);
  // Without an announced length a body that is too short looks the same whether it was cut or
  // replaced.
  if (!announced && received < *expected.size_bytes)
    return Damaged(ObjectErrorCode::kTruncated, message);
  return Fail(ObjectErrorCode::kChanged, message);
}

// `tag`: what the bytes' MD5 has to be, if it is one.
std::optional<Verdict> JudgeMd5(const HttpReply& reply, std::string_view tag,
                                const ObjectExpectation& expected) {
  const std::string md5 = Md5Hex(reply.body);
  if (md5.empty() || md5 == tag) return std::nullopt;
  return Damaged(
      ObjectErrorCode::kChecksumMismatch,
      fmt::format("{}: the MD5 of the bytes is {}, the ETag says {}", expected.subject, md5, tag));
}

// Last, when nothing else spoke against the bytes: does anything speak for them?
Verdict JudgeIdentity(const HttpReply& reply, const ObjectExpectation& expected) {
  const std::string_view etag = reply.headers.ETag();
  if (!expected.etag.empty() && !etag.empty() && etag != expected.etag)
    return Fail(ObjectErrorCode::kChanged,
                fmt::format("{}: its ETag is '{}', '{}' was listed", expected.subject,
                            Printable(etag, 80), Printable(expected.etag, 80)));
  const std::string_view known = etag.empty() ? std::string_view(expected.etag) : etag;
  if (expected.etag_may_be_md5 && IsMd5(known) && !IsEncryptedWithKey(reply.headers))
    return JudgeMd5(reply, known, expected).value_or(Verdict());
  if (!expected.etag.empty() && etag.empty())
    return Fail(ObjectErrorCode::kHttpError,
                fmt::format("{}: it came without an ETag, '{}' was listed", expected.subject,
                            Printable(expected.etag, 80)));
  if (!reply.end_marked && !expected.size_bytes)
    return Fail(ObjectErrorCode::kHttpError,
                expected.subject + ": nothing says how long it is, so it may have been cut");
  return {};
}

}  // namespace

Verdict JudgeStatus(const HttpReply& reply, const ServerFault& fault, const std::string& subject) {
  if (reply.wire != Wire::kComplete) return JudgeWire(reply, subject);
  if (reply.status == 200) return {};
  std::string message = Describe(reply, fault, subject);
  if (IsThrottle(reply.status, fault))
    return {Route::kThrottled,
            {ObjectErrorCode::kThrottled, std::move(message)},
            RetryAfter(reply.headers)};
  if (const auto code = LocksEverybodyOut(fault))
    return {Route::kLockedOut, {*code, std::move(message)}, {}};
  switch (reply.status) {
    case 401:
    case 403:
      return {Route::kRefused, {ObjectErrorCode::kForbidden, std::move(message)}, {}};
    case 408:
    case 500:
    case 502:
    case 504:
      return Retry(ObjectErrorCode::kHttpError, std::move(message));
    case 404:
    case 410:
      return Fail(ObjectErrorCode::kNotFound, std::move(message));
    case 412:
      return Fail(ObjectErrorCode::kChanged, message + "; it was replaced after the listing");
    default:
      break;
  }
  // S3 answers 400 when a request arrived too slowly: nothing is wrong with the request itself.
  if (fault.code == "RequestTimeout") return Retry(ObjectErrorCode::kTimeout, std::move(message));
  return Fail(ObjectErrorCode::kHttpError, std::move(message));
}

Verdict JudgeObject(const HttpReply& reply, const ServerFault& fault,
                    const ObjectExpectation& expected) {
  // No more is taken in than was listed, so what lies beyond is not counted.
  if (reply.wire == Wire::kTooLarge && expected.size_bytes)
    return Fail(ObjectErrorCode::kChanged,
                fmt::format("{}: {} came, {} were listed", expected.subject, reply.wire_detail,
                            *expected.size_bytes));
  if (reply.wire != Wire::kComplete || reply.status != 200)
    return JudgeStatus(reply, fault, expected.subject);
  // "aws-chunked" describes how an object was uploaded; S3 keeps the word, and serves plain bytes.
  const std::string_view encoding = reply.headers.Find("content-encoding");
  if (!encoding.empty() && encoding != "identity" && encoding != "aws-chunked")
    return Fail(ObjectErrorCode::kHttpError,
                fmt::format("{}: Content-Encoding '{}', which was not asked for", expected.subject,
                            Printable(encoding, 40)));
  if (auto verdict = JudgeLength(reply, expected)) return *verdict;
  return JudgeIdentity(reply, expected);
}

}  // namespace trawl::storage
