// Goal: each service is asked as its protocol says, what comes back is used until shortly before it
// expires, and no secret shows in a message. Method: the services played by a real socket server;
// environments made up per test.
#include "storage/object_store/s3/credential_services.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "config/clock.h"
#include "config/utc_time.h"
#include "storage/object_store/s3/refreshing_credentials.h"
#include "tests/support/fault_server.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace trawl::storage {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using namespace trawl::testing;  // NOLINT: the server's verbs

using Variables = std::map<std::string, std::string>;

Environment Of(Variables values) {
  return [values = std::move(values)](const std::string& name) {
    const auto it = values.find(name);
    return it == values.end() ? std::string() : it->second;
  };
}

std::string ExpiresIn(seconds life) {
  return FormatUtc(SystemClock().WallMillis() + milliseconds(life).count());
}

std::string Json(const std::string& key, const std::string& expiration) {
  return R"({"Code":"Success","AccessKeyId":")" + key +
         R"(","SecretAccessKey":"hunter2","Token":"tok","Expiration":")" + expiration + "\"}";
}

class CredentialServicesTest : public ::testing::Test {
 protected:
  FaultServer server_;
  const TempDir dir_;
};

constexpr const char* kRole =
    "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"
    "<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIA</AccessKeyId>"
    "<SecretAccessKey>hunter2</SecretAccessKey><SessionToken>tok</SessionToken>"
    "<Expiration>2040-01-31T23:59:59Z</Expiration></Credentials>"
    "</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>";

TEST_F(CredentialServicesTest, WebIdentityIsExchangedInABodyThatNoLogSees) {
  server_.Play("/", {{Reply(200, kRole)}});
  const auto token = dir_.Write("token", "ey.J+/=\n");
  const auto provider = FindCredentials(Of({{"AWS_WEB_IDENTITY_TOKEN_FILE", token.string()},
                                            {"AWS_ROLE_ARN", "arn:aws:iam::1:role/reader"},
                                            {"AWS_ENDPOINT_URL_STS", server_.Url()}}));
  EXPECT_EQ(server_.Connections(), 0);  // nobody is asked before somebody needs them
  provider->Await();
  const auto found = provider->Get();
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_EQ(found->access_key, "ASIA");
  EXPECT_EQ(found->secret_key.Reveal(), "hunter2");
  EXPECT_EQ(found->session_token.Reveal(), "tok");
  const std::string head = server_.Heads().at(0);
  EXPECT_TRUE(head.starts_with("POST / HTTP/1.1\r\n")) << head;
  EXPECT_EQ(head.find("ey.J"), std::string::npos);
}

TEST_F(CredentialServicesTest, WhatWebIdentityLacksIsNamedAndTheTokenIsNot) {
  const auto token = dir_.Write("token", "hunter2");
  const Environment environment = Of({{"AWS_ENDPOINT_URL_STS", server_.Url()}});
  server_.Play("/", {{Reply(403,
                            "<ErrorResponse><Error><Code>ExpiredTokenException</Code>"
                            "<Message>hunter2</Message></Error></ErrorResponse>")}});
  const auto refused = AssumeRole({token.string(), "arn", ""}, environment);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("403 Forbidden (ExpiredTokenException)"),
            std::string::npos);
  EXPECT_EQ(refused.error().message().find("hunter2"), std::string::npos);
  EXPECT_NE(AssumeRole({"/none", "arn", ""}, environment).error().message().find("/none"),
            std::string::npos);
  const auto half = FindCredentials(Of({{"AWS_WEB_IDENTITY_TOKEN_FILE", "f"}}))->Get();
  EXPECT_EQ(half.error().message(), "AWS_WEB_IDENTITY_TOKEN_FILE is set but AWS_ROLE_ARN is not");
}

