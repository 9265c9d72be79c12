#include "engine/loaders/file.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "config/check.h"

namespace trawl::engine {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

class File final : public ByteSource {
 public:
  static Result<std::unique_ptr<const File>> Open(const std::string& path, uint64_t max_bytes);

  uint64_t size_bytes() const override { return size_bytes_; }
  Status ReadAt(uint64_t offset, std::span<std::byte> to) const override {
    TRAWL_ASSIGN(const size_t filled, ReadSome(offset, to));
    if (filled == to.size()) return OkStatus();
    return Error(Code::kDataLoss, "reading {}: ends after {} of {} bytes", path_, offset + filled,
                 size_bytes_);
  }
  /// Fills `to` as far as the file goes.
  Result<size_t> ReadSome(uint64_t offset, std::span<std::byte> to) const {
    size_t filled = 0;
    while (filled < to.size()) {
      const ssize_t got = ::pread(descriptor_.get(), to.data() + filled, to.size() - filled,
                                  static_cast<off_t>(offset + filled));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return Error(Code::kDataLoss, "reading {}: {}", path_, std::strerror(errno));
      if (got == 0) break;
      filled += static_cast<size_t>(got);
    }
    return filled;
  }

 private:
  File(Descriptor descriptor, std::string path, uint64_t size_bytes)
      : descriptor_(std::move(descriptor)), path_(std::move(path)), size_bytes_(size_bytes) {}

  Descriptor descriptor_;
  std::string path_;
  uint64_t size_bytes_;
};

Result<std::unique_ptr<const File>> File::Open(const std::string& path, uint64_t max_bytes) {
  Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (fd.get() < 0) {
    const Code code = errno == EACCES                       ? Code::kPermissionDenied
                      : errno == ENOENT || errno == ENOTDIR ? Code::kNotFound
                                                            : Code::kInvalidArgument;
    return Error(code, "reading {}: {}", path, std::strerror(errno));
  }
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) {
    return Error(Code::kInternal, "reading {}: {}", path, std::strerror(errno));
  }
  if (!S_ISREG(info.st_mode)) {
    return Error(Code::kInvalidArgument, "reading {}: not a regular file", path);
  }
  const auto size = static_cast<uint64_t>(info.st_size);
  if (size > max_bytes) {
    return Error(Code::kResourceExhausted, "reading {}: {} bytes, the limit is {}", path, size,
                 max_bytes);
  }
  return std::unique_ptr<const File>(new File(std::move(fd), path, size));
}

/// A running SHA-256. OpenSSL's digests cannot fail once the context exists and SHA-256 is built
/// in.
class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    CHECK(context_ != nullptr && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
  }
  void Update(const char* bytes, size_t size) {
    CHECK(EVP_DigestUpdate(context_.get(), bytes, size) == 1);
  }
  std::string Hex() {
    std::array<unsigned char, 32> digest{};
    CHECK(EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr) == 1);
    std::string hex;
    for (const unsigned char byte : digest) hex += fmt::format("{:02x}", byte);
    return hex;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

}  // namespace

Status MemorySource::ReadAt(uint64_t offset, std::span<std::byte> to) const {
  if (offset > bytes_.size() || to.size() > bytes_.size() - offset) {
    return Error(Code::kDataLoss, "{} bytes from {} on of {}", to.size(), offset, bytes_.size());
  }
  if (!to.empty()) std::memcpy(to.data(), bytes_.data() + offset, to.size());
  return OkStatus();
}

Result<std::unique_ptr<const ByteSource>> OpenFile(const std::string& path, uint64_t max_bytes) {
  return File::Open(path, max_bytes);
}

Result<FileBytes> ReadFile(const std::string& path, uint64_t max_bytes) {
  TRAWL_ASSIGN(const auto file, File::Open(path, max_bytes));
  FileBytes bytes(file->size_bytes());
  TRAWL_TRY(file->ReadAt(0, bytes.writable()));
  return bytes;
}

Result<std::string> Sha256OfFile(const std::string& path) {
  TRAWL_ASSIGN(const auto file, File::Open(path, std::numeric_limits<uint64_t>::max()));
  // Small enough to be hashed while it is in the second-level cache.
  constexpr size_t kChunkBytes = 256 << 10;
  std::vector<std::byte> buffer(kChunkBytes);
  Sha256 hash;
  uint64_t offset = 0;
  for (size_t filled = kChunkBytes; filled == kChunkBytes; offset += filled) {
    TRAWL_ASSIGN(filled, file->ReadSome(offset, buffer));
    hash.Update(reinterpret_cast<const char*>(buffer.data()), filled);
  }
  return hash.Hex();
}

std::string Sha256OfText(std::string_view text) {
  Sha256 hash;
  hash.Update(text.data(), text.size());
  return hash.Hex();
}

}  // namespace trawl::engine
