// Goal: a model from elsewhere is the very one that was meant, or there is none and nothing of it
// stays; what was fetched once is not fetched again.
// Method: the sample's package behind a server that plays scripts, its faults among them; the
// requests that it saw, and what lies in the folder afterwards, are the witnesses.

#include "worker/models/model_source.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <future>
#include <stop_token>

#include "engine/loaders/file.h"
#include "tests/support/fault_server.h"
#include "tests/support/temp_dir.h"

namespace trawl::worker {
namespace {

namespace fs = std::filesystem;

const fs::path kPackage = fs::path(TRAWL_SOURCE_DIR) / "ops/sample/model-onnx";

class ModelSourceTest : public ::testing::Test {
 protected:
  ModelSourceTest() {
    settings_.model_cache = (dir_ / "models").string();
    settings_.download_attempts = 2;
    yaml_ = testing::ReadFile(kPackage / "model.yaml");
    onnx_ = testing::ReadFile(kPackage / "sample.onnx");
    labels_ = testing::ReadFile(kPackage / "labels.txt");
    // The sample's says nothing of its labels.
    pinned_ = yaml_;
    const size_t digests = pinned_.find("sha256: {");
    pinned_.insert(digests + 9, "labels.txt: " + engine::Sha256OfText(labels_) + ", ");
    Serve("/zoo/sample.onnx", onnx_);
    Serve("/zoo/labels.txt", labels_);
    Serve("/zoo/model.yaml", pinned_);
  }

  void Serve(const std::string& path, const std::string& bytes) {
    server_.Play(path, {{testing::Reply(200, bytes)}});
  }
  Result<NamedModel> Load(const std::string& path, const std::string& sha256) {
    return LoadNamedModel(server_.Url(path), sha256, settings_, {});
  }
  std::string Refusal(const std::string& path, const std::string& sha256) {
    const auto model = Load(path, sha256);
    EXPECT_FALSE(model);
    EXPECT_TRUE(IsEmpty()) << "something stayed";
    return model ? "" : model.error().message();
  }
  bool IsEmpty() {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(dir_ / "models", error))
      if (entry.path().filename() != "lock") return false;
    return true;
  }
  fs::path Kept() {
    for (const auto& entry : fs::directory_iterator(dir_ / "models"))
      if (entry.is_directory() && !entry.is_symlink()) return entry.path();
    return {};
  }