TEST_F(CredentialServicesTest, AContainersEndpointIsAskedWithItsToken) {
  server_.Play("/creds", {{Reply(200, Json("ASIA", "2040-01-31T23:59:59Z"))}});
  const auto token = dir_.Write("token", "Bearer one\n");
  const Environment environment = Of({{"AWS_CONTAINER_CREDENTIALS_FULL_URI", server_.Url("/creds")},
                                      {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.string()}});
  const auto found = AskContainer(environment);
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_EQ(found->credentials.access_key, "ASIA");
  EXPECT_EQ(FormatUtc(found->expires_ms), "2040-01-31T23:59:59.000Z");
  EXPECT_NE(server_.Heads().at(0).find("\r\nAuthorization: Bearer one\r\n"), std::string::npos);
}

TEST_F(CredentialServicesTest, AContainersTokenGoesToNoStrangerInTheClear) {
  for (const char* url : {"http://example.com/", "http://10.0.0.1/", "http://169.254.169.254/",
                          "ftp://127.0.0.1/", "http://127.0.0.1.example.com/"}) {
    const auto found = AskContainer(Of({{"AWS_CONTAINER_CREDENTIALS_FULL_URI", url}}));
    ASSERT_FALSE(found) << url;
    EXPECT_NE(found.error().message().find("neither https nor on this machine"), std::string::npos)
        << found.error().message();
  }
  EXPECT_FALSE(AskContainer(Of({{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "@evil/"}})));
}

TEST_F(CredentialServicesTest, AnInstanceIsAskedWithASessionTokenOnly) {
  server_.Play("/latest/api/token", {{Reply(200, "session")}});
  server_.Play("/latest/meta-data/iam/security-credentials/", {{Reply(200, "reader\n")}});
  server_.Play("/latest/meta-data/iam/security-credentials/reader",
               {{Reply(200, Json("ASIA", "2040-01-31T23:59:59Z"))}});
  const Environment environment = Of({{"AWS_EC2_METADATA_SERVICE_ENDPOINT", server_.Url("/")}});
  const auto found = AskInstance(environment);
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_EQ(found->credentials.access_key, "ASIA");
  const auto heads = server_.Heads();
  ASSERT_EQ(heads.size(), 3u);
  EXPECT_TRUE(heads[0].starts_with("PUT /latest/api/token HTTP/1.1\r\n"));
  EXPECT_NE(heads[0].find("X-aws-ec2-metadata-token-ttl-seconds: "), std::string::npos);
  for (const size_t i : {1, 2})
    EXPECT_NE(heads[i].find("\r\nX-aws-ec2-metadata-token: session\r\n"), std::string::npos);
}

TEST_F(CredentialServicesTest, VersionOneOfTheInstancesServiceIsNeverAsked) {
  server_.Play("/latest/api/token", {{Reply(403, "")}});
  EXPECT_FALSE(AskInstance(Of({{"AWS_EC2_METADATA_SERVICE_ENDPOINT", server_.Url()}})));
  EXPECT_EQ(server_.Heads().size(), 1u);
}

TEST_F(CredentialServicesTest, RedirectsAreNotFollowed) {
  FaultServer elsewhere;
  server_.Play("/creds", {{Reply(302, "", "Location: " + elsewhere.Url("/") + "\r\n")}});
  EXPECT_FALSE(AskContainer(Of({{"AWS_CONTAINER_CREDENTIALS_FULL_URI", server_.Url("/creds")}})));
  EXPECT_EQ(elsewhere.Connections(), 0);
}

TEST(ParseCredentialsJson, RefusesWhatIsIncompleteWithoutShowingIt) {
  EXPECT_TRUE(ParseCredentialsJson(Json("A", "2040-01-31T23:59:59Z")));
  EXPECT_TRUE(ParseCredentialsJson(Json("A", "2040-01-31T23:59:59.123456Z")));
  const std::string endless = R"({"AccessKeyId":"A","SecretAccessKey":"hunter2"})";
  for (const std::string& text :
       {std::string("hunter2"), std::string("[]"), std::string("{}"), endless,
        Json("", "2040-01-31T23:59:59Z"), Json("A", "soon"), Json("A", "2040-13-31T23:59:59Z"),
        std::string(R"({"AccessKeyId":1,"SecretAccessKey":"hunter2"})")}) {
    const auto parsed = ParseCredentialsJson(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().message().find("hunter2"), std::string::npos);
  }
}

