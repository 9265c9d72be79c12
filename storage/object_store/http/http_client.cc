#include "storage/object_store/http/http_client.h"

#include <utility>

#include "storage/object_store/http/event_loop.h"

namespace trawl::storage {
using std::chrono::milliseconds;

HttpClientLimits HttpClientLimits::From(const Settings& settings) {
  HttpClientLimits limits;
  limits.transfer.connect_timeout = milliseconds(settings.connect_timeout_ms);
  limits.transfer.first_byte_timeout = milliseconds(settings.first_byte_timeout_ms);
  limits.transfer.total_timeout = milliseconds(settings.download_timeout_ms);
  limits.transfer.ca_bundle = settings.ca_bundle;
  limits.in_flight = static_cast<size_t>(settings.downloads_in_flight);
  limits.bytes_in_flight = static_cast<uint64_t>(settings.download_bytes_in_flight);
  limits.attempts = static_cast<int>(settings.download_attempts);
  return limits;
}

HttpClient::HttpClient(const HttpClientLimits& limits) {
  InitCurlOnce();
  loop_ = std::make_unique<Loop>(limits);
}

HttpClient::~HttpClient() = default;

void HttpClient::Submit(HttpTask task) { loop_->Submit(std::move(task)); }

DownloadCounts HttpClient::Counts() const { return loop_->Counts(); }

}  // namespace trawl::storage
