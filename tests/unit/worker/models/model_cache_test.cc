// Goal: a worker loads a model once, only the one that was meant and only from where it may, and
// drops the one used longest ago.
// Method: copies of the sample's model under other names, loaded through one cache.

#include "worker/model_cache.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "engine/model_package.h"
#include "tests/support/fault_server.h"
#include "tests/support/temp_dir.h"
#include "worker/limits.h"

namespace trawl::worker {
namespace {

const std::filesystem::path kOnnx =
    std::filesystem::path(TRAWL_SOURCE_DIR) / "ops/sample/model-onnx/sample.onnx";

class ModelCacheTest : public ::testing::Test {
 protected:
  ModelCacheTest() {
    settings_.model_cache = (dir_ / "models").string();
    settings_.allow_root = {dir_.path().string()};
  }
  /// A copy, which is a model of its own by its URI.
  ModelRef Copy(const std::string& name) {
    const auto path = dir_.Write(name + ".onnx", testing::ReadFile(kOnnx));
    const auto package = engine::OpenModelPackage(path.string());
    return {"file://" + package->location, name, package->digest, package->preprocess_digest};
  }

  testing::TempDir dir_{"model-cache"};
  Settings settings_;
};

/// What the sample's model takes with one session for one picture.
size_t SampleBytes() {
  const auto package = engine::OpenModelPackage(kOnnx.string());
  return ModelBytes(*engine::Model::Load(*package), 1, 1).value();
}

TEST_F(ModelCacheTest, LoadsAModelOnceAndDropsTheOneUsedLongestAgo) {
  const size_t one = SampleBytes();
  // At least its file, and no more than weights packed twice over and a generous arena.
  EXPECT_GE(one, std::filesystem::file_size(kOnnx) / 2);
  Models kept;
  size_t bytes = 0;
  ModelCache cache(settings_, SystemClock(), {4 * one, 1, 1},
                   [&](const Models& models, size_t all) {
                     kept = models;
                     bytes = all;
                     EXPECT_LE(all, 4 * one);
                   });
  const ModelRef first = Copy("m0");
  const auto loaded = cache.Get(first, {});
  ASSERT_TRUE(loaded) << loaded.error().message();
  const std::weak_ptr<const engine::Model> oldest = *cache.Get(Copy("m1"), {});
  for (size_t i = 2; i < 4; ++i) ASSERT_TRUE(cache.Get(Copy(fmt::format("m{}", i)), {}));
  EXPECT_EQ(*cache.Get(first, {}), *loaded) << "loaded again";
  EXPECT_FALSE(oldest.expired());
  ASSERT_TRUE(cache.Get(Copy("one-more"), {}));
  EXPECT_TRUE(oldest.expired());
  EXPECT_EQ(*cache.Get(first, {}), *loaded);
  EXPECT_EQ(kept.size(), 4U);
  EXPECT_EQ(bytes, 4 * one);
}

TEST_F(ModelCacheTest, AModelThatTheMemoryCannotHoldIsRefusedAndNoOtherMakesRoom) {
  const size_t one = SampleBytes();
  ModelCache cache(settings_, SystemClock(), {one, 1, 1});
  const std::weak_ptr<const engine::Model> first = *cache.Get(Copy("m0"), {});
  ASSERT_TRUE(cache.Get(Copy("m1"), {}));
  EXPECT_TRUE(first.expired());
  ModelCache tight(settings_, SystemClock(), {one - 1, 1, 1});
  const auto refused = tight.Get(Copy("m2"), {});
  EXPECT_EQ(refused.error().code(), Code::kResourceExhausted);
  EXPECT_NE(refused.error().message().find("--memory leaves models"), std::string::npos)
      << refused.error().message();
}

TEST_F(ModelCacheTest, AModelThatSomebodyHasLoadedIsNotLoadedAgain) {
  const ModelRef ref = Copy("m");
  const std::string path = ref.uri.substr(std::string("file://").size());
  const auto model = engine::Model::Load(*engine::OpenModelPackage(path));
  ASSERT_TRUE(model);
  std::filesystem::remove(path);
  ModelCache cache(settings_, SystemClock());
  cache.Adopt({ref, *model});
  const auto got = cache.Get(ref, {});
  ASSERT_TRUE(got) << got.error().message();
  EXPECT_EQ(*got, *model);
  ModelRef other = ref;
  other.digest = std::string(64, '0');
  EXPECT_FALSE(cache.Get(other, {})) << "of that name, but not the one that is meant";

  ModelCache tight(settings_, SystemClock(), {SampleBytes() - 1, 1, 1});
  tight.Adopt({ref, *model});
  EXPECT_EQ(tight.Get(ref, {}).error().code(), Code::kResourceExhausted);
}

TEST_F(ModelCacheTest, FetchesWhatAMessageNamesAndChecksThatItIsTheOne) {
  testing::FaultServer server;
  server.Play("/m.onnx", {{testing::Reply(200, testing::ReadFile(kOnnx))}});
  ModelRef ref = Copy("m");
  ref.uri = server.Url("/m.onnx");
  ModelCache cache(settings_, SystemClock());
  const auto model = cache.Get(ref, {});
  ASSERT_TRUE(model) << model.error().message();
  EXPECT_EQ(*cache.Get(ref, {}), *model);
  EXPECT_EQ(server.RequestsFor("/m.onnx"), 1);

  ref.digest = std::string(64, '0');
  const auto other = cache.Get(ref, {});
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code(), Code::kFailedPrecondition);
  const int requests = server.RequestsFor("/m.onnx");
  EXPECT_FALSE(cache.Get(ref, {}));
  EXPECT_EQ(server.RequestsFor("/m.onnx"), requests) << "a refusal is remembered for a while";
}

TEST_F(ModelCacheTest, InAFleetOnlyFromServersThatTheOperatorNamed) {
  testing::FaultServer server;
  server.Play("/zoo/m.onnx", {{testing::Reply(200, testing::ReadFile(kOnnx))}});
  ModelRef ref = Copy("m");
  ref.uri = server.Url("/zoo/m.onnx");
  settings_.brokers = "kafka:9092";
  const auto refused = ModelCache(settings_, SystemClock()).Get(ref, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kPermissionDenied);
  EXPECT_EQ(server.Connections(), 0);
  settings_.allow_root = {server.Url("/zoo/")};
  EXPECT_TRUE(ModelCache(settings_, SystemClock()).Get(ref, {}));
}

TEST_F(ModelCacheTest, GivesUpWhenNobodyWantsItAndRemembersNothing) {
  testing::FaultServer server;
  server.Play("/m.onnx", {{testing::Reply(200, testing::ReadFile(kOnnx))}});
  ModelRef ref = Copy("m");
  ref.uri = server.Url("/m.onnx");
  ModelCache cache(settings_, SystemClock());
  std::stop_source stopped;
  stopped.request_stop();
  const auto model = cache.Get(ref, stopped.get_token());
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code(), Code::kCancelled);
  EXPECT_TRUE(cache.Get(ref, {}));
}

TEST_F(ModelCacheTest, KnowsThreeKindsOfUri) {
  ModelCache cache(settings_, SystemClock());
  for (const char* uri : {"ftp://host/m.onnx", "/m.onnx", "s3://bucket\x01/m.onnx", "https://h/m"})
    EXPECT_FALSE(cache.Get({uri, "m", std::string(64, '0'), std::string(64, '0')}, {})) << uri;
}

}  // namespace
}  // namespace trawl::worker
