// The store for every scheme: it looks at the URI and passes the call on.

#include <cstdlib>
#include <memory>
#include <utility>

#include "storage/object_store/environment.h"
#include "storage/object_store/http/http_client.h"
#include "storage/object_store/http/http_store.h"
#include "storage/object_store/http/object_task.h"
#include "storage/object_store/local/local_store.h"
#include "storage/object_store/object_store.h"
#include "storage/object_store/s3/credentials.h"
#include "storage/object_store/s3/endpoint.h"
#include "storage/object_store/s3/s3_store.h"
#include "storage/object_store/uri.h"

namespace trawl::storage {
namespace {

class SchemeStore final : public ObjectStore {
 public:
  SchemeStore(const Settings& settings, S3Endpoint endpoint, const Environment& environment)
      : client_(std::make_unique<HttpClient>(HttpClientLimits::From(settings))),
        local_(settings),
        http_(settings, *client_),
        s3_(settings, std::move(endpoint), FindCredentials(environment), *client_) {}

  // The client goes first: the tasks that it still holds use the stores.
  ~SchemeStore() override { client_.reset(); }

  Result<ListPage> List(const std::string& source, const std::string& prefix,
                        const std::string& start_after, int max_keys) override {
    if (ObjectStore* const store = For(source))
      return store->List(source, prefix, start_after, max_keys);
    return Error(Code::kInvalidArgument, "'{}' is not s3://, http(s):// or file:///",
                 Printable(source, 200));
  }

  bool ListsFromAnywhere(const std::string& source) const override {
    return source.starts_with("s3://") && s3_.ListsFromAnywhere(source);
  }

  void Get(GetRequest request, std::stop_token stop, GetCallback done) override {
    if (ObjectStore* const store = For(request.uri))
      return store->Get(std::move(request), std::move(stop), std::move(done));
    Refuse(*client_,
           {ObjectErrorCode::kForbidden,
            "'" + Printable(request.uri, 200) + "' is not s3://, http(s):// or file:///"},
           std::move(done));
  }

  DownloadCounts Counts() const override { return client_->Counts(); }

 private:
  ObjectStore* For(std::string_view uri) {
    if (uri.starts_with("s3://")) return &s3_;
    if (uri.starts_with("http://") || uri.starts_with("https://")) return &http_;
    if (uri.starts_with("file://")) return &local_;
    return nullptr;
  }

  std::unique_ptr<HttpClient> client_;
  LocalStore local_;
  HttpStore http_;
  S3Store s3_;
};

}  // namespace

Environment ProcessEnvironment() {
  return [](const std::string& name) {
    const char* const value = std::getenv(name.c_str());
    return std::string(value == nullptr ? "" : value);
  };
}

Result<std::unique_ptr<ObjectStore>> OpenObjectStore(const Settings& settings) {
  const Environment environment = ProcessEnvironment();
  TRAWL_ASSIGN(S3Endpoint endpoint, ResolveEndpoint(settings, environment));
  Settings effective = settings;
  if (effective.ca_bundle.empty()) effective.ca_bundle = environment("AWS_CA_BUNDLE");
  return std::make_unique<SchemeStore>(effective, std::move(endpoint), environment);
}

}  // namespace trawl::storage
