// Goal: an endpoint in trouble costs time and no object, and a bad object costs nobody else
// anything. Method: the client against a real socket server that is switched between serving,
// failing and refusing everybody; counts are compared, not times.
#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <memory>
#include <vector>

#include "storage/object_store/http/http_client.h"
#include "storage/object_store/http/reply_check.h"
#include "tests/support/fault_server.h"
#include "tests/support/process.h"

namespace trawl::storage {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using namespace trawl::testing;  // NOLINT: the server's verbs

class OutageTest : public ::testing::Test {
 protected:
  OutageTest() {
    HttpClientLimits limits;
    limits.attempts = 3;
    client_ = std::make_unique<HttpClient>(limits);
  }

  std::future<HttpOutcome> Start(const std::string& path) {
    auto promise = std::make_shared<std::promise<HttpOutcome>>();
    HttpTask task;
    task.prepare = [url = server_.Url(path)]() -> tl::expected<HttpRequest, Verdict> {
      return HttpRequest{url, {}, {.loopback = true, .link_local = false}, 1'000};
    };
    task.judge = [path](const HttpReply& reply) {
      return JudgeObject(reply, {},
                         {.subject = path, .size_bytes = {}, .etag = "", .etag_may_be_md5 = false});
    };
    task.done = [promise](HttpOutcome outcome) { promise->set_value(std::move(outcome)); };
    task.endpoint = server_.Url();
    task.patience = patience_;
    task.trusted = trusted_;
    task.stop = stop_.get_token();
    client_->Submit(std::move(task));
    return promise->get_future();
  }

  // So many objects that the server has.
  void StartGood(int count) {
    for (int i = 0; i < count; ++i) {
      const std::string path = "/good" + std::to_string(i);
      server_.Play(path, {{testing::Reply(200, "hello")}});
      outcomes_.push_back(Start(path));
    }
  }
  bool IsPausedSoon() {
    return WaitUntil([this] { return client_->Counts().paused_now == 1; });
  }
  // How many of those that were started ended so: "ok", or an error's code.
  int Ended(const std::string& code) {
    int count = 0;
    for (auto& future : outcomes_) codes_.push_back(CodeOf(future.get()));
    outcomes_.clear();
    for (const std::string& each : codes_) count += each == code ? 1 : 0;
    return count;
  }
  static std::string CodeOf(const HttpOutcome& outcome) {
    return outcome.reply ? "ok" : std::string(ToString(outcome.reply.error().code));
  }

  FaultServer server_;
  milliseconds patience_ = std::chrono::hours(1);
  bool trusted_ = true;
  std::stop_source stop_;
  std::vector<std::future<HttpOutcome>> outcomes_;
  std::vector<std::string> codes_;
  std::unique_ptr<HttpClient> client_;
};

TEST_F(OutageTest, EveryObjectWaitsForTheEndAndNoneFails) {
  for (const int status : {500, 503}) {
    server_.PlayForAll(Script{testing::Reply(status, "")});
    StartGood(60);
    ASSERT_TRUE(IsPausedSoon()) << status;
    server_.PlayForAll({});
    EXPECT_EQ(Ended("ok"), 60) << status;
    codes_.clear();
    EXPECT_TRUE(WaitUntil([this] { return client_->Counts().paused_now == 0; }));
  }
  EXPECT_GE(client_->Counts().outages, 2u);
}

TEST_F(OutageTest, WhileItLastsOneProbeAtATimeIsSent) {
  server_.PlayForAll(Script{testing::Reply(500, "")});
  StartGood(60);
  ASSERT_TRUE(IsPausedSoon());
  // What was under way when it began ends first.
  ASSERT_TRUE(WaitUntil([this] { return client_->Counts().in_flight <= 1; }));
  const size_t before = server_.Heads().size();
  uint64_t most = 0;
  const auto three_more = [&] {
    most = std::max(most, client_->Counts().in_flight);
    return server_.Heads().size() >= before + 3;
  };
  ASSERT_TRUE(WaitUntil(three_more));
  EXPECT_LE(most, 1u);
  server_.PlayForAll({});
  EXPECT_EQ(Ended("ok"), 60);
}

TEST_F(OutageTest, AServerThatIsGoneIsWaitedFor) {
  server_.PlayForAll(Script{Reset()});
  StartGood(10);
  ASSERT_TRUE(IsPausedSoon());
  server_.PlayForAll({});
  EXPECT_EQ(Ended("ok"), 10);
}

TEST_F(OutageTest, AStormOfRefusalsPausesAndMakesNoFailures) {
  StartGood(5);
  EXPECT_EQ(Ended("ok"), 5);
  server_.PlayForAll(Script{testing::Reply(403, "")});
  StartGood(100);
  ASSERT_TRUE(IsPausedSoon());
  server_.PlayForAll({});
  EXPECT_EQ(Ended("ok"), 105);
}

TEST_F(OutageTest, ObjectsThatAreForbiddenAmongOthersFailAfterOneRequest) {
  StartGood(5);
  EXPECT_EQ(Ended("ok"), 5);
  for (int i = 0; i < 50; ++i) {
    const std::string path = "/private" + std::to_string(i);
    server_.Play(path, {{testing::Reply(403, "")}});
    outcomes_.push_back(Start(path));
  }
  StartGood(50);
  EXPECT_EQ(Ended("forbidden"), 50);
  EXPECT_EQ(Ended("ok"), 55);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(server_.RequestsFor("/private" + std::to_string(i)), 1);
  EXPECT_EQ(client_->Counts().outages, 0u);
}

TEST_F(OutageTest, WithNothingServedYetAFewRefusalsAreFailuresAndManyAreNot) {
  server_.PlayForAll(Script{testing::Reply(403, "")});
  StartGood(60);
  ASSERT_TRUE(IsPausedSoon());
  server_.PlayForAll({});
  const int failed = Ended("forbidden");
  EXPECT_EQ(failed, 19);
  EXPECT_EQ(Ended("ok"), 60 - failed);
}

TEST_F(OutageTest, AnObjectThatAlwaysFailsIsBlamedEvenWhenItIsTheLast) {
  StartGood(5);
  EXPECT_EQ(Ended("ok"), 5);
  server_.Play("/bad", {{testing::Reply(500, "")}});
  outcomes_.push_back(Start("/bad"));
  EXPECT_EQ(Ended("http_error"), 1);
  EXPECT_EQ(server_.RequestsFor("/bad"), 3);
  EXPECT_EQ(client_->Counts().outages, 0u);
}

TEST_F(OutageTest, AHostThatNobodyConfiguredAndThatNeverServedIsNotWaitedFor) {
  trusted_ = false;
  server_.PlayForAll(Script{testing::Reply(500, "")});
  StartGood(10);
  EXPECT_EQ(Ended("http_error"), 10);
}

TEST_F(OutageTest, PatienceEndsWithTheLastError) {
  patience_ = milliseconds(100);
  server_.PlayForAll(Script{testing::Reply(500, "")});
  StartGood(10);
  EXPECT_EQ(Ended("http_error"), 10);
}

TEST_F(OutageTest, WhoWaitsCanBeStopped) {
  server_.PlayForAll(Script{testing::Reply(500, "")});
  StartGood(10);
  ASSERT_TRUE(IsPausedSoon());
  stop_.request_stop();
  EXPECT_EQ(Ended("internal"), 10);
  client_.reset();
}

TEST_F(OutageTest, ClosingAnswersThoseWhoWait) {
  server_.PlayForAll(Script{testing::Reply(500, "")});
  StartGood(10);
  ASSERT_TRUE(IsPausedSoon());
  client_.reset();
  EXPECT_EQ(Ended("internal"), 10);
}

TEST_F(OutageTest, ALateAnswerIsOvertakenByASecondRequest) {
  StartGood(100);
  EXPECT_EQ(Ended("ok"), 100);
  const DownloadCounts before = client_->Counts();
  server_.Play("/late", {{Hang()}, {testing::Reply(200, "hello")}});
  outcomes_.push_back(Start("/late"));
  EXPECT_EQ(Ended("ok"), 101);
  EXPECT_EQ(server_.RequestsFor("/late"), 2);
  EXPECT_EQ(client_->Counts().hedges - before.hedges, 1u);
  EXPECT_EQ(client_->Counts().hedges_won - before.hedges_won, 1u);
  EXPECT_EQ(client_->Counts().retries, 0u);
}

TEST_F(OutageTest, OfTwoRequestsTheOneThatFailsIsForgotten) {
  StartGood(100);
  EXPECT_EQ(Ended("ok"), 100);
  const DownloadCounts before = client_->Counts();
  // The second request fails, then the first one is served.
  server_.Play("/late", {{Drip("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", milliseconds(20))},
                         {testing::Reply(500, "")}});
  outcomes_.push_back(Start("/late"));
  EXPECT_EQ(Ended("ok"), 101);
  EXPECT_EQ(client_->Counts().hedges_won, before.hedges_won);
  EXPECT_EQ(client_->Counts().retries, 0u);
}

}  // namespace
}  // namespace trawl::storage
