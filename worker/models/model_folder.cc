#include "worker/models/model_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

namespace trawl::worker {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLink = "model";
constexpr std::string_view kIncoming = "fetch-";

Result<fs::path> RootOf(const Settings& settings) {
  if (!settings.model_cache.empty()) return fs::path(settings.model_cache);
  const auto variable = [](const char* name) {
    const char* const value = std::getenv(name);
    return fs::path(value == nullptr ? "" : value);
  };
  // The specification wants relative ones ignored.
  if (const fs::path cache = variable("XDG_CACHE_HOME"); cache.is_absolute())
    return cache / "trawl/models";
  if (const fs::path home = variable("HOME"); home.is_absolute())
    return home / ".cache/trawl/models";
  return Error(Code::kFailedPrecondition,
               "nowhere to keep fetched models: give --model-cache, or set HOME");
}

tl::unexpected<Status> SystemError(const char* doing, const fs::path& path, int error) {
  return Error(Code::kFailedPrecondition, "{} {}: {}", doing, path.string(), std::strerror(error));
}

bool LockFile(int fd, int operation) {
  while (flock(fd, operation) != 0)
    if (errno != EINTR) return false;
  return true;
}

uint64_t BytesIn(const fs::path& folder) {
  uint64_t bytes = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    std::error_code unreadable;
    if (!entry->is_symlink(unreadable) && entry->is_regular_file(unreadable))
      bytes += entry->file_size(unreadable);
  }
  return bytes;
}

/// Whoever fetched into it has died.
bool IsAbandoned(const fs::path& incoming) {
  const Descriptor folder(open(incoming.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return folder.get() >= 0 && LockFile(folder.get(), LOCK_EX | LOCK_NB);
}

}  // namespace

Descriptor::Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

Descriptor::~Descriptor() {
  if (fd_ >= 0) close(fd_);
}

IncomingModel::~IncomingModel() {
  if (lock_.get() < 0) return;  // moved from
  std::error_code error;
  fs::remove_all(path_, error);  // what cannot be removed now is abandoned, and removed by others
}

Result<ModelFolder> ModelFolder::Open(const Settings& settings) {
  TRAWL_ASSIGN(const fs::path root, RootOf(settings));
  std::error_code error;
  fs::create_directories(root, error);
  if (error)
    return Error(Code::kFailedPrecondition, "making the folder for fetched models {}: {}",
                 root.string(), error.message());
  return ModelFolder(root, static_cast<uint64_t>(settings.model_cache_bytes));
}

Result<Descriptor> ModelFolder::Lock(int operation) const {
  const fs::path path = root_ / "lock";
  Descriptor file(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (file.get() < 0) return SystemError("opening", path, errno);
  if (!LockFile(file.get(), operation)) return SystemError("locking", path, errno);
  return file;
}

Result<std::optional<KeptModel>> ModelFolder::Find(const std::string& name) const {
  TRAWL_ASSIGN(Descriptor lock, Lock(LOCK_SH));
  std::error_code error;
  const fs::path path = fs::canonical(root_ / name / kLink, error);
  if (error) return std::optional<KeptModel>();
  // An age that cannot be noted only makes it go earlier.
  fs::last_write_time(root_ / name, fs::file_time_type::clock::now(), error);
  return KeptModel{path, std::move(lock)};
}

Result<IncomingModel> ModelFolder::Begin() const {
  // So that nobody takes it for abandoned before it is locked.
  TRAWL_ASSIGN(const Descriptor lock, Lock(LOCK_SH));
  std::string path = (root_ / (std::string(kIncoming) + "XXXXXX")).string();
  if (mkdtemp(path.data()) == nullptr) return SystemError("making", path, errno);
  Descriptor folder(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0 || !LockFile(folder.get(), LOCK_EX | LOCK_NB))
    return SystemError("locking", path, errno);
  return IncomingModel(path, std::move(folder));
}

Status ModelFolder::Keep(IncomingModel model, const fs::path& file, const std::string& name,
                         const std::string& alias) const {
  std::error_code error;
  fs::create_symlink(file, model.path() / kLink, error);
  if (error) return SystemError("linking", model.path() / kLink, error.value());
  TRAWL_ASSIGN(const Descriptor lock, Lock(LOCK_EX));
  fs::remove_all(root_ / name, error);
  fs::rename(model.path(), root_ / name, error);
  if (error) return SystemError("renaming", model.path(), error.value());
  fs::last_write_time(root_ / name, fs::file_time_type::clock::now(), error);
  if (!alias.empty()) {
    fs::remove(root_ / alias, error);
    fs::create_symlink(name, root_ / alias, error);
    if (error) return SystemError("linking", root_ / alias, error.value());
  }
  Tidy(name);
  return OkStatus();
}

Status ModelFolder::Remove(const std::string& name) const {
  TRAWL_ASSIGN(const Descriptor lock, Lock(LOCK_EX));
  std::error_code error;
  const fs::path target = fs::canonical(root_ / name, error);  // an alias and what it stands for
  fs::remove_all(error ? root_ / name : target, error);
  if (error) return SystemError("removing", root_ / name, error.value());
  return OkStatus();
}

void ModelFolder::Tidy(const std::string& newest) const {
  struct Entry {
    fs::path path;
    fs::file_time_type used;
    uint64_t bytes = 0;
  };
  std::vector<Entry> models;
  std::vector<fs::path> aliases;
  uint64_t total = 0;
  std::error_code error;
  for (fs::directory_iterator entry(root_, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    std::error_code unreadable;  // what cannot be looked at or removed stays: nobody is waiting
    if (entry->is_symlink(unreadable)) {
      aliases.push_back(entry->path());
    } else if (name.starts_with(kIncoming)) {
      if (IsAbandoned(entry->path())) fs::remove_all(entry->path(), unreadable);
    } else if (entry->is_directory(unreadable)) {
      models.push_back({entry->path(), entry->last_write_time(unreadable), BytesIn(entry->path())});
      total += models.back().bytes;
    }
  }
  std::ranges::sort(models, {}, &Entry::used);
  for (const Entry& model : models) {
    if (total <= bytes_max_) break;
    if (model.path.filename() == newest) continue;
    fs::remove_all(model.path, error);
    total -= model.bytes;
  }
  for (const fs::path& alias : aliases)
    if (!fs::exists(alias, error)) fs::remove(alias, error);
}

}  // namespace trawl::worker