  testing::TempDir dir_{"model-source"};
  testing::FaultServer server_;
  Settings settings_;
  std::string yaml_, onnx_, labels_, pinned_;
};

TEST_F(ModelSourceTest, AFetchedPackageIsTheOneThatLiesHere) {
  const auto here = LoadNamedModel(kPackage.string(), "", settings_, {});
  ASSERT_TRUE(here) << here.error().message();
  const auto fetched = Load("/zoo/", engine::Sha256OfText(pinned_));
  ASSERT_TRUE(fetched) << fetched.error().message();
  EXPECT_EQ(fetched->uri, server_.Url("/zoo/model.yaml"));
  const engine::ModelPackage& package = fetched->model->package();
  EXPECT_EQ(package.digest, here->model->package().digest);
  EXPECT_EQ(package.preprocess_digest, here->model->package().preprocess_digest);
  EXPECT_EQ(package.labels, here->model->package().labels);
}

TEST_F(ModelSourceTest, FetchesOnce) {
  const std::string sha256 = engine::Sha256OfText(onnx_);
  const auto first = Load("/zoo/sample.onnx", sha256);
  ASSERT_TRUE(first) << first.error().message();
  EXPECT_EQ(first->model->package().name, "sample");
  ASSERT_TRUE(Load("/zoo/sample.onnx", sha256));
  // By what a message says of it, too.
  const engine::ModelPackage& package = first->model->package();
  const auto where = RemoteModel::Parse(first->uri);
  const auto again =
      RemoteModels(settings_).Load(*where, {package.digest, package.preprocess_digest, ""}, {});
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(server_.RequestsFor("/zoo/sample.onnx"), 1);
}

TEST_F(ModelSourceTest, AWebServerIsNotBelievedWithoutADigest) {
  EXPECT_NE(Refusal("/zoo/sample.onnx", "").find("needs --model-sha256"), std::string::npos);
  EXPECT_EQ(server_.RequestsFor("/zoo/sample.onnx"), 0);
  EXPECT_NE(Refusal("/zoo/sample.onnx", "../../x").find("64 hex digits"), std::string::npos);
}

TEST_F(ModelSourceTest, ADigestInCapitalsIsTheSame) {
  std::string sha256 = engine::Sha256OfText(onnx_);
  for (char& c : sha256) c = static_cast<char>(std::toupper(c));
  EXPECT_TRUE(Load("/zoo/sample.onnx", sha256));
}

TEST_F(ModelSourceTest, OtherBytesAreRefused) {
  const std::string sha256 = engine::Sha256OfText("something else");
  EXPECT_NE(Refusal("/zoo/sample.onnx", sha256).find(sha256), std::string::npos);
  EXPECT_NE(Refusal("/zoo/", sha256).find(sha256), std::string::npos);
  std::string flipped = labels_;
  flipped[0] ^= 1;
  Serve("/zoo/labels.txt", flipped);
  EXPECT_NE(Refusal("/zoo/", engine::Sha256OfText(pinned_)).find("labels.txt"), std::string::npos);
}

TEST_F(ModelSourceTest, TheDigestOfAYamlNeedsThoseOfItsFiles) {
  Serve("/zoo/model.yaml", yaml_);
  EXPECT_NE(Refusal("/zoo/", engine::Sha256OfText(yaml_)).find("'labels.txt'"), std::string::npos);
  const auto here = LoadNamedModel(kPackage.string(), engine::Sha256OfText(yaml_), settings_, {});
  ASSERT_FALSE(here);
  EXPECT_NE(here.error().message().find("'labels.txt'"), std::string::npos);
}

TEST_F(ModelSourceTest, AFileOutsideOfTheFolderIsNotAskedFor) {
  std::string hostile = pinned_;
  const size_t name = hostile.find("labels: labels.txt");
  hostile.replace(name, 18, "labels: ../../../admin");
  Serve("/zoo/model.yaml", hostile);
  EXPECT_FALSE(Load("/zoo/", engine::Sha256OfText(hostile)));
  EXPECT_EQ(server_.RequestsFor("/admin"), 0);
  EXPECT_TRUE(IsEmpty());
}

TEST_F(ModelSourceTest, WhatIsCutMissingOrRedirectedLeavesNothing) {
  const std::string sha256 = engine::Sha256OfText(onnx_);
  const std::string half = "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(onnx_.size()) +
                           "\r\n\r\n" + onnx_.substr(0, onnx_.size() / 2);
  server_.Play("/zoo/sample.onnx", {{testing::Send(half), testing::Close()}});
  EXPECT_NE(Refusal("/zoo/sample.onnx", sha256), "");
  EXPECT_EQ(server_.RequestsFor("/zoo/sample.onnx"), settings_.download_attempts);
  EXPECT_NE(Refusal("/nothing.onnx", sha256).find("404 Not Found"), std::string::npos);
  server_.Play("/moved.onnx",
               {{testing::Reply(302, "", "Location: " + server_.Url("/zoo/labels.txt") + "\r\n")}});
  EXPECT_NE(Refusal("/moved.onnx", sha256).find("redirects are not followed"), std::string::npos);
  EXPECT_EQ(server_.RequestsFor("/zoo/labels.txt"), 0);
}

TEST_F(ModelSourceTest, ADownloadThatWasCutIsTriedAgain) {
  const std::string head =
      "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(onnx_.size()) + "\r\n\r\n";
  server_.Play("/zoo/sample.onnx", {{testing::Send(head + onnx_.substr(0, 100)), testing::Reset()},
                                    {testing::Reply(200, onnx_)}});
  EXPECT_TRUE(Load("/zoo/sample.onnx", engine::Sha256OfText(onnx_)));
}

TEST_F(ModelSourceTest, AModelIsOnlySoLarge) {
  settings_.max_model_bytes = static_cast<int64_t>(onnx_.size());
  server_.Play("/endless.onnx",
               {{testing::Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
                 testing::SendForever("4\r\naaaa\r\n")}});
  EXPECT_NE(Refusal("/endless.onnx", engine::Sha256OfText(onnx_)), "");
  // The graph alone would fit, the package does not.
  EXPECT_NE(Refusal("/zoo/", engine::Sha256OfText(pinned_)).find("more than"), std::string::npos);
}

TEST_F(ModelSourceTest, ADamagedOneIsFetchedAgain) {
  const std::string sha256 = engine::Sha256OfText(pinned_);
  ASSERT_TRUE(Load("/zoo/", sha256));
  dir_.Write(fs::relative(Kept() / "package/zoo/labels.txt", dir_.path()).string(), "cat\n");
  const auto model = Load("/zoo/", sha256);
  ASSERT_TRUE(model) << model.error().message();
  EXPECT_EQ(server_.RequestsFor("/zoo/labels.txt"), 2);
}

TEST_F(ModelSourceTest, TwoYamlsOfOneModelTakeTurns) {
  const std::string other = "# the same\n" + pinned_;
  Serve("/other/model.yaml", other);
  Serve("/other/sample.onnx", onnx_);
  Serve("/other/labels.txt", labels_);
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(Load("/zoo/", engine::Sha256OfText(pinned_)));
    EXPECT_TRUE(Load("/other/", engine::Sha256OfText(other)));
  }
}

