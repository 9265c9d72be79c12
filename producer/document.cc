#include "producer/document.h"

#include <future>

namespace trawl::producer {
namespace {

constexpr int64_t kDownloadTimeoutMs = 15 * 60'000;  // kMaxDocumentBytes at 1.2 MB/s

Status ToStatus(const ObjectError& error, const std::stop_token& stop) {
  if (stop.stop_requested()) return Error(Code::kCancelled, "interrupted");
  const auto with_code = [&error](Code code) { return Error(code, "{}", error.message); };
  switch (error.code) {
    case ObjectErrorCode::kNotFound:
      return with_code(Code::kNotFound);
    case ObjectErrorCode::kForbidden:
      return with_code(Code::kPermissionDenied);
    case ObjectErrorCode::kTooLarge:
      return with_code(Code::kResourceExhausted);
    case ObjectErrorCode::kChanged:
    case ObjectErrorCode::kTruncated:
    case ObjectErrorCode::kChecksumMismatch:
      return with_code(Code::kDataLoss);
    default:
      return with_code(Code::kUnavailable);
  }
}

}  // namespace

Result<std::unique_ptr<DocumentStore>> DocumentStore::Open(const Settings& settings) {
  Settings own = settings;
  own.max_object_bytes = static_cast<int64_t>(kMaxDocumentBytes);
  own.download_timeout_ms = std::max(own.download_timeout_ms, kDownloadTimeoutMs);
  own.outage_patience_ms = 0;  // a person waits, as for a listing
  // Whoever named the manifest sits at this machine.
  own.allow_root = {"/"};
  TRAWL_ASSIGN(auto store, storage::OpenObjectStore(own));
  return std::unique_ptr<DocumentStore>(new DocumentStore(std::move(store)));
}

Result<std::vector<std::byte>> DocumentStore::Read(const std::string& uri,
                                                   std::optional<uint64_t> size_bytes,
                                                   std::stop_token stop) {
  std::promise<ObjectResult<storage::Download>> promise;
  auto future = promise.get_future();
  store_->Get({uri, size_bytes, ""}, stop, [&promise](ObjectResult<storage::Download> download) {
    promise.set_value(std::move(download));
  });
  ObjectResult<storage::Download> download = future.get();
  if (!download) return tl::unexpected(ToStatus(download.error(), stop));
  return std::move(download->bytes);
}

bool IsRemote(const std::string& location) { return location.starts_with("s3://"); }

}  // namespace trawl::producer
