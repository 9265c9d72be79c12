// Goal: listings lose and repeat nothing when servers page oddly, and what only S3 knows (clock,
// region, folder markers) is acted on. Method: scripted replies for what a well-behaved server
// never sends; the rest is in the conformance suite.
#include "storage/object_store/s3/s3_store.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>

#include "tests/support/fault_server.h"
#include "tests/support/fetch.h"

namespace trawl::storage {
namespace {

using namespace trawl::testing;  // NOLINT: the server's verbs

class S3StoreTest : public ::testing::Test {
 protected:
  S3StoreTest() {
    settings_.s3_endpoint = server_.Url();
    settings_.download_attempts = 2;
    settings_.outage_patience_ms = 0;
  }

  S3Store& Open(std::map<std::string, std::string> environment = {
                    {"AWS_ACCESS_KEY_ID", "AKID"}, {"AWS_SECRET_ACCESS_KEY", "hunter2"}}) {
    const Environment lookup = [environment](const std::string& name) {
      const auto it = environment.find(name);
      return it == environment.end() ? std::string() : it->second;
    };
    store_.reset();
    client_ = std::make_unique<HttpClient>(HttpClientLimits::From(settings_));
    auto endpoint = ResolveEndpoint(settings_, lookup);
    store_ = std::make_unique<S3Store>(settings_, std::move(*endpoint), FindCredentials(lookup),
                                       *client_);
    return *store_;
  }

  static Step Page(const std::vector<std::string>& keys, bool truncated,
                   const std::string& token = "", int size = 1) {
    std::string xml = "<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>";
    xml += truncated ? "true" : "false";
    xml += "</IsTruncated><NextContinuationToken>" + token + "</NextContinuationToken>";
    for (const std::string& key : keys)
      xml += "<Contents><Key>" + key + "</Key><Size>" + std::to_string(size) + "</Size></Contents>";
    return Reply(200, xml + "</ListBucketResult>");
  }

  static std::string Keys(const Result<ListPage>& page) {
    if (!page) return std::string(ToString(page.error().code())) + ": " + page.error().message();
    std::string keys;
    for (const ObjectRef& object : page->objects) keys += object.key + " ";
    return keys + (page->last ? "last" : "more");
  }