TEST_F(ModelSourceTest, ManyAtOnceGetOneModel) {
  const std::string sha256 = engine::Sha256OfText(pinned_);
  std::vector<std::future<bool>> loads;
  for (int i = 0; i < 8; ++i)
    loads.push_back(
        std::async(std::launch::async, [&] { return Load("/zoo/", sha256).has_value(); }));
  for (auto& load : loads) EXPECT_TRUE(load.get());
}

TEST_F(ModelSourceTest, NobodyIsReachedThroughAMessageThatAFleetMayNotReach) {
  settings_.brokers = "kafka:9092";
  EXPECT_NE(Refusal("/zoo/sample.onnx", engine::Sha256OfText(onnx_)).find("is not allowed"),
            std::string::npos);
  EXPECT_EQ(server_.Connections(), 0);
  settings_.allow_root = {server_.Url("/zoo/")};
  EXPECT_TRUE(Load("/zoo/sample.onnx", engine::Sha256OfText(onnx_)));
}

TEST_F(ModelSourceTest, AServerThatIsAwayIsWaitedForUntilTheStop) {
  server_.PlayForAll(testing::Script{testing::Reply(500, "")});
  const auto where = RemoteModel::Parse(server_.Url("/zoo/sample.onnx"));
  std::stop_source stop;
  const auto load = [&] {
    const ModelIdentity expected{
        .digest = {}, .preprocess_digest = {}, .file_sha256 = engine::Sha256OfText(onnx_)};
    return RemoteModels(settings_).Load(*where, expected, stop.get_token());
  };
  auto recovered = std::async(std::launch::async, load);
  while (server_.RequestsFor("/zoo/sample.onnx") <= settings_.download_attempts)
    std::this_thread::yield();
  server_.PlayForAll(std::nullopt);
  EXPECT_TRUE(recovered.get());

  fs::remove_all(dir_ / "models");
  server_.PlayForAll(testing::Script{testing::Hang()});
  auto stopped = std::async(std::launch::async, load);
  while (server_.RequestsFor("/zoo/sample.onnx") <= settings_.download_attempts + 2)
    std::this_thread::yield();
  stop.request_stop();
  const auto model = stopped.get();
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code(), Code::kCancelled);
  EXPECT_TRUE(IsEmpty());
}

}  // namespace
}  // namespace trawl::worker
