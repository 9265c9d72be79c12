#pragma once
// One attempt of one request on one curl handle: collects headers and body under limits of its own,
// because curl 7.88 enforces CURLOPT_MAXFILESIZE neither for chunked bodies nor for ones without a
// length. Private to http_client.cc.

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "storage/object_store/http/http_message.h"

namespace trawl::storage {

/// Before the first handle. Thread-safe, which curl_global_init is not.
void InitCurlOnce();

struct TransferLimits {
  std::chrono::milliseconds connect_timeout{3'000};
  std::chrono::milliseconds first_byte_timeout{
      10'000};  // from the start of the attempt to the first header
  std::chrono::milliseconds total_timeout{60'000};
  std::chrono::milliseconds low_speed_window{
      10'000};            // a body that brings less than 1 KiB/s over it is cut
  std::string ca_bundle;  // empty: the system's
};

/// What an attempt may use again of those before it.
enum class Reuse {
  kConnection,
  kAddress,  // that the name was resolved to within the last minute
  kNothing,
};

/// Not thread-safe. curl keeps pointers to it: it stays where it is until it is out of the multi
/// handle.
class Transfer {
 public:
  using Time = std::chrono::steady_clock::time_point;

  /// `limits` must outlive it.
  Transfer(HttpRequest request, const TransferLimits& limits, Reuse reuse, Time now);
  ~Transfer();
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  /// The CURL easy handle.
  void* handle() const { return easy_; }
  /// Why it must end now, or "": no first byte in time, or a body that drips. Call a few times a
  /// second.
  std::string Stalled(Time now);
  /// Whether an answer has begun.
  bool answered() const { return got_header_; }
  /// From its start to the first byte of the answer, as curl measured it; after it is done.
  std::chrono::microseconds FirstByteTook() const;
  /// The larger of what came and what was announced.
  uint64_t BodyBytes() const;
  /// After curl is done with it; `result` is its CURLcode.
  HttpReply Finish(int result);
  /// Instead of Finish, after it was taken out because it stalled.
  HttpReply FinishStalled(std::string why);

 private:
  struct Callbacks;
  void Configure();
  size_t OnHeaderLine(std::string_view line);
  bool OnHeadersEnd();
  size_t OnBody(const char* data, size_t size);
  Wire TimeoutKind() const;

  const HttpRequest request_;
  const TransferLimits& limits_;
  void* easy_ = nullptr;
  void* header_list_ = nullptr;  // curl_slist
  HttpReply reply_;
  uint64_t header_bytes_ = 0;
  bool body_cut_ = false;  // an error page longer than anybody will read
  bool too_large_ = false;
  bool headers_endless_ = false;
  bool got_header_ = false;
  std::string refused_address_;
  Time started_;
  Time window_start_;        // of the low-speed check
  size_t window_bytes_ = 0;  // body size when the window began
};

}  // namespace trawl::storage
