#pragma once
// A file that one process holds at a time, and that says who.

#include <memory>
#include <string>

#include "config/status.h"

namespace trawl::storage {

/// Held until destroyed, or until the process dies in whatever way.
class FileLock {
 public:
  /// Errors: kFailedPrecondition naming the process that holds it; kNotFound, kPermissionDenied,
  /// kUnavailable when the file cannot be made.
  static Result<std::unique_ptr<FileLock>> Acquire(const std::string& path);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  FileLock(std::string path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}

  const std::string path_;
  const int descriptor_;
};

}  // namespace trawl::storage