  FaultServer server_;
  Settings settings_;
  std::unique_ptr<S3Store> store_;
  std::unique_ptr<HttpClient> client_;  // destroyed first
};

TEST_F(S3StoreTest, FollowsEmptyTruncatedPagesByToken) {
  server_.Play("/b", {{Page({}, true, "t1")}, {Page({}, true, "t2")}, {Page({"k"}, false)}});
  EXPECT_EQ(Keys(Open().List("s3://b/", "", "", 10)), "k last");
  EXPECT_NE(server_.Heads().at(2).find("continuation-token=t2"), std::string::npos);
}

TEST_F(S3StoreTest, ATruncatedEmptyPageWithoutATokenIsAnErrorAndNoEnd) {
  server_.Play("/b", {{Page({}, true)}});
  EXPECT_EQ(Keys(Open().List("s3://b/", "", "", 10)).substr(0, 11), "unavailable");
}

TEST_F(S3StoreTest, LeavesOutFolderMarkersButNotObjectsThatLookLikeThem) {
  server_.Play("/b", {{Page({"dir/"}, true, "t", 0)}, {Page({"dir/k", "other/"}, false)}});
  EXPECT_EQ(Keys(Open().List("s3://b/", "", "", 10)), "dir/k other/ last");
  EXPECT_EQ(server_.RequestsFor("/b"), 2);
}

TEST_F(S3StoreTest, KeysAreRelativeToTheFolderOfTheSource) {
  server_.Play("/b", {{Page({"dir/p1", "dir/p2"}, true)}});
  EXPECT_EQ(Keys(Open().List("s3://b/dir", "p", "p0", 10)), "p1 p2 more");
  const std::string head = server_.Heads().at(0);
  EXPECT_NE(head.find("prefix=dir%2Fp&"), std::string::npos) << head;
  EXPECT_NE(head.find("start-after=dir%2Fp0 "), std::string::npos) << head;
}

TEST_F(S3StoreTest, APageThatGoesBackwardsIsTriedAgainAndThenRefused) {
  server_.Play("/b", {{Page({"a", "b"}, true)}, {Page({"c", "d"}, false)}});
  EXPECT_EQ(Keys(Open().List("s3://b/", "", "b", 10)), "c d last");
  server_.Play("/c", {{Page({"b", "a"}, false)}});
  EXPECT_NE(Keys(Open().List("s3://c/", "", "", 10)).find("order"), std::string::npos);
}

TEST_F(S3StoreTest, BrokenListingsAndThrottlingAreRetried) {
  server_.Play("/b", {{Reply(200, "<html>proxy login</html>")}, {Page({"k"}, false)}});
  EXPECT_EQ(Keys(Open().List("s3://b/", "", "", 10)), "k last");
  server_.Play("/c", {{Reply(503, "<Error><Code>SlowDown</Code></Error>")}, {Page({"k"}, false)}});
  EXPECT_EQ(Keys(Open().List("s3://c/", "", "", 10)), "k last");
  server_.Play("/d", {{Reply(500, "")}});
  EXPECT_EQ(Keys(Open().List("s3://d/", "", "", 10)).substr(0, 12), "unavailable:");
}

TEST_F(S3StoreTest, ListingErrorsSayWhatThePersonHasToDo) {
  server_.Play("/gone",
               {{Reply(404, "<Error><Code>NoSuchBucket</Code><Message>none</Message></Error>")}});
  EXPECT_EQ(Keys(Open().List("s3://gone/", "", "", 10)),
            "not_found: listing " + server_.Url("/gone") + ": 404 Not Found (NoSuchBucket: none)");
  server_.Play("/denied", {{Reply(403, "<Error><Code>AccessDenied</Code></Error>")}});
  EXPECT_EQ(Keys(Open().List("s3://denied/", "", "", 10)).substr(0, 18), "permission_denied:");
  server_.Play("/far", {{Reply(301, "<Error><Code>PermanentRedirect</Code></Error>",
                               "x-amz-bucket-region: eu-central-1\r\n")}});
  const std::string far = Keys(Open().List("s3://far/", "", "", 10));
  EXPECT_EQ(far.substr(0, 17), "invalid_argument:");
  EXPECT_NE(far.find("--s3-region eu-central-1"), std::string::npos) << far;
}

TEST_F(S3StoreTest, WithoutCredentialsNothingIsSent) {
  S3Store& store = Open({{"HOME", "/nonexistent"}, {"AWS_EC2_METADATA_DISABLED", "true"}});
  EXPECT_NE(Keys(store.List("s3://b/", "", "", 10)).find("AWS_ACCESS_KEY_ID"), std::string::npos);
  const auto result = Fetch(store, {"s3://b/k", {}, ""});
  EXPECT_EQ(result.error().code, ObjectErrorCode::kForbidden);
  EXPECT_EQ(server_.Connections(), 0);
}

TEST_F(S3StoreTest, AnonymousRequestsAreNotSigned) {
  settings_.anonymous = true;
  server_.Play("/b/k", {{Reply(200, "hello")}});
  ASSERT_TRUE(Fetch(Open(), {"s3://b/k", {}, ""}));
  const std::string head = server_.Heads().at(0);
  EXPECT_EQ(head.find("uthorization"), std::string::npos);
  EXPECT_EQ(head.find("x-amz-"), std::string::npos);
}

TEST_F(S3StoreTest, SignedRequestsCarryTheHeadersThatServersRequireAndNoSecret) {
  server_.Play("/b/k", {{Reply(200, "hello", "ETag: \"abc\"\r\n")}});
  ASSERT_TRUE(Fetch(Open(), {"s3://b/k", {}, "abc"}));
  const std::string head = server_.Heads().at(0);
  for (const char* part : {"authorization: AWS4-HMAC-SHA256 Credential=AKID/",
                           "x-amz-date: ", "x-amz-content-sha256: ", "If-Match: \"abc\"\r\n"})
    EXPECT_NE(head.find(part), std::string::npos) << part << " in " << head;
  EXPECT_EQ(head.find("hunter2"), std::string::npos);
}

TEST_F(S3StoreTest, AnETagFromAMessageCannotWriteHeaders) {
  server_.Play("/b/k", {{Reply(200, "hello")}});
  Fetch(Open(), {"s3://b/k", {}, "x\"\r\nX-Evil: 1"});
  EXPECT_EQ(server_.Heads().at(0).find("X-Evil"), std::string::npos);
}

TEST_F(S3StoreTest, AWrongClockIsPutRightFromTheServersDateOnce) {
  const std::string skewed = "<Error><Code>RequestTimeTooSkewed</Code></Error>";
  server_.Play("/b/k", {{Reply(403, skewed, "Date: Fri, 24 May 2030 00:00:00 GMT\r\n")},
                        {Reply(200, "hello")}});
  S3Store& store = Open();
  ASSERT_TRUE(Fetch(store, {"s3://b/k", {}, ""}));
  EXPECT_NE(server_.Heads().at(1).find("x-amz-date: 20300524T0000"), std::string::npos);
  server_.Play("/b/never", {{Reply(403, skewed, "Date: Fri, 24 May 2030 00:00:00 GMT\r\n")}});
  EXPECT_EQ(Fetch(store, {"s3://b/never", {}, ""}).error().code, ObjectErrorCode::kForbidden);
  EXPECT_EQ(server_.RequestsFor("/b/never"), 2);
}

TEST_F(S3StoreTest, OtherBucketsThanTheAllowedAreRefusedWithoutARequest) {
  settings_.allow_bucket = {"mine"};
  server_.Play("/mine/k", {{Reply(200, "hello")}});
  S3Store& store = Open();
  EXPECT_TRUE(Fetch(store, {"s3://mine/k", {}, ""}));
  EXPECT_EQ(Fetch(store, {"s3://theirs/k", {}, ""}).error().code, ObjectErrorCode::kForbidden);
  EXPECT_EQ(Keys(store.List("s3://theirs/", "", "", 10)).substr(0, 18), "permission_denied:");
  EXPECT_EQ(server_.Heads().size(), 1u);
}

TEST_F(S3StoreTest, AChangedObjectIsOneRequest) {
  server_.Play("/b/k", {{Reply(412, "<Error><Code>PreconditionFailed</Code></Error>")}});
  EXPECT_EQ(Fetch(Open(), {"s3://b/k", 5, "abc"}).error().code, ObjectErrorCode::kChanged);
  EXPECT_EQ(server_.RequestsFor("/b/k"), 1);
}

TEST_F(S3StoreTest, CorruptBytesAreFoundByTheETagAndFetchedAgain) {
  const std::string headers = "ETag: \"5d41402abc4b2a76b9719d911017c592\"\r\n";
  server_.Play("/b/k", {{Reply(200, "hellO", headers)}, {Reply(200, "hello", headers)}});
  const auto result = Fetch(Open(), {"s3://b/k", 5, ""});
  ASSERT_TRUE(result);
  EXPECT_EQ(Text(result->bytes), "hello");
  EXPECT_EQ(result->attempts, 2);
}

TEST_F(S3StoreTest, OnlyTheListedBytesAreAResultWhateverElseComesWith200) {
  const std::string ok = "HTTP/1.1 200 OK\r\n", chunked = ok + "Transfer-Encoding: chunked\r\n\r\n";
  const std::string etag = "ETag: \"5d41402abc4b2a76b9719d911017c592\"\r\n";  // of "hello"
  const std::map<std::string, std::pair<Script, std::string>> replies = {
      {"/b/short", {{Send(ok + "Content-Length: 5\r\n\r\nhel"), Close()}, "truncated"}},
      {"/b/reset", {{Send(ok + "Content-Length: 5\r\n\r\nhel"), Reset()}, "truncated"}},
      {"/b/chunk-cut", {{Send(chunked + "5\r\nhel"), Close()}, "truncated"}},
      {"/b/chunks-cut", {{Send(chunked + "3\r\nhel\r\n"), Close()}, "truncated"}},
      {"/b/closed", {{Send(ok + "\r\nhel"), Close()}, "truncated"}},
      {"/b/longer", {{Reply(200, "hello, world")}, "changed"}},
      {"/b/endless", {{Send(chunked), SendForever("5\r\nhello\r\n")}, "changed"}},
      {"/b/empty", {{Reply(200, "")}, "changed"}},
      {"/b/html", {{Reply(200, "<html>", "Content-Type: text/html\r\n")}, "changed"}},
      {"/b/html-of-its-length", {{Reply(200, "<htm>")}, "checksum_mismatch"}},
      {"/b/another-etag", {{Reply(200, "hello", "ETag: \"v2\"\r\n")}, "changed"}},
      {"/b/flipped", {{Reply(200, "hellO", etag)}, "checksum_mismatch"}},
      {"/b/range", {{Reply(206, "hello", etag)}, "http_error"}},
      {"/b/gzip", {{Reply(200, "hello", etag + "Content-Encoding: gzip\r\n")}, "http_error"}},
      {"/b/whole", {{Reply(200, "hello", etag)}, "hello"}},
  };
  S3Store& store = Open();
  for (const auto& [path, reply] : replies) {
    server_.Play(path, {reply.first});
    const auto result = Fetch(store, {"s3:/" + path, 5, "5d41402abc4b2a76b9719d911017c592"});
    EXPECT_EQ(result ? Text(result->bytes) : std::string(ToString(result.error().code)),
              reply.second)
        << path;
  }
}

TEST_F(S3StoreTest, AListedSizeOverTheLimitIsNotEvenAskedFor) {
  settings_.max_object_bytes = 100;
  EXPECT_EQ(Fetch(Open(), {"s3://b/k", 101, ""}).error().code, ObjectErrorCode::kTooLarge);
  EXPECT_EQ(server_.Connections(), 0);
}

}  // namespace
}  // namespace trawl::storage
