#pragma once
// Many GETs at once over few threads: one event loop on curl's multi interface, with a bounded
// number of requests in flight, the others waiting in order, retries by timer, and connections that
// are kept and shared.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "config/object_error.h"
#include "config/settings.h"
#include "storage/object_store/http/http_message.h"
#include "storage/object_store/http/transfer.h"
#include "storage/object_store/http/verdict.h"
#include "storage/object_store/object_store.h"

namespace trawl::storage {

struct HttpClientLimits {
  TransferLimits transfer;
  size_t in_flight = 64;
  uint64_t bytes_in_flight = 256 << 20;  // by expected size; one request is always let through
  int attempts = 5;

  static HttpClientLimits From(const Settings& settings);
};

struct HttpOutcome {
  ObjectResult<HttpReply> reply;  // a reply that the judge accepted
  int attempts = 0;
  double elapsed_ms = 0;  // from the start of the first attempt; waiting for a place not counted
};

/// One request and everything that decides about it. All functions are called on the loop's thread,
/// one after the other, and must not block; `done` exactly once and last.
struct HttpTask {
  /// Called before each attempt: signatures and dates are of the attempt. What it cannot prepare is
  /// judged as it says.
  std::function<tl::expected<HttpRequest, Verdict>()> prepare;
  /// Called after each attempt.
  std::function<Verdict(const HttpReply&)> judge;
  std::function<void(HttpOutcome)> done;
  /// Whose limits it shares, and what it is called in the log: no secrets.
  std::string endpoint;
  /// How long it waits for an endpoint that serves nobody, beyond its attempts. 0: not at all.
  std::chrono::milliseconds patience{0};
  /// Wait also for an endpoint that never served anything, because the operator configured it.
  bool trusted = false;
  uint64_t expected_bytes = 0;  // 0: unknown
  bool skips_queue = false;     // starts at once, beyond the limits: for the few listing requests
  std::stop_token stop;         // ends it within about 50 ms with kInternal "cancelled"
};

/// Many downloads side by side. What one endpoint gets at a time adapts to what it bears; a retry
/// budget keeps an endpoint in trouble from being asked for more than it would be in health; when
/// it serves nobody, downloads from it are paused and probed for, and no object is blamed for it. A
/// request whose first byte is late is sent a second time, and whichever is served first counts.
///
/// Thread-safe. The destructor cancels what is left: every task's `done` has been called when it
/// returns.
class HttpClient {
 public:
  explicit HttpClient(const HttpClientLimits& limits);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  void Submit(HttpTask task);
  DownloadCounts Counts() const;

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace trawl::storage
