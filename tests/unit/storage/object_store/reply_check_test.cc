// Goal: only the very object that was listed is accepted; every other reply gets its code and its
// route. Method: replies made by hand, one difference at a time.
#include "storage/object_store/http/reply_check.h"

#include <gtest/gtest.h>

namespace trawl::storage {
namespace {

constexpr const char* kMd5OfHello = "5d41402abc4b2a76b9719d911017c592";

HttpReply Hello() {
  HttpReply reply;
  reply.status = 200;
  reply.headers.Add("Content-Length: 5");
  for (const char c : std::string("hello")) reply.body.push_back(static_cast<std::byte>(c));
  return reply;
}

ObjectExpectation Expect(std::optional<uint64_t> size, std::string etag, bool md5 = true) {
  return {
      .subject = "http://h/k", .size_bytes = size, .etag = std::move(etag), .etag_may_be_md5 = md5};
}

std::string Outcome(const Verdict& verdict) {
  if (verdict.route == Route::kAccept) return "accept";
  const char* const route = verdict.route == Route::kRetry       ? "retry "
                            : verdict.route == Route::kUnreached ? "unreached "
                            : verdict.route == Route::kDamaged   ? "damaged "
                            : verdict.route == Route::kThrottled ? "throttled "
                            : verdict.route == Route::kRefused   ? "refused "
                            : verdict.route == Route::kLockedOut ? "locked out "
                                                                 : "fail ";
  return route + std::string(ToString(verdict.error.code));
}

std::string Judge(const HttpReply& reply, const ObjectExpectation& expected) {
  return Outcome(JudgeObject(reply, {}, expected));
}

TEST(JudgeObject, AcceptsTheListedObject) {
  HttpReply reply = Hello();
  reply.headers.Add(std::string("ETag: \"") + kMd5OfHello + "\"");
  EXPECT_EQ(Judge(reply, Expect(5, kMd5OfHello)), "accept");
  EXPECT_EQ(Judge(reply, Expect({}, "")), "accept");
}

TEST(JudgeObject, ComparesLengthsReceivedAnnouncedAndListed) {
  EXPECT_EQ(Judge(Hello(), Expect(6, "")), "fail changed");
  HttpReply cut = Hello();
  cut.body.pop_back();
  EXPECT_EQ(Judge(cut, Expect(5, "")), "damaged truncated");
  EXPECT_EQ(Judge(cut, Expect({}, "")), "damaged truncated");
  HttpReply unannounced = Hello();
  unannounced.headers.Clear();
  EXPECT_EQ(Judge(unannounced, Expect(5, "")), "accept");
  EXPECT_EQ(Judge(unannounced, Expect(6, "")), "damaged truncated");
  EXPECT_EQ(Judge(unannounced, Expect(4, "")), "fail changed");
}

TEST(JudgeObject, ComparesTheETagAndTheMd5ThatItIs) {
  HttpReply reply = Hello();
  reply.headers.Add("ETag: W/\"v2\"");
  EXPECT_EQ(Judge(reply, Expect(5, "v1")), "fail changed");
  EXPECT_EQ(Judge(reply, Expect(5, "v2")), "accept");
  const std::string other_md5 = "00000000000000000000000000000000";
  HttpReply corrupt = Hello();
  corrupt.headers.Add("ETag: \"" + other_md5 + "\"");
  EXPECT_EQ(Judge(corrupt, Expect(5, other_md5)), "damaged checksum_mismatch");
  EXPECT_EQ(Judge(corrupt, Expect(5, other_md5, /*md5=*/false)), "accept");
  corrupt.headers.Add("x-amz-server-side-encryption: aws:kms");
  EXPECT_EQ(Judge(corrupt, Expect(5, other_md5)), "accept");
  HttpReply multipart = Hello();
  multipart.headers.Add("ETag: \"" + other_md5 + "-2\"");
  EXPECT_EQ(Judge(multipart, Expect(5, other_md5 + "-2")), "accept");
}

TEST(JudgeObject, WithoutTheListedETagOnlyTheBytesMd5SpeaksForThem) {
  EXPECT_EQ(Judge(Hello(), Expect(5, kMd5OfHello)), "accept");
  EXPECT_EQ(Judge(Hello(), Expect(5, "00000000000000000000000000000000")),
            "damaged checksum_mismatch");
  EXPECT_EQ(Judge(Hello(), Expect(5, "v1")), "fail http_error");
  EXPECT_EQ(Judge(Hello(), Expect(5, kMd5OfHello, /*md5=*/false)), "fail http_error");
}

TEST(JudgeObject, ABodyThatOnlyTheConnectionEndsNeedsAListedLengthOrADigest) {
  HttpReply reply = Hello();
  reply.headers.Clear();
  reply.end_marked = false;
  EXPECT_EQ(Judge(reply, Expect({}, "")), "fail http_error");
  EXPECT_EQ(Judge(reply, Expect(5, "")), "accept");
  EXPECT_EQ(Judge(reply, Expect({}, kMd5OfHello)), "accept");
}

TEST(JudgeObject, MoreThanWasListedIsAnotherObject) {
  HttpReply reply;
  reply.status = 200;
  reply.wire = Wire::kTooLarge;
  EXPECT_EQ(Judge(reply, Expect(5, "")), "fail changed");
  EXPECT_EQ(Judge(reply, Expect({}, "")), "fail too_large");
}

TEST(JudgeObject, RefusesEncodingsThatWereNotAskedFor) {
  HttpReply reply = Hello();
  reply.headers.Add("Content-Encoding: gzip");
  EXPECT_EQ(Judge(reply, Expect(5, "")), "fail http_error");
  HttpReply uploaded = Hello();
  uploaded.headers.Add("Content-Encoding: aws-chunked");
  EXPECT_EQ(Judge(uploaded, Expect(5, "")), "accept");
}

TEST(JudgeStatus, GivesEachStatusItsCodeAndRoute) {
  const auto judge = [](int status, const char* code = "") {
    HttpReply reply;
    reply.status = status;
    return Outcome(JudgeStatus(reply, {code, ""}, "u"));
  };
  EXPECT_EQ(judge(200), "accept");
  for (const int status : {204, 206, 301, 302, 304, 307, 400, 405, 416, 418, 501, 0})
    EXPECT_EQ(judge(status), "fail http_error") << status;
  EXPECT_EQ(judge(404), "fail not_found");
  EXPECT_EQ(judge(410), "fail not_found");
  EXPECT_EQ(judge(401), "refused forbidden");
  EXPECT_EQ(judge(403, "AccessDenied"), "refused forbidden");
  for (const char* code : {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"})
    EXPECT_EQ(judge(403, code), "locked out forbidden") << code;
  EXPECT_EQ(judge(400, "ExpiredToken"), "locked out forbidden");
  EXPECT_EQ(judge(412), "fail changed");
  for (const int status : {500, 502, 504, 408})
    EXPECT_EQ(judge(status), "retry http_error") << status;
  EXPECT_EQ(judge(503), "throttled throttled");
  EXPECT_EQ(judge(429), "throttled throttled");
  EXPECT_EQ(judge(400, "SlowDown"), "throttled throttled");
  EXPECT_EQ(judge(400, "RequestTimeout"), "retry timeout");
}

TEST(JudgeStatus, GivesEachFateOfTheWireItsCodeAndRoute) {
  const auto judge = [](Wire wire) {
    HttpReply reply;
    reply.wire = wire;
    return Outcome(JudgeStatus(reply, {}, "u"));
  };
  EXPECT_EQ(judge(Wire::kCannotConnect), "unreached http_error");
  EXPECT_EQ(judge(Wire::kConnectTimeout), "unreached timeout");
  EXPECT_EQ(judge(Wire::kBroken), "retry http_error");
  EXPECT_EQ(judge(Wire::kTruncated), "retry truncated");
  EXPECT_EQ(judge(Wire::kTimeout), "retry timeout");
  EXPECT_EQ(judge(Wire::kTooLarge), "fail too_large");
  EXPECT_EQ(judge(Wire::kRefusedAddress), "fail forbidden");
  EXPECT_EQ(judge(Wire::kUntrusted), "locked out http_error");
  EXPECT_EQ(judge(Wire::kMalformed), "fail http_error");
}

TEST(JudgeStatus, TellsWhatTheServerSaidOnOneLine) {
  HttpReply reply;
  reply.status = 403;
  const Verdict verdict = JudgeStatus(reply, {"AccessDenied", "no\nway \x1b[2J"}, "http://h/k");
  EXPECT_EQ(verdict.error.message, "http://h/k: 403 Forbidden (AccessDenied: no?way ?[2J)");
}

TEST(JudgeStatus, ReadsRetryAfterInSecondsAndAsADate) {
  HttpReply reply;
  reply.status = 503;
  reply.headers.Add("Retry-After: 7");
  EXPECT_EQ(JudgeStatus(reply, {}, "u").retry_after, std::chrono::seconds(7));
  reply.headers.Clear();
  reply.headers.Add("Retry-After: Thu, 01 Jan 1998 00:00:00 GMT");
  EXPECT_EQ(JudgeStatus(reply, {}, "u").retry_after, std::chrono::seconds(0));
  reply.headers.Clear();
  reply.headers.Add("Retry-After: soon");
  EXPECT_EQ(JudgeStatus(reply, {}, "u").retry_after, std::nullopt);
}

}  // namespace
}  // namespace trawl::storage
