#pragma once
// The files below a folder in the byte order of their relative paths, however many there are: of
// each folder on the current path it holds at most kNamesHeld names at a time and reads the folder
// again for more.

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/records.h"
#include "config/status.h"

namespace trawl::storage {

/// Lists regular files, hidden ones too, and symbolic links that do not lead to a folder: reading
/// them decides. Links to folders are not followed: what they show inside the folder is listed in
/// its own place, and what lies outside must not be read. Sockets, pipes and devices are left out.
/// Not thread-safe.
class FolderWalk {
 public:
  static constexpr size_t kNamesHeld = 65'536;

  /// `folder`: absolute path. Files whose key (relative path) starts with `prefix` and comes after
  /// `start_after`. Errors: kNotFound (no such folder, or it is a file), kPermissionDenied.
  static Result<std::unique_ptr<FolderWalk>> Open(std::string folder, std::string prefix,
                                                  std::string start_after,
                                                  size_t names_held = kNamesHeld);

  /// The next file with its size, or nothing at the end. A folder that cannot be read is an error,
  /// not a gap; files and folders that vanish meanwhile are left out.
  Result<std::optional<ObjectRef>> Next();

 private:
  // A folder on the current path. Names of folders end in `/`, which is also how they sort.
  struct Level {
    std::string path;                // relative to the root; "" or ending in `/`
    std::vector<std::string> names;  // sorted, from `next` on still to come
    size_t next = 0;
    std::string last;  // the last name taken
    bool more = true;  // there may be names after those
  };

  FolderWalk(std::string root, std::string prefix, std::string start_after, size_t names_held);
  Status Load(Level& level);
  Result<std::string> NextName(Level& level);
  bool Wanted(const std::string& key) const;
  std::optional<ObjectRef> Describe(const std::string& key) const;

  const std::string root_;  // ends in `/`
  const std::string prefix_;
  const std::string start_after_;
  const size_t names_held_;
  std::vector<Level> levels_;
};

}  // namespace trawl::storage
