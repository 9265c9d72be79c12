// Goal: a bucket is looked for where settings and environment say, in the host or in the path.
// Method: each source of endpoint and region; each addressing on AWS and elsewhere.
#include "storage/object_store/s3/endpoint.h"

#include <gtest/gtest.h>

#include <map>

namespace trawl::storage {
namespace {

Environment Of(std::map<std::string, std::string> values) {
  return [values = std::move(values)](const std::string& name) {
    const auto it = values.find(name);
    return it == values.end() ? std::string() : it->second;
  };
}

std::string UrlOf(const Settings& settings, const Environment& environment,
                  const std::string& bucket, const std::string& key) {
  const auto endpoint = ResolveEndpoint(settings, environment);
  return endpoint ? Locate(*endpoint, bucket, key).url : endpoint.error().message();
}

TEST(S3Endpoint, SettingsComeBeforeTheEnvironmentAndBothBeforeAws) {
  Settings settings;
  EXPECT_EQ(UrlOf(settings, Of({}), "b", "k"), "https://b.s3.us-east-1.amazonaws.com/k");
  EXPECT_EQ(UrlOf(settings, Of({{"AWS_DEFAULT_REGION", "eu-west-1"}}), "b", "k"),
            "https://b.s3.eu-west-1.amazonaws.com/k");
  EXPECT_EQ(UrlOf(settings, Of({{"AWS_DEFAULT_REGION", "eu-west-1"}, {"AWS_REGION", "cn-north-1"}}),
                  "b", "k"),
            "https://b.s3.cn-north-1.amazonaws.com.cn/k");
  EXPECT_EQ(UrlOf(settings, Of({{"AWS_ENDPOINT_URL", "http://a:1"}}), "b", "k"), "http://a:1/b/k");
  EXPECT_EQ(UrlOf(settings,
                  Of({{"AWS_ENDPOINT_URL", "http://a:1"}, {"AWS_ENDPOINT_URL_S3", "http://s:2/"}}),
                  "b", "k"),
            "http://s:2/b/k");
  settings.s3_endpoint = "https://minio.example/s3/";
  EXPECT_EQ(UrlOf(settings, Of({{"AWS_ENDPOINT_URL_S3", "http://s:2"}}), "b", "k"),
            "https://minio.example/s3/b/k");
}

TEST(S3Endpoint, AutoPutsTheBucketIntoTheHostOnlyOnAwsAndOnlyIfItIsOneLabel) {
  Settings settings;
  EXPECT_EQ(UrlOf(settings, Of({}), "dotted.name", "k"),
            "https://s3.us-east-1.amazonaws.com/dotted.name/k");
  EXPECT_EQ(UrlOf(settings, Of({}), "Old_Name", "k"),
            "https://s3.us-east-1.amazonaws.com/Old_Name/k");
  settings.s3_addressing = "virtual";
  EXPECT_EQ(UrlOf(settings, Of({{"AWS_ENDPOINT_URL", "http://a:1"}}), "b", "k"), "http://b.a:1/k");
  settings.s3_addressing = "path";
  EXPECT_EQ(UrlOf(settings, Of({}), "b", "k"), "https://s3.us-east-1.amazonaws.com/b/k");
  settings.s3_addressing = "auto";
  settings.s3_endpoint = "https://s3.eu-west-1.amazonaws.com";
  EXPECT_EQ(UrlOf(settings, Of({}), "b", "k"), "https://b.s3.eu-west-1.amazonaws.com/k");
}

TEST(S3Endpoint, TheSignedHostIsTheOneThatIsSent) {
  Settings settings;
  settings.s3_endpoint = "https://HOST:443";
  EXPECT_EQ(Locate(*ResolveEndpoint(settings, Of({})), "b", "k").host, "host");
  settings.s3_endpoint = "http://[::1]:9000";
  EXPECT_EQ(Locate(*ResolveEndpoint(settings, Of({})), "b", "").host, "[::1]:9000");
  EXPECT_EQ(Locate(*ResolveEndpoint(settings, Of({})), "b", "").path, "/b");
}

TEST(S3Endpoint, AKeyNeverLeavesItsBucket) {
  Settings settings;
  settings.s3_endpoint = "http://h:1";
  EXPECT_EQ(UrlOf(settings, Of({}), "b", "http://evil/x"), "http://h:1/b/http%3A//evil/x");
  EXPECT_EQ(UrlOf(settings, Of({}), "b", "//evil"), "http://h:1/b///evil");
  EXPECT_EQ(UrlOf(settings, Of({}), "b", "../other?x#y"), "http://h:1/b/../other%3Fx%23y");
}

TEST(S3Endpoint, RefusesWhatIsNoEndpointOrRegion) {
  Settings settings;
  settings.s3_endpoint = "minio:9000";
  EXPECT_NE(UrlOf(settings, Of({}), "b", "k").find("s3-endpoint"), std::string::npos);
  settings.s3_endpoint = "http://h/?x=1";
  EXPECT_NE(UrlOf(settings, Of({}), "b", "k").find("query"), std::string::npos);
  settings.s3_endpoint = "";
  settings.s3_region = "evil.com/";
  EXPECT_NE(UrlOf(settings, Of({}), "b", "k").find("s3-region"), std::string::npos);
}

TEST(S3Endpoint, OnlyAConfiguredEndpointMayBeThisMachine) {
  Settings settings;
  EXPECT_FALSE(ResolveEndpoint(settings, Of({}))->addresses.loopback);
  settings.s3_endpoint = "http://localhost:9000";
  EXPECT_TRUE(ResolveEndpoint(settings, Of({}))->addresses.loopback);
  EXPECT_FALSE(ResolveEndpoint(settings, Of({}))->addresses.link_local);
}

}  // namespace
}  // namespace trawl::storage