TEST(RefreshDelay, IsFiveMinutesBeforeTheEndOrHalfOfAShortLife) {
  constexpr int64_t kNow = 1'000'000, kMinute = 60'000;
  EXPECT_EQ(RefreshDelay(kNow, kNow + 60 * kMinute, 0), milliseconds(55 * kMinute));
  EXPECT_EQ(RefreshDelay(kNow, kNow + 60 * kMinute, 1), milliseconds(55 * kMinute - 30'000));
  EXPECT_EQ(RefreshDelay(kNow, kNow + kMinute, 0), milliseconds(30'000));
  EXPECT_EQ(RefreshDelay(kNow, kNow + kMinute, 1), milliseconds(27'000));
  EXPECT_EQ(RefreshDelay(kNow, kNow, 0), milliseconds(1'000));
  EXPECT_EQ(RefreshDelay(kNow, kNow - kMinute, 0), milliseconds(1'000));
}

class RefreshTest : public CredentialServicesTest {
 protected:
  std::unique_ptr<CredentialProvider> Open() {
    return FindCredentials(Of({{"AWS_CONTAINER_CREDENTIALS_FULL_URI", server_.Url("/creds")}}));
  }
  bool IsAskedSoon(int times) {
    return WaitUntil([&] { return server_.RequestsFor("/creds") >= times; });
  }
};

TEST_F(RefreshTest, NewOnesComeBeforeTheOldOnesExpire) {
  server_.Play("/creds", {{Reply(200, Json("FIRST", ExpiresIn(seconds(20))))},
                          {Reply(200, Json("SECOND", ExpiresIn(seconds(3'600))))}});
  const auto provider = Open();
  provider->Await();
  EXPECT_EQ(provider->Get()->access_key, "FIRST");
  ASSERT_TRUE(WaitUntil([&] {
    const auto now = provider->Get();
    EXPECT_TRUE(now);  // at no time are there none
    return now && now->access_key == "SECOND";
  }));
}

TEST_F(RefreshTest, WhileTheServiceIsDownTheOldOnesServe) {
  server_.Play("/creds",
               {{Reply(200, Json("FIRST", ExpiresIn(seconds(3'600))))}, {Reply(500, "hunter2")}});
  const auto provider = Open();
  provider->Await();
  provider->OnRefused();  // asks again
  ASSERT_TRUE(IsAskedSoon(2));
  EXPECT_EQ(provider->Get()->access_key, "FIRST");
}

TEST_F(RefreshTest, ExpiredOnesAreNotHandedOut) {
  server_.Play("/creds", {{Reply(200, Json("OLD", ExpiresIn(seconds(-10))))}});
  const auto provider = Open();
  provider->Await();
  EXPECT_FALSE(provider->Get());
}

TEST_F(RefreshTest, AServiceThatComesUpLateIsAskedAgain) {
  server_.Play("/creds", {{Reply(503, "")}});
  const auto provider = Open();
  provider->Await();
  const auto first = provider->Get();
  ASSERT_FALSE(first);
  server_.Play("/creds", {{Reply(200, Json("LATE", "2040-01-31T23:59:59Z"))}});
  EXPECT_NE(first.error().message().find("503"), std::string::npos);
  EXPECT_TRUE(WaitUntil([&] { return provider->Get().has_value(); }));
}

TEST_F(RefreshTest, RefusedOnesAreReplacedSoon) {
  server_.Play("/creds", {{Reply(200, Json("FIRST", "2040-01-31T23:59:59Z"))},
                          {Reply(200, Json("SECOND", "2040-01-31T23:59:59Z"))}});
  const auto provider = Open();
  provider->Await();
  provider->OnRefused();
  EXPECT_TRUE(WaitUntil([&] { return provider->Get()->access_key == "SECOND"; }));
}

}  // namespace
}  // namespace trawl::storage
