#include "storage/object_store/local/folder_walk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "storage/object_store/uri.h"

namespace trawl::storage {
namespace {

struct CloseFolder {
  void operator()(DIR* folder) const { closedir(folder); }
};
using Folder = std::unique_ptr<DIR, CloseFolder>;

Status Failure(int error, const std::string& path) {
  const Code code = error == ENOENT || error == ENOTDIR ? Code::kNotFound
                    : error == EACCES || error == EPERM ? Code::kPermissionDenied
                                                        : Code::kUnavailable;
  return Error(code, "reading folder {}: {}", Printable(path, 300), std::strerror(error));
}

enum class Kind { kFile, kFolder, kOther };

Kind KindOf(int folder_fd, const dirent& entry) {
  if (entry.d_type == DT_REG) return Kind::kFile;
  if (entry.d_type == DT_DIR) return Kind::kFolder;
  if (entry.d_type != DT_LNK && entry.d_type != DT_UNKNOWN) return Kind::kOther;
  struct stat self, target;
  if (fstatat(folder_fd, entry.d_name, &self, AT_SYMLINK_NOFOLLOW) != 0) return Kind::kOther;
  if (S_ISDIR(self.st_mode)) return Kind::kFolder;
  if (S_ISREG(self.st_mode)) return Kind::kFile;
  if (!S_ISLNK(self.st_mode)) return Kind::kOther;
  // A broken link is named in the listing: its failure then says what is missing.
  if (fstatat(folder_fd, entry.d_name, &target, 0) != 0) return Kind::kFile;
  return S_ISREG(target.st_mode) ? Kind::kFile : Kind::kOther;
}

}  // namespace

Result<std::unique_ptr<FolderWalk>> FolderWalk::Open(std::string folder, std::string prefix,
                                                     std::string start_after, size_t names_held) {
  if (!folder.ends_with('/')) folder += '/';
  std::unique_ptr<FolderWalk> walk(new FolderWalk(std::move(folder), std::move(prefix),
                                                  std::move(start_after),
                                                  std::max<size_t>(1, names_held)));
  walk->levels_.emplace_back();
  TRAWL_TRY(walk->Load(walk->levels_.back()));
  return walk;
}

FolderWalk::FolderWalk(std::string root, std::string prefix, std::string start_after,
                       size_t names_held)
    : root_(std::move(root)),
      prefix_(std::move(prefix)),
      start_after_(std::move(start_after)),
      names_held_(names_held) {}

// For a folder: may a wanted file lie in it?
bool FolderWalk::Wanted(const std::string& key) const {
  if (!key.ends_with('/')) return key.starts_with(prefix_) && key > start_after_;
  const bool in_prefix = key.starts_with(prefix_) || prefix_.starts_with(key);
  return in_prefix && (key > start_after_ || start_after_.starts_with(key));
}

// Fills `names` with the smallest names after `last`.
Status FolderWalk::Load(Level& level) {
  const std::string path = root_ + level.path;
  // The root itself may be a symbolic link: its name was given. Those below it are not followed.
  const int follow = level.path.empty() ? 0 : O_NOFOLLOW;
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | follow);
  if (fd < 0) return Failure(errno, path);
  const Folder folder(fdopendir(fd));
  if (folder == nullptr) {
    const int error = errno;
    close(fd);
    return Failure(error, path);
  }
  level.names.clear();
  level.next = 0;
  level.more = false;
  for (errno = 0; const dirent* entry = readdir(folder.get()); errno = 0) {
    std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    const Kind kind = KindOf(fd, *entry);
    if (kind == Kind::kOther) continue;
    if (kind == Kind::kFolder) name += '/';
    if (name <= level.last || !Wanted(level.path + name)) continue;
    level.names.push_back(std::move(name));
    std::push_heap(level.names.begin(), level.names.end());
    if (level.names.size() <= names_held_) continue;
    std::pop_heap(level.names.begin(), level.names.end());
    level.names.pop_back();
    level.more = true;
  }
  if (errno != 0) return Failure(errno, path);
  std::sort_heap(level.names.begin(), level.names.end());
  return OkStatus();
}

// "" at the end of the folder.
Result<std::string> FolderWalk::NextName(Level& level) {
  if (level.next == level.names.size() && level.more) TRAWL_TRY(Load(level));
  if (level.next == level.names.size()) return std::string();
  level.last = level.names[level.next];
  return std::move(level.names[level.next++]);
}

std::optional<ObjectRef> FolderWalk::Describe(const std::string& key) const {
  ObjectRef object;
  object.key = key;
  struct stat file;
  const std::string path = root_ + key;
  if (stat(path.c_str(), &file) == 0)
    object.size_bytes = static_cast<uint64_t>(file.st_size);
  else if (lstat(path.c_str(), &file) != 0)
    return std::nullopt;  // gone since the folder was read
  return object;
}

Result<std::optional<ObjectRef>> FolderWalk::Next() {
  while (!levels_.empty()) {
    TRAWL_ASSIGN(const std::string name, NextName(levels_.back()));
    if (name.empty()) {
      levels_.pop_back();
      continue;
    }
    const std::string key = levels_.back().path + name;
    if (!name.ends_with('/')) {
      if (auto object = Describe(key)) return object;
      continue;
    }
    Level below;
    below.path = key;
    const Status status = Load(below);
    if (status.code() == Code::kNotFound) continue;  // gone since its parent was read
    TRAWL_TRY(status);
    levels_.push_back(std::move(below));
  }
  return std::optional<ObjectRef>();
}

}  // namespace trawl::storage
