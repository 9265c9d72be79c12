#pragma once
// Buckets of AWS S3 and of everything that speaks its protocol: ListObjectsV2 and GET, signed with
// Signature Version 4.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "config/settings.h"
#include "storage/object_store/http/http_client.h"
#include "storage/object_store/object_store.h"
#include "storage/object_store/s3/credentials.h"
#include "storage/object_store/s3/endpoint.h"
#include "storage/object_store/s3/xml.h"

namespace trawl::storage {

class S3Store final : public ObjectStore {
 public:
  /// `client` must outlive it. `credentials` is asked for each request unless settings.anonymous.
  S3Store(const Settings& settings, S3Endpoint endpoint,
          std::unique_ptr<CredentialProvider> credentials, HttpClient& client);

  /// Leaves out the empty objects whose names end in `/`: they are the folders of consoles and not
  /// anybody's data. Not to be called from a GetCallback.
  Result<ListPage> List(const std::string& source, const std::string& prefix,
                        const std::string& start_after, int max_keys) override;
  bool ListsFromAnywhere(const std::string&) const override { return true; }
  void Get(GetRequest request, std::stop_token stop, GetCallback done) override;

 private:
  using Query = std::vector<std::pair<std::string, std::string>>;
  struct PageRequest {
    std::string bucket;
    std::string prefix;
    std::string start_after;  // whole keys, as the bucket has them
    std::string token;        // when not empty: go on from here instead
    int max_keys = 0;
  };

  Status CheckBucket(const std::string& bucket) const;
  tl::expected<HttpRequest, Verdict> Sign(const S3Location& location, const Query& query,
                                          uint64_t body_bytes);
  Verdict Mend(Verdict verdict, const HttpReply& reply, const ServerFault& fault);
  Result<S3ListPage> FetchPage(const PageRequest& page);

  HttpClient& client_;
  const S3Endpoint endpoint_;
  const std::unique_ptr<CredentialProvider> credentials_;
  const uint64_t max_object_bytes_;
  const std::vector<std::string> allowed_buckets_;
  const bool anonymous_;
  const std::chrono::milliseconds patience_;
  // Server time minus ours, learnt from a refusal. Written by the client's loop, read by it as
  // well; atomic because a store may be given a client that others share.
  std::atomic<int64_t> clock_offset_ms_ = 0;
};

}  // namespace trawl::storage
