// Goal: plain HTTP reaches what its user named and nothing that a message could abuse.
// Method: the store against a real socket server on this machine, in both kinds of trust.
#include "storage/object_store/http/http_store.h"

#include <gtest/gtest.h>

#include "tests/support/fault_server.h"
#include "tests/support/fetch.h"

namespace trawl::storage {
namespace {

using namespace trawl::testing;  // NOLINT: the server's verbs

std::string Outcome(const Settings& settings, GetRequest request) {
  HttpClient client(HttpClientLimits::From(settings));
  HttpStore store(settings, client);
  const auto result = Fetch(store, std::move(request));
  return result ? Text(result->bytes) : std::string(ToString(result.error().code));
}

TEST(HttpStore, DownloadsFromThisMachineWhenTheLogIsEmbedded) {
  FaultServer server;
  server.Play("/base/k", {{Reply(200, "hello")}});
  EXPECT_EQ(Outcome({}, {server.Url("/base/k"), 5, ""}), "hello");
}

TEST(HttpStore, AWorkerOfAFleetReachesItsOwnMachineOnlyBelowAnAllowedUrl) {
  FaultServer server;
  server.Play("/base/k", {{Reply(200, "hello")}});
  server.Play("/admin", {{Reply(200, "secret")}});
  Settings settings;
  settings.brokers = "kafka:9092";
  EXPECT_EQ(Outcome(settings, {server.Url("/base/k"), {}, ""}), "forbidden");
  EXPECT_EQ(server.Connections(), 0);
  settings.allow_root = {"/data", server.Url("/base/")};
  EXPECT_EQ(Outcome(settings, {server.Url("/base/k"), {}, ""}), "hello");
  EXPECT_EQ(Outcome(settings, {server.Url("/admin"), {}, ""}), "forbidden");
  EXPECT_EQ(server.RequestsFor("/admin"), 0);
}

TEST(HttpStore, NobodyReachesMetadataServices) {
  EXPECT_EQ(Outcome({}, {"http://169.254.169.254/latest/meta-data/", {}, ""}), "forbidden");
  EXPECT_EQ(Outcome({}, {"http://[fe80::1]/", {}, ""}), "forbidden");
  EXPECT_EQ(Outcome({}, {"http://2852039166/", {}, ""}),
            "forbidden");  // 169.254.169.254 as one number
}

TEST(HttpStore, UsesAnAbsoluteUriAsItStandsAndShowsItWithoutItsQuery) {
  FaultServer server;
  server.Play("/a%20b%2Fc", {{Reply(200, "hello")}});
  EXPECT_EQ(Outcome({}, {server.Url("/a%20b%2Fc?sig=1#f"), {}, ""}), "hello");
  EXPECT_TRUE(server.Heads().at(0).starts_with("GET /a%20b%2Fc?sig=1 "));
  HttpClient client(HttpClientLimits::From({}));
  HttpStore store({}, client);
  const auto missing = Fetch(store, {server.Url("/gone?sig=hunter2"), {}, ""});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message, server.Url("/gone") + ": 404 Not Found");
}

TEST(HttpStore, AListedETagMustStillBeTheServers) {
  FaultServer server;
  server.Play("/k", {{Reply(200, "hello", "ETag: \"v2\"\r\n")}});
  EXPECT_EQ(Outcome({}, {server.Url("/k"), {}, "v1"}), "changed");
  EXPECT_EQ(Outcome({}, {server.Url("/k"), {}, "v2"}), "hello");
}

TEST(HttpStore, RefusesUrlsWithPasswordsAndOtherSchemes) {
  EXPECT_EQ(Outcome({}, {"http://u:p@127.0.0.1/", {}, ""}), "http_error");
}

TEST(HttpStore, SaysThatItCannotList) {
  HttpClient client(HttpClientLimits::From({}));
  HttpStore store({}, client);
  const auto page = store.List("http://host/base/", "", "", 10);
  ASSERT_FALSE(page);
  EXPECT_EQ(page.error().code(), Code::kUnimplemented);
  EXPECT_NE(page.error().message().find("manifest"), std::string::npos);
}

}  // namespace
}  // namespace trawl::storage
