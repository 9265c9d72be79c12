#pragma once
// Reading model files: whole, bounded, and only regular ones (a FIFO would block, a device never
// ends).

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "config/status.h"

namespace trawl::engine {

/// Bytes that are read piece by piece. Thread-safe.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  virtual uint64_t size_bytes() const = 0;
  /// Fills `to` with the bytes from `offset` on. Errors: kDataLoss when they are not there.
  virtual Status ReadAt(uint64_t offset, std::span<std::byte> to) const = 0;
};

/// Of bytes that outlive it.
class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(std::string_view bytes) : bytes_(bytes) {}
  uint64_t size_bytes() const override { return bytes_.size(); }
  Status ReadAt(uint64_t offset, std::span<std::byte> to) const override;

 private:
  std::string_view bytes_;
};

/// A regular file. Errors: kNotFound, kPermissionDenied, kInvalidArgument (not a regular file),
/// kResourceExhausted (more than `max_bytes`).
Result<std::unique_ptr<const ByteSource>> OpenFile(const std::string& path, uint64_t max_bytes);

/// A file's bytes, in memory that nobody has filled before.
class FileBytes {
 public:
  explicit FileBytes(size_t size)
      : bytes_(std::make_unique_for_overwrite<char[]>(size)), size_(size) {}
  operator std::string_view() const { return {bytes_.get(), size_}; }  // NOLINT: implicit
  std::span<std::byte> writable() { return {reinterpret_cast<std::byte*>(bytes_.get()), size_}; }

 private:
  std::unique_ptr<char[]> bytes_;
  size_t size_;
};

/// The whole file. Errors: as OpenFile; kDataLoss (reading stopped early).
Result<FileBytes> ReadFile(const std::string& path, uint64_t max_bytes);

/// 64 lower-case hex digits. Errors: as ReadFile.
Result<std::string> Sha256OfFile(const std::string& path);
std::string Sha256OfText(std::string_view text);

}  // namespace trawl::engine
