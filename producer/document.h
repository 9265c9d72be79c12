#pragma once
// Manifests and what they refer to, as whole documents: they may lie on S3 as well as here.

#include <cstddef>
#include <cstdint>
#include <istream>
#include <memory>
#include <optional>
#include <stop_token>
#include <streambuf>
#include <string>
#include <vector>

#include "config/settings.h"
#include "config/status.h"
#include "storage/object_store/object_store.h"

namespace trawl::producer {

/// What a document may have, as it lies there (packed, if it is): one at a time is in memory.
inline constexpr uint64_t kMaxDocumentBytes = 1ULL << 30;

/// Downloads documents with the endpoint and the credentials of the settings, and with limits of
/// their own: those of the settings are for pictures. Not thread-safe.
class DocumentStore {
 public:
  static Result<std::unique_ptr<DocumentStore>> Open(const Settings& settings);

  /// `uri`: s3://… or file:///…; `size_bytes`: what it has to have. Errors: kNotFound,
  /// kPermissionDenied, kResourceExhausted (too large), kDataLoss (another size), kUnavailable,
  /// kCancelled.
  Result<std::vector<std::byte>> Read(const std::string& uri, std::optional<uint64_t> size_bytes,
                                      std::stop_token stop);

 private:
  explicit DocumentStore(std::unique_ptr<storage::ObjectStore> store) : store_(std::move(store)) {}

  const std::unique_ptr<storage::ObjectStore> store_;
};

/// Reads bytes that it owns.
class BytesStream final : public std::istream {
 public:
  explicit BytesStream(std::vector<std::byte> bytes)
      : std::istream(nullptr), buffer_(std::move(bytes)) {
    rdbuf(&buffer_);
  }

 private:
  class Buffer final : public std::streambuf {
   public:
    explicit Buffer(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {
      char* const begin = reinterpret_cast<char*>(bytes_.data());
      setg(begin, begin, begin + bytes_.size());
    }

   private:
    std::vector<std::byte> bytes_;
  };

  Buffer buffer_;
};

/// Whether `location` names a document on S3, and not a file.
bool IsRemote(const std::string& location);

}  // namespace trawl::producer
