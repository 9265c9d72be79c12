#pragma once
// The object_store port: list a bucket, download objects. Adapters by scheme of the URI:
//   s3://bucket/key   S3 and everything that speaks it
//   http(s)://…       plain HTTP
//   file:///…         a local folder
// A key is never a URL: it is percent-encoded below its bucket or base, and reaches nothing else.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "config/object_error.h"
#include "config/records.h"
#include "config/settings.h"
#include "config/status.h"

namespace trawl::storage {

struct ListPage {
  std::vector<ObjectRef> objects;  // in the store's order, which is the order of their keys' bytes
  bool last = false;               // no page follows
};

struct Download {
  std::vector<std::byte> bytes;
  int attempts = 1;
  double elapsed_ms = 0;  // from start to last byte, waiting in the store's own queue not counted
};

struct GetRequest {
  std::string uri;                         // ObjectUri(source, object)
  std::optional<uint64_t> expected_bytes;  // as listed: another length is kChanged or kTruncated
  std::string etag;                        // as listed: another one is kChanged
  /// Wait, as settings.outage_patience_ms allows, also for a web server that has not served
  /// anything yet: a person vouches for it.
  bool patient = false;
};

/// Since the store was opened.
struct DownloadCounts {
  uint64_t requests = 0;   // all of them, listings too
  uint64_t retries = 0;    // beyond an object's first
  uint64_t throttled = 0;  // answers that asked to slow down; no errors
  uint64_t hedges = 0;     // second requests for late ones
  uint64_t hedges_won = 0;
  uint64_t bytes = 0;            // of bodies, refused ones among them
  uint64_t outages = 0;          // times that an endpoint served nobody
  uint64_t paused_now = 0;       // endpoints that serve nobody
  uint64_t in_flight = 0;        // requests on the wire
  uint64_t in_flight_limit = 0;  // what adaptation allows, summed over endpoints
};

/// Called once per Get, on a thread of the store's; must not block.
using GetCallback = std::function<void(ObjectResult<Download>)>;

/// Thread-safe.
class ObjectStore {
 public:
  virtual ~ObjectStore() = default;

  /// One page of at most `max_keys` objects below `source` + `prefix` whose keys come after
  /// `start_after` in byte order. Keys are relative to `source` and contain the prefix. Errors:
  /// kNotFound (no such bucket or folder), kPermissionDenied, kUnavailable (after retries),
  /// kUnimplemented (plain HTTP cannot list).
  virtual Result<ListPage> List(const std::string& source, const std::string& prefix,
                                const std::string& start_after, int max_keys) = 0;

  /// Whether listing behind any key costs no more than going on where a page ended, so that parts
  /// of `source` may be listed side by side.
  virtual bool ListsFromAnywhere(const std::string& source) const {
    static_cast<void>(source);
    return false;
  }

  /// Starts a download with the retries that the settings allow; while its store serves nobody it
  /// waits, at most settings.outage_patience_ms. After `stop` it ends early with kInternal
  /// "cancelled". At most settings.downloads_in_flight run at once; the others wait in order. The
  /// first call may wait some seconds for credentials.
  virtual void Get(GetRequest request, std::stop_token stop, GetCallback done) = 0;

  /// All zero for a store that sends no requests.
  virtual DownloadCounts Counts() const { return {}; }
};

/// The store for every scheme, as the settings and the environment (credentials) say. Checks that
/// local reads stay below settings.allow_root, symbolic links resolved, and buckets within
/// settings.allow_bucket: else kForbidden.
Result<std::unique_ptr<ObjectStore>> OpenObjectStore(const Settings& settings);

}  // namespace trawl::storage
