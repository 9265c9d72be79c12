// Goal: where a server offers HTTP/2, many downloads share one connection and bring the same bytes;
// a server that breaks streams off is asked again.
// Method: nghttpd, a server of its own code base, with a certificate made for the test; its log of
// frames says what was spoken, over how many connections.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "config/settings.h"
#include "storage/object_store/object_store.h"
#include "tests/support/fetch.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace trawl::storage {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;

class Http2Test : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto made = testing::RunProcess(
        {.argv = {"openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                  "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout",
                  Path("key"), "-out", Path("certificate")},
         .environment = {},
         .output = {},
         .stdout_file = {},
         .directory = {}},
        seconds(60));
    ASSERT_TRUE(made && *made == 0) << "openssl makes no certificate";
  }

  std::string Path(const char* name) const { return (dir_ / name).string(); }

  /// Serves the folder `www`.
  void StartServer() {
    port_ = testing::FreePort();
    auto server =
        testing::Process::Start({.argv = {"nghttpd", "--verbose", "--address=127.0.0.1",

                                          "--htdocs=" + Path("www"), std::to_string(port_),
                                          Path("key"), Path("certificate")},
                                 .environment = {},
                                 .output = dir_ / "log",
                                 .stdout_file = {},
                                 .directory = {}});
    ASSERT_TRUE(server) << "nghttpd (Debian: nghttp2-server): " << server.error().message();
    server_ = std::move(*server);
    ASSERT_TRUE(testing::WaitForPort(port_));
  }

  std::unique_ptr<ObjectStore> OpenStore() const {
    Settings settings;
    settings.ca_bundle = Path("certificate");
    auto store = OpenObjectStore(settings);
    EXPECT_TRUE(store);
    return std::move(*store);
  }

  std::string Url(const std::string& name) const {
    return "https://localhost:" + std::to_string(port_) + "/" + name;
  }

  /// The connections, by nghttpd's names, on which requests came.
  std::set<std::string> ConnectionsAsked() const {
    std::set<std::string> connections;
    std::istringstream log(testing::ReadFile(dir_ / "log"));
    for (std::string line; std::getline(log, line);)
      if (line.find("recv HEADERS frame") != std::string::npos)
        connections.insert(line.substr(0, line.find(']')));
    return connections;
  }

  testing::TempDir dir_{"http2"};
  int port_ = 0;
  std::unique_ptr<testing::Process> server_;
};

TEST_F(Http2Test, ManyDownloadsShareOneConnection) {
  constexpr int kObjects = 200;
  const auto body = [](int i) { return std::string(static_cast<size_t>(i) * 500 + 1, 'a') + "z"; };
  for (int i = 0; i < kObjects; ++i) dir_.Write("www/" + std::to_string(i) + ".jpg", body(i));
  StartServer();
  const auto store = OpenStore();
  std::vector<std::future<ObjectResult<Download>>> downloads;
  for (int i = 0; i < kObjects; ++i)
    downloads.push_back(
        testing::FetchLater(*store, {Url(std::to_string(i) + ".jpg"), body(i).size(), ""}));
  for (int i = 0; i < kObjects; ++i) {
    const ObjectResult<Download> download = downloads[static_cast<size_t>(i)].get();
    ASSERT_TRUE(download) << i << ": " << download.error().message;
    EXPECT_EQ(testing::Text(download->bytes), body(i)) << i;
  }
  EXPECT_EQ(ConnectionsAsked().size(), 1U) << "64 downloads at once, and none to start with";
  EXPECT_EQ(store->Counts().requests, static_cast<uint64_t>(kObjects));
  EXPECT_EQ(store->Counts().retries, 0U);
}

TEST_F(Http2Test, StatusesAndLengthsAreJudgedAsEver) {
  dir_.Write("www/a.jpg", "abc");
  StartServer();
  const auto store = OpenStore();
  const auto code = [&](const std::string& name, uint64_t listed) {
    const auto download = testing::Fetch(*store, {Url(name), listed, ""});
    return download ? std::string("downloaded") : std::string(ToString(download.error().code));
  };
  EXPECT_EQ(code("a.jpg", 3), "downloaded");
  EXPECT_EQ(code("a.jpg", 2), "changed");
  EXPECT_EQ(code("a.jpg", 4), "changed");
  EXPECT_EQ(code("nothing.jpg", 3), "not_found");
}

TEST_F(Http2Test, AServerThatDiesAndComesBackIsAskedAgain) {
  dir_.Write("www/a.jpg", "abc");
  StartServer();
  const auto store = OpenStore();
  ASSERT_TRUE(testing::Fetch(*store, {Url("a.jpg"), 3, ""}));
  server_->Kill();
  auto waiting = testing::FetchLater(*store, {Url("a.jpg"), 3, ""});
  ASSERT_TRUE(testing::WaitUntil([&] { return store->Counts().requests > 1; }, seconds(20)));
  // On the same port: the one that the URL names.
  auto server =
      testing::Process::Start({.argv = {"nghttpd", "--address=127.0.0.1", "--htdocs=" + Path("www"),
                                        std::to_string(port_), Path("key"), Path("certificate")},
                               .environment = {},
                               .output = {},
                               .stdout_file = {},
                               .directory = {}});
  ASSERT_TRUE(server);
  const auto download = waiting.get();
  ASSERT_TRUE(download) << download.error().message;
  EXPECT_EQ(testing::Text(download->bytes), "abc");
  EXPECT_GT(store->Counts().requests, 2U);
}

}  // namespace
}  // namespace trawl::storage
