// Goal: whatever a server does, each request ends exactly once, in time, with the right code, and
// within the limits on connections, bytes and attempts. Method: a real socket server plays the
// misbehaviour; time limits are short where they matter, and nothing waits for a fixed time.
#include "storage/object_store/http/http_client.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <future>
#include <memory>
#include <optional>

#include "config/clock.h"
#include "storage/object_store/http/reply_check.h"
#include "tests/support/fault_server.h"
#include "tests/support/process.h"

namespace trawl::storage {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using namespace trawl::testing;  // NOLINT: the server's verbs

class HttpClientTest : public ::testing::Test {
 protected:
  struct Options {
    AddressPolicy addresses{.loopback = true, .link_local = false};
    uint64_t max_bytes = 1 << 20;
    std::optional<uint64_t> listed_bytes = {};
    uint64_t reserved_bytes = 0;
    std::stop_token stop = {};
  };

  /// No server that answers is too slow for these, however loaded the machine is.
  static HttpClientLimits Patient() {
    HttpClientLimits limits;
    limits.transfer.connect_timeout = kPatience;
    limits.transfer.first_byte_timeout = kPatience;
    limits.transfer.total_timeout = kPatience;
    limits.transfer.low_speed_window = kPatience;
    limits.attempts = 2;
    return limits;
  }

  static std::future<HttpOutcome> Start(HttpClient& client, const std::string& url,
                                        const Options& options) {
    auto promise = std::make_shared<std::promise<HttpOutcome>>();
    HttpTask task;
    task.prepare = [url, options]() -> tl::expected<HttpRequest, Verdict> {
      return HttpRequest{url, {"X-Test: 1"}, options.addresses, options.max_bytes};
    };
    task.judge = [url, listed = options.listed_bytes](const HttpReply& reply) {
      return JudgeObject(
          reply, {}, {.subject = url, .size_bytes = listed, .etag = "", .etag_may_be_md5 = false});
    };
    task.done = [promise](HttpOutcome outcome) { promise->set_value(std::move(outcome)); };
    task.expected_bytes = options.reserved_bytes;
    task.stop = options.stop;
    client.Submit(std::move(task));
    return promise->get_future();
  }

  HttpOutcome Run(const std::string& path) { return Run(path, Options()); }
  HttpOutcome Run(const std::string& path, const Options& options) {
    return Start(client_, server_.Url(path), options).get();
  }

  // The code of a failure, or "ok".
  static std::string CodeOf(const HttpOutcome& outcome) {
    return outcome.reply ? "ok" : std::string(ToString(outcome.reply.error().code));
  }

