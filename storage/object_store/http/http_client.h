#pragma once
// Many GETs at once over few threads: one event loop on curl's multi interface, with a bounded
// number of requests in flight, the others waiting in order, retries by timer, and connections that
// are kept and shared.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>

#include "config/object_error.h"
#include "config/settings.h"
#include "storage/object_store/http/http_message.h"
#include "storage/object_store/http/transfer.h"
#include "storage/object_store/http/verdict.h"

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
  /// Called before each attempt: signatures and dates are of the attempt. An error ends the task.
  std::function<ObjectResult<HttpRequest>()> prepare;
  /// Called after each attempt.
  std::function<Verdict(const HttpReply&)> judge;
  std::function<void(HttpOutcome)> done;
  uint64_t expected_bytes = 0;  // 0: unknown
  bool skips_queue = false;     // starts at once, beyond the limits: for the few listing requests
  std::stop_token stop;         // ends it within about 50 ms with kInternal "cancelled"
};

/// Thread-safe. The destructor cancels what is left: every task's `done` has been called when it
/// returns.
class HttpClient {
 public:
  explicit HttpClient(const HttpClientLimits& limits);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  void Submit(HttpTask task);

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace trawl::storage
