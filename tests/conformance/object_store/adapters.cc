#include "tests/conformance/object_store/adapters.h"

#include <cstdlib>

#include "storage/object_store/uri.h"
#include "tests/support/fault_server.h"
#include "tests/support/s3_server.h"
#include "tests/support/temp_dir.h"

namespace trawl::storage {
namespace {

class LocalPlace final : public Place {
 public:
  Settings StoreSettings() const override {
    Settings settings;
    settings.allow_root = {folder_.path().string()};
    return settings;
  }
  std::string Source() const override { return "file://" + folder_.path().string() + "/"; }
  std::string MissingSource() const override {
    return "file://" + folder_.path().string() + "/none/";
  }
  Status Put(const std::string& key, std::string_view bytes) override {
    folder_.Write(key, bytes);
    return OkStatus();
  }

 private:
  const testing::TempDir folder_{"place"};
};

class HttpPlace final : public Place {
 public:
  Settings StoreSettings() const override { return {}; }
  std::string Source() const override { return server_.Url("/base/"); }
  std::string MissingSource() const override { return server_.Url("/none/"); }
  Status Put(const std::string& key, std::string_view bytes) override {
    server_.Play("/base/" + PercentEncodePath(key), {{testing::Reply(200, bytes)}});
    return OkStatus();
  }

 private:
  testing::FaultServer server_;
};

class S3Place final : public Place {
 public:
  S3Place(const testing::S3Server& server, std::string bucket)
      : server_(server), bucket_(std::move(bucket)) {}
  Settings StoreSettings() const override {
    Settings settings;
    settings.s3_endpoint = server_.endpoint();
    return settings;
  }
  std::string Source() const override { return "s3://" + bucket_ + "/"; }
  std::string MissingSource() const override { return "s3://no-such-bucket/"; }
  Status Put(const std::string& key, std::string_view bytes) override {
    return server_.Put(bucket_, key, bytes);
  }

 private:
  const testing::S3Server& server_;
  const std::string bucket_;
};

// One server for all cases of the process; ended with it.
Result<testing::S3Server*> SharedServer() {
  static const Result<std::unique_ptr<testing::S3Server>> server = [] {
    setenv("TRAWL_S3_ACCESS_KEY", testing::S3Server::kAccessKey, 1);
    setenv("TRAWL_S3_SECRET_KEY", testing::S3Server::kSecretKey, 1);
    return testing::S3Server::Start();
  }();
  if (!server) return tl::unexpected(server.error());
  return server->get();
}

}  // namespace

Result<std::unique_ptr<Place>> MakePlace(const std::string& adapter) {
  if (adapter == "local") return std::make_unique<LocalPlace>();
  if (adapter == "http") return std::make_unique<HttpPlace>();
  static int buckets = 0;
  const std::string bucket = "bucket-" + std::to_string(++buckets);
  TRAWL_ASSIGN(const testing::S3Server* const server, SharedServer());
  TRAWL_TRY(server->CreateBucket(bucket));
  return std::make_unique<S3Place>(*server, bucket);
}

}  // namespace trawl::storage