  FaultServer server_;
  HttpClient client_{Patient()};
};

TEST_F(HttpClientTest, ABodyShorterThanAnnouncedIsTriedAgainAndThenTruncated) {
  server_.Play("/k", {{Send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"), Close()}});
  const HttpOutcome outcome = Run("/k");
  EXPECT_EQ(CodeOf(outcome), "truncated");
  EXPECT_EQ(outcome.reply.error().attempts, 2);
  EXPECT_EQ(server_.RequestsFor("/k"), 2);
  EXPECT_EQ(server_.Connections(), 2);
}

TEST_F(HttpClientTest, AChunkedBodyThatIsCutIsTruncated) {
  server_.Play("/k",
               {{Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"), Close()}});
  EXPECT_EQ(CodeOf(Run("/k")), "truncated");
}

TEST_F(HttpClientTest, ABodyWithoutLengthIsTruncatedWhenTheListingSaysMore) {
  server_.Play("/k", {{Send("HTTP/1.1 200 OK\r\n\r\nhello"), Close()}});
  EXPECT_EQ(CodeOf(Run("/k", {.listed_bytes = 6})), "truncated");
  EXPECT_EQ(CodeOf(Run("/k", {.listed_bytes = 5})), "ok");
  EXPECT_EQ(CodeOf(Run("/k", {.listed_bytes = 4})), "changed");
}

TEST_F(HttpClientTest, ABodyThatNothingMeasuresIsNoObjectHoweverItEnds) {
  server_.Play("/close", {{Send("HTTP/1.1 200 OK\r\n\r\nhello"), Close()}});
  server_.Play("/old", {{Send("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"), Close()}});
  server_.Play("/chunks",
               {{Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
                      "0\r\n\r\n")}});
  EXPECT_EQ(CodeOf(Run("/close")), "http_error");
  EXPECT_EQ(CodeOf(Run("/old")), "ok");
  EXPECT_EQ(CodeOf(Run("/chunks")), "ok");
}

TEST_F(HttpClientTest, AnotherLengthThanListedIsChangedAfterOneRequest) {
  server_.Play("/k", {{Reply(200, "hello")}});
  EXPECT_EQ(CodeOf(Run("/k", {.listed_bytes = 6})), "changed");
  EXPECT_EQ(server_.RequestsFor("/k"), 1);
}

TEST_F(HttpClientTest, BytesBeyondTheAnnouncedLengthDoNotReachTheNextReply) {
  server_.Play("/long", {{Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n"
                               "Content-Length: 4\r\n\r\nevil")}});
  server_.Play("/next", {{Reply(200, "good")}});
  EXPECT_EQ(Run("/long").reply->body.size(), 2u);
  const HttpOutcome next = Run("/next");
  ASSERT_TRUE(next.reply);
  EXPECT_EQ(next.reply->body[0], std::byte{'g'});
}

TEST_F(HttpClientTest, BodiesOverTheLimitAreCutWhateverTheyAnnounce) {
  server_.Play("/announced",
               {{Send("HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n"), SendForever("x")}});
  server_.Play("/chunked", {{Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
                             SendForever("1000\r\n" + std::string(0x1000, 'x') + "\r\n")}});
  server_.Play("/unannounced",
               {{Send("HTTP/1.1 200 OK\r\n\r\n"), SendForever(std::string(4'096, 'x'))}});
  for (const char* path : {"/announced", "/chunked", "/unannounced"}) {
    EXPECT_EQ(CodeOf(Run(path)), "too_large") << path;
    EXPECT_EQ(server_.RequestsFor(path), 1) << path;
  }
}

TEST_F(HttpClientTest, EndlessHeadersAndErrorPagesEnd) {
  server_.Play("/headers", {{Send("HTTP/1.1 200 OK\r\n"),
                             SendForever("X-Filler: " + std::string(500, 'x') + "\r\n")}});
  server_.Play("/page", {{Send("HTTP/1.1 404 No\r\n\r\n"), SendForever(std::string(4'096, 'x'))}});
  EXPECT_EQ(CodeOf(Run("/headers")), "http_error");
  EXPECT_EQ(CodeOf(Run("/page")), "not_found");
}

TEST_F(HttpClientTest, RepliesThatAreNotTheObjectAreErrorsAfterOneRequest) {
  server_.Play("/gzip", {{Reply(200, "\x1f\x8b", "Content-Encoding: gzip\r\n")}});
  server_.Play("/206", {{Reply(206, "hello")}});
  server_.Play("/416", {{Reply(416, "")}});
  server_.Play("/noise", {{Send("220 smtp ready\r\n"), Close()}});
  for (const char* path : {"/gzip", "/206", "/416", "/noise"}) {
    EXPECT_EQ(CodeOf(Run(path)), "http_error") << path;
    EXPECT_EQ(server_.RequestsFor(path), 1) << path;
  }
}

TEST_F(HttpClientTest, RedirectsAreNotFollowed) {
  FaultServer target;
  server_.Play("/near", {{Reply(302, "", "Location: " + target.Url("/secret") + "\r\n")}});
  server_.Play("/far",
               {{Reply(301, "", "Location: http://169.254.169.254/latest/meta-data/\r\n")}});
  EXPECT_EQ(CodeOf(Run("/near")), "http_error");
  const HttpOutcome far = Run("/far");
  EXPECT_EQ(CodeOf(far), "http_error");
  EXPECT_NE(far.reply.error().message.find("301 Moved Permanently; redirects are not followed"),
            std::string::npos);
  EXPECT_EQ(target.Connections(), 0);
}

TEST_F(HttpClientTest, ThrottlingIsRetriedOnANewConnection) {
  server_.Play("/k", {{Reply(503, "slow")}, {Reply(200, "hello")}});
  const HttpOutcome outcome = Run("/k");
  EXPECT_EQ(CodeOf(outcome), "ok");
  EXPECT_EQ(outcome.attempts, 2);
  EXPECT_EQ(server_.Connections(), 2);
}

TEST_F(HttpClientTest, RetryAfterIsWaitedFor) {
  server_.Play("/k", {{Reply(429, "", "Retry-After: 1\r\n")}, {Reply(200, "hello")}});
  const HttpOutcome outcome = Run("/k");
  EXPECT_EQ(CodeOf(outcome), "ok");
  EXPECT_GE(outcome.elapsed_ms, 1'000);
}

TEST_F(HttpClientTest, LastingFaultsEndAfterTheAllowedAttempts) {
  server_.Play("/503", {{Reply(503, "")}});
  server_.Play("/500", {{Reply(500, "")}});
  server_.Play("/reset", {{Reset()}});
  // First, while no connection is idle: a reused one that breaks before any byte is replaced
  // without counting.
  EXPECT_EQ(CodeOf(Run("/reset")), "http_error");
  EXPECT_EQ(CodeOf(Run("/503")), "throttled");
  EXPECT_EQ(CodeOf(Run("/500")), "http_error");
  for (const char* path : {"/503", "/500", "/reset"})
    EXPECT_EQ(server_.RequestsFor(path), 2) << path;
}

TEST_F(HttpClientTest, AResetInTheBodyIsRetried) {
  const std::string body(100'000, 'x');
  server_.Play("/k", {{Send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nxxx"), Reset()},
                      {Reply(200, body)}});
  const HttpOutcome outcome = Run("/k");
  ASSERT_TRUE(outcome.reply);
  EXPECT_EQ(outcome.reply->body.size(), body.size());
}

TEST_F(HttpClientTest, AServerThatNeverAnswersOrDripsTimesOut) {
  server_.Play("/silent", {{Hang()}});
  server_.Play("/half", {{Send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx"), Hang()}});
  server_.Play("/drip", {{Send("HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n"),
                          Drip(std::string(10'000, 'x'), milliseconds(20))}});
  HttpClientLimits limits = Patient();
  limits.transfer.first_byte_timeout = milliseconds(300);
  limits.transfer.low_speed_window = milliseconds(300);
  HttpClient client(limits);
  for (const char* path : {"/silent", "/half", "/drip"}) {
    const HttpOutcome outcome = Start(client, server_.Url(path), {}).get();
    EXPECT_EQ(CodeOf(outcome), "timeout") << path;
    EXPECT_EQ(outcome.reply.error().attempts, 2) << path;
    EXPECT_LT(outcome.elapsed_ms, 5'000) << path;
  }
}

TEST_F(HttpClientTest, NobodyListeningIsAnHttpErrorThatNamesTheUrl) {
  const std::string url = "http://127.0.0.1:" + std::to_string(FreePort()) + "/k";
  const HttpOutcome outcome = Start(client_, url, {}).get();
  EXPECT_EQ(CodeOf(outcome), "http_error");
  EXPECT_NE(outcome.reply.error().message.find(url), std::string::npos);
}

TEST_F(HttpClientTest, SequentialRequestsShareAConnection) {
  server_.Play("/k", {{Reply(200, "hello")}});
  for (int i = 0; i < 20; ++i) EXPECT_EQ(CodeOf(Run("/k")), "ok");
  EXPECT_EQ(server_.Connections(), 1);
}

TEST_F(HttpClientTest, AConnectionThatTheServerHasClosedIsReplaced) {
  server_.Play("/k", {{Reply(200, "hello"), Close()}, {Close()}, {Reply(200, "hello")}});
  EXPECT_EQ(CodeOf(Run("/k")), "ok");
  EXPECT_EQ(CodeOf(Run("/k")), "ok") << "closed while idle, then before any answer";
  EXPECT_EQ(server_.RequestsFor("/k"), 3);
}

TEST_F(HttpClientTest, InformationalRepliesAreNotTheReply) {
  server_.Play("/k",
               {{Send("HTTP/1.1 103 Early Hints\r\nETag: \"hint\"\r\nContent-Length: 9\r\n\r\n"),
                 Reply(200, "hello")}});
  const HttpOutcome outcome = Run("/k");
  ASSERT_TRUE(outcome.reply);
  EXPECT_EQ(outcome.reply->headers.ETag(), "");
}

TEST_F(HttpClientTest, SendsThePathAsItStandsAndAsksForNoEncoding) {
  server_.Play("/a/../b%20c", {{Reply(200, "hello")}});
  EXPECT_EQ(CodeOf(Run("/a/../b%20c")), "ok");
  const std::string head = server_.Heads().at(0);
  EXPECT_NE(head.find("\r\nAccept-Encoding: identity\r\n"), std::string::npos) << head;
  EXPECT_NE(head.find("\r\nX-Test: 1\r\n"), std::string::npos) << head;
}

TEST_F(HttpClientTest, IgnoresProxiesOfTheEnvironment) {
  const std::string proxy = "http://127.0.0.1:" + std::to_string(FreePort());
  setenv("http_proxy", proxy.c_str(), 1);
  setenv("ALL_PROXY", proxy.c_str(), 1);
  server_.Play("/k", {{Reply(200, "hello")}});
  EXPECT_EQ(CodeOf(Run("/k")), "ok");
  unsetenv("http_proxy");
  unsetenv("ALL_PROXY");
}

TEST_F(HttpClientTest, RefusedAddressesAreNeverConnectedTo) {
  const HttpOutcome outcome = Run("/k", {.addresses = {}});
  EXPECT_EQ(CodeOf(outcome), "forbidden");
  EXPECT_EQ(outcome.reply.error().attempts, 1);
  EXPECT_NE(outcome.reply.error().message.find("127.0.0.1"), std::string::npos);
  EXPECT_EQ(server_.Connections(), 0);
  const HttpOutcome by_name =
      Start(client_, "http://localhost:" + std::to_string(server_.port()) + "/k", {.addresses = {}})
          .get();
  EXPECT_EQ(CodeOf(by_name), "forbidden");
  EXPECT_EQ(server_.Connections(), 0);
}

TEST_F(HttpClientTest, APooledConnectionDoesNotWidenAPolicy) {
  server_.Play("/k", {{Reply(200, "hello")}});
  EXPECT_EQ(CodeOf(Run("/k")), "ok");
  EXPECT_EQ(CodeOf(Run("/k", {.addresses = {}})), "forbidden");
  EXPECT_EQ(server_.RequestsFor("/k"), 1);
}

TEST_F(HttpClientTest, AnErrorInPreparingEndsTheTaskWithoutARequest) {
  std::promise<HttpOutcome> promise;
  HttpTask task;
  task.prepare = []() -> tl::expected<HttpRequest, Verdict> {
    return tl::unexpected(
        Verdict{Route::kLockedOut, {ObjectErrorCode::kForbidden, "no credentials", 1}, {}});
  };
  task.done = [&promise](HttpOutcome outcome) { promise.set_value(std::move(outcome)); };
  client_.Submit(std::move(task));
  EXPECT_EQ(CodeOf(promise.get_future().get()), "forbidden");
}

TEST_F(HttpClientTest, ACorrectedRequestIsSentAgainOnceOnly) {
  server_.Play("/k", {{Reply(403, "")}});
  std::promise<HttpOutcome> promise;
  HttpTask task;
  task.prepare = [this]() -> tl::expected<HttpRequest, Verdict> {
    return HttpRequest{server_.Url("/k"), {}, {.loopback = true, .link_local = false}, 100};
  };
  task.judge = [](const HttpReply&) {
    return Verdict{Route::kCorrected, {ObjectErrorCode::kForbidden, "clock", 1}, {}};
  };
  task.done = [&promise](HttpOutcome outcome) { promise.set_value(std::move(outcome)); };
  client_.Submit(std::move(task));
  EXPECT_EQ(CodeOf(promise.get_future().get()), "forbidden");
  EXPECT_EQ(server_.RequestsFor("/k"), 2);
}

// Limits on what runs at once.

TEST_F(HttpClientTest, NoMoreThanTheAllowedRequestsRunAtOnce) {
  HttpClientLimits limits = Patient();
  limits.in_flight = 2;
  HttpClient client(limits);
  server_.Play("/hang", {{Hang()}});
  server_.Play("/k", {{Reply(200, "hello")}});
  std::stop_source first;
  auto a = Start(client, server_.Url("/hang"), {.stop = first.get_token()});
  auto b = Start(client, server_.Url("/hang"), {});
  auto c = Start(client, server_.Url("/k"), {});
  ASSERT_TRUE(WaitUntil([this] { return server_.RequestsFor("/hang") == 2; }));
  EXPECT_EQ(c.wait_for(milliseconds(200)), std::future_status::timeout);
  EXPECT_EQ(server_.RequestsFor("/k"), 0);
  first.request_stop();
  EXPECT_EQ(CodeOf(a.get()), "internal");
  EXPECT_EQ(CodeOf(c.get()), "ok");
}

TEST_F(HttpClientTest, NoMoreThanTheAllowedBytesRunAtOnceButOneAlwaysDoes) {
  HttpClientLimits limits = Patient();
  limits.bytes_in_flight = 1'000;
  HttpClient client(limits);
  server_.Play("/hang", {{Hang()}});
  server_.Play("/k", {{Reply(200, "hello")}});
  std::stop_source first;
  auto a =
      Start(client, server_.Url("/hang"), {.reserved_bytes = 5'000, .stop = first.get_token()});
  auto b = Start(client, server_.Url("/k"), {.reserved_bytes = 500});
  ASSERT_TRUE(WaitUntil([this] { return server_.RequestsFor("/hang") == 1; }));
  EXPECT_EQ(b.wait_for(milliseconds(200)), std::future_status::timeout);
  first.request_stop();
  EXPECT_EQ(CodeOf(b.get()), "ok");
}

TEST_F(HttpClientTest, WaitingRequestsStartInOrder) {
  HttpClientLimits limits = Patient();
  limits.in_flight = 1;
  HttpClient client(limits);
  std::vector<std::future<HttpOutcome>> outcomes;
  for (int i = 0; i < 10; ++i) {
    const std::string path = "/" + std::to_string(i);
    server_.Play(path, {{Reply(200, "hello")}});
    outcomes.push_back(Start(client, server_.Url(path), {}));
  }
  for (auto& outcome : outcomes) EXPECT_EQ(CodeOf(outcome.get()), "ok");
  for (size_t i = 0; i < 10; ++i)
    EXPECT_TRUE(server_.Heads().at(i).starts_with("GET /" + std::to_string(i) + " ")) << i;
}

TEST_F(HttpClientTest, StopEndsRunningWaitingAndDelayedRequestsSoon) {
  HttpClientLimits limits = Patient();
  limits.in_flight = 1;
  HttpClient client(limits);
  server_.Play("/503", {{Reply(503, "", "Retry-After: 20\r\n")}});
  server_.Play("/hang", {{Hang()}});
  std::stop_source stop;
  std::vector<std::future<HttpOutcome>> outcomes;
  outcomes.push_back(Start(client, server_.Url("/503"), {.stop = stop.get_token()}));
  outcomes.push_back(Start(client, server_.Url("/hang"), {.stop = stop.get_token()}));
  outcomes.push_back(Start(client, server_.Url("/waits"), {.stop = stop.get_token()}));
  ASSERT_TRUE(WaitUntil([this] { return server_.RequestsFor("/hang") == 1; }));
  const auto start = SystemClock().Now();
  stop.request_stop();
  for (auto& future : outcomes) {
    const HttpOutcome outcome = future.get();
    EXPECT_EQ(CodeOf(outcome), "internal");
    EXPECT_EQ(outcome.reply.error().message, "cancelled");
  }
  EXPECT_LT(SystemClock().Now() - start, seconds(2));
}

TEST_F(HttpClientTest, TheDestructorAnswersEverybody) {
  std::vector<std::future<HttpOutcome>> outcomes;
  server_.Play("/hang", {{Hang()}});
  {
    HttpClientLimits limits = Patient();
    limits.in_flight = 3;
    HttpClient client(limits);
    for (int i = 0; i < 20; ++i) outcomes.push_back(Start(client, server_.Url("/hang"), {}));
  }
  for (auto& future : outcomes) {
    ASSERT_EQ(future.wait_for(seconds(0)), std::future_status::ready);
    EXPECT_EQ(CodeOf(future.get()), "internal");
  }
}

}  // namespace
}  // namespace trawl::storage
