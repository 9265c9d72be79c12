#include "storage/message_log/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

namespace trawl::storage {
namespace {

Code CodeOfErrno(int error) {
  switch (error) {
    case ENOENT:
      return Code::kNotFound;
    case EACCES:
    case EPERM:
    case EROFS:
      return Code::kPermissionDenied;
    case ENOSPC:
    case EDQUOT:
      return Code::kResourceExhausted;
    default:
      return Code::kUnavailable;
  }
}

/// What the holder wrote into the file; empty when it has not yet.
std::string Holder(int descriptor) {
  char text[32];
  const ssize_t size = pread(descriptor, text, sizeof(text), 0);
  std::string_view pid(text, size > 0 ? static_cast<size_t>(size) : 0);
  return std::string(pid.substr(0, pid.find_first_not_of("0123456789")));
}

/// False when a former holder removed the file between our open and our lock: then we hold nothing
/// that counts.
bool IsStillAt(const std::string& path, int descriptor) {
  struct stat ours = {};
  struct stat there = {};
  return fstat(descriptor, &ours) == 0 && stat(path.c_str(), &there) == 0 &&
         ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
}

}  // namespace

Result<std::unique_ptr<FileLock>> FileLock::Acquire(const std::string& path) {
  while (true) {
    const int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (descriptor < 0) {
      return Error(CodeOfErrno(errno), "creating {}: {}", path, std::strerror(errno));
    }
    if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
      const int error = errno;
      const std::string holder = Holder(descriptor);
      close(descriptor);
      if (error == EWOULDBLOCK) {
        return Error(Code::kFailedPrecondition, "in use by process {}", holder);
      }
      return Error(CodeOfErrno(error), "locking {}: {}", path, std::strerror(error));
    }
    if (!IsStillAt(path, descriptor)) {
      close(descriptor);
      continue;
    }
    std::unique_ptr<FileLock> lock(new FileLock(path, descriptor));
    const std::string pid = fmt::format("{}\n", getpid());
    if (ftruncate(descriptor, 0) != 0 ||
        pwrite(descriptor, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
      return Error(CodeOfErrno(errno), "writing {}: {}", path, std::strerror(errno));
    }
    return lock;
  }
}

FileLock::~FileLock() {
  unlink(path_.c_str());  // while it is still held: see IsStillAt
  close(descriptor_);
}

}  // namespace trawl::storage
