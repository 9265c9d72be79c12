#pragma once
// Objects below a plain http(s):// base. It cannot be listed: the keys come from a manifest.

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "config/settings.h"
#include "storage/object_store/http/http_client.h"
#include "storage/object_store/object_store.h"
#include "storage/object_store/uri.h"

namespace trawl::storage {

/// Where plain HTTP may go. Link-local and metadata addresses: never. This machine itself: when the
/// log is the embedded one (then whoever named the URL sits at this machine), or below a URL that
/// --allow-root names; a message on a shared topic must not reach the admin pages of the worker
/// that happens to read it. Any other address: always.
class HttpStore final : public ObjectStore {
 public:
  /// `client` must outlive it.
  HttpStore(const Settings& settings, HttpClient& client);

  Result<ListPage> List(const std::string& source, const std::string& prefix,
                        const std::string& start_after, int max_keys) override;
  void Get(GetRequest request, std::stop_token stop, GetCallback done) override;

 private:
  AddressPolicy AddressesFor(const HttpUrl& url) const;

  HttpClient& client_;
  const uint64_t max_object_bytes_;
  const bool trusts_everyone_;  // embedded log
  const std::chrono::milliseconds patience_;
  std::vector<HttpUrl> allowed_bases_;
};

}  // namespace trawl::storage
