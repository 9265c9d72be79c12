// Goal: an instance's metadata are asked for within a session that is begun anew in time, and other
// trouble is not taken for "there is nothing". Method: the service played by a real socket server,
// the session's age by a clock that stands still.
#include "storage/object_store/s3/instance_metadata.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/fault_server.h"
#include "tests/support/manual_clock.h"

namespace trawl::storage {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using namespace trawl::testing;  // NOLINT: the server's verbs

constexpr const char* kToken = "/latest/api/token";
constexpr const char* kPath = "/latest/meta-data/spot/instance-action";

class InstanceMetadataTest : public ::testing::Test {
 protected:
  InstanceMetadata Find(const std::string& address) {
    const auto environment = [&address](const std::string& name) {
      return name == "AWS_EC2_METADATA_SERVICE_ENDPOINT" ? address : std::string();
    };
    auto found = InstanceMetadata::Find(environment, {.total = milliseconds(500)}, clock_);
    EXPECT_TRUE(found);
    return std::move(*found);
  }
  Result<std::string> Ask() { return metadata_.Get("spot/instance-action"); }
  /// The session that the nth request belonged to.
  std::string SessionOf(size_t request) const {
    const std::string head = server_.Heads().at(request), name = "\r\nX-aws-ec2-metadata-token: ";
    const size_t at = head.find(name);
    if (at == std::string::npos) return "";
    const size_t begin = at + name.size();
    return head.substr(begin, head.find('\r', begin) - begin);
  }

  ManualClock clock_;
  FaultServer server_;
  InstanceMetadata metadata_ = Find(server_.Url("/"));
};

TEST_F(InstanceMetadataTest, ASessionServesUntilShortlyBeforeItEnds) {
  server_.Play(kToken, {{Reply(200, "one")}, {Reply(200, "two")}});
  server_.Play(kPath, {{Reply(200, "first")}, {Reply(404, "")}, {Reply(200, "third")}});
  EXPECT_EQ(server_.Connections(), 0);
  EXPECT_EQ(Ask().value(), "first");
  clock_.Advance(seconds(239));
  EXPECT_EQ(Ask().error().code(), Code::kNotFound);
  clock_.Advance(seconds(1));
  EXPECT_EQ(Ask().value(), "third");
  EXPECT_EQ(server_.RequestsFor(kToken), 2);
  ASSERT_EQ(server_.Heads().size(), 5u);
  EXPECT_TRUE(server_.Heads()[0].starts_with("PUT "));
  EXPECT_NE(server_.Heads()[0].find("\r\nX-aws-ec2-metadata-token-ttl-seconds: 300\r\n"),
            std::string::npos);
  EXPECT_EQ(SessionOf(1), "one");
  EXPECT_EQ(SessionOf(2), "one");
  EXPECT_EQ(SessionOf(4), "two");
}

TEST_F(InstanceMetadataTest, ASessionThatEndedBeforeItsTimeIsBegunAnewOnce) {
  server_.Play(kToken, {{Reply(200, "one")}, {Reply(200, "two")}});
  server_.Play(kPath, {{Reply(200, "first")}, {Reply(401, "")}, {Reply(200, "second")}});
  EXPECT_EQ(Ask().value(), "first");
  EXPECT_EQ(Ask().value(), "second");
  EXPECT_EQ(SessionOf(4), "two");
  server_.Play(kPath, {{Reply(401, "")}});
  EXPECT_EQ(Ask().error().code(), Code::kPermissionDenied);
  EXPECT_EQ(server_.RequestsFor(kToken), 3);
}

TEST_F(InstanceMetadataTest, WhoHasNoSessionsDoesNotSayThatThereIsNothing) {
  // Whatever it is, it answers 404 to everything.
  EXPECT_EQ(Ask().error().code(), Code::kPermissionDenied);
  EXPECT_EQ(server_.RequestsFor(kPath), 0);
}

TEST_F(InstanceMetadataTest, NobodyIsWaitedForLongerThanAsked) {
  server_.Play(kToken, {{Hang()}});
  EXPECT_EQ(Ask().error().code(), Code::kUnavailable);
  server_.Play(kToken, {{Reply(200, "one")}});
  server_.Play(kPath, {{Reset()}, {Reply(200, "then")}});
  EXPECT_EQ(Ask().error().code(), Code::kUnavailable);
  EXPECT_EQ(Ask().value(), "then");
}

TEST(InstanceMetadata, RefusesAnAddressThatIsNone) {
  const auto found =
      InstanceMetadata::Find([](const std::string&) { return std::string("file:///etc"); }, {});
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace trawl::storage
