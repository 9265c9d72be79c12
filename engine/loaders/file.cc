#include "engine/loaders/file.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

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

struct OpenedFile {
  Descriptor descriptor;
  uint64_t size_bytes;
};

Result<OpenedFile> OpenRegular(const std::string& path) {
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
  return OpenedFile{std::move(fd), static_cast<uint64_t>(info.st_size)};
}

/// Fills `buffer` as far as the file goes.
Result<size_t> ReadSome(const OpenedFile& file, const std::string& path, char* buffer,
                        size_t size) {
  size_t filled = 0;
  while (filled < size) {
    const ssize_t got = ::read(file.descriptor.get(), buffer + filled, size - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error(Code::kDataLoss, "reading {}: {}", path, std::strerror(errno));
    if (got == 0) break;
    filled += static_cast<size_t>(got);
  }
  return filled;
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

Result<std::string> ReadFile(const std::string& path, uint64_t max_bytes) {
  TRAWL_ASSIGN(const OpenedFile file, OpenRegular(path));
  if (file.size_bytes > max_bytes) {
    return Error(Code::kResourceExhausted, "reading {}: {} bytes, the limit is {}", path,
                 file.size_bytes, max_bytes);
  }
  std::string bytes(file.size_bytes, '\0');
  TRAWL_ASSIGN(const size_t filled, ReadSome(file, path, bytes.data(), bytes.size()));
  if (filled < bytes.size()) {
    return Error(Code::kDataLoss, "reading {}: ends after {} of {} bytes", path, filled,
                 bytes.size());
  }
  return bytes;
}

Result<std::string> Sha256OfFile(const std::string& path) {
  TRAWL_ASSIGN(const OpenedFile file, OpenRegular(path));
  constexpr size_t kChunkBytes = 1 << 20;
  const auto buffer = std::make_unique<char[]>(kChunkBytes);
  Sha256 hash;
  for (size_t filled = kChunkBytes; filled == kChunkBytes;) {
    TRAWL_ASSIGN(filled, ReadSome(file, path, buffer.get(), kChunkBytes));
    hash.Update(buffer.get(), filled);
  }
  return hash.Hex();
}

std::string Sha256OfText(std::string_view text) {
  Sha256 hash;
  hash.Update(text.data(), text.size());
  return hash.Hex();
}

}  // namespace trawl::engine
