#include "storage/object_store/local/local_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "config/clock.h"
#include "storage/object_store/uri.h"

namespace trawl::storage {
namespace {

// Enough to keep a disk's queue filled; a fleet of threads would only take turns.
constexpr int64_t kThreadsMax = 8;
constexpr size_t kReadChunk = 1 << 20;

class FileHandle {
 public:
  explicit FileHandle(int fd) : fd_(fd) {}
  ~FileHandle() {
    if (fd_ >= 0) close(fd_);
  }
  FileHandle(const FileHandle&) = delete;
  FileHandle& operator=(const FileHandle&) = delete;
  int fd() const { return fd_; }

 private:
  const int fd_;
};

bool IsBelowAny(const std::string& path, const std::vector<std::string>& roots) {
  return std::any_of(roots.begin(), roots.end(),
                     [&path](const std::string& root) { return path.starts_with(root); });
}

bool HasDotDot(std::string_view path) {
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    if (path.substr(begin, end - begin) == "..") return true;
    begin = end + 1;
  }
  return false;
}

tl::unexpected<ObjectError> Failure(ObjectErrorCode code, const std::string& uri,
                                    const std::string& why) {
  return tl::unexpected(ObjectError{code, Printable(uri, 300) + ": " + why, 1});
}

tl::unexpected<ObjectError> OsFailure(int error, const std::string& uri) {
  const ObjectErrorCode code = error == ENOENT || error == ENOTDIR || error == ELOOP
                                   ? ObjectErrorCode::kNotFound
                               : error == EACCES || error == EPERM ? ObjectErrorCode::kForbidden
                                                                   : ObjectErrorCode::kInternal;
  return Failure(code, uri, std::strerror(error));
}

std::string WithSlash(std::string path) {
  if (!path.ends_with('/')) path += '/';
  return path;
}

}  // namespace

LocalStore::LocalStore(const Settings& settings)
    : max_object_bytes_(static_cast<uint64_t>(settings.max_object_bytes)) {
  for (const std::string& root : settings.allow_root) {
    if (root.empty() || root.find("://") != std::string::npos) continue;
    std::error_code error;
    const std::filesystem::path given = std::filesystem::absolute(root, error).lexically_normal();
    roots_.push_back(WithSlash(given.string()));
    const std::filesystem::path real = std::filesystem::weakly_canonical(given, error);
    if (!error) roots_.push_back(WithSlash(real.string()));
  }
  const int64_t threads = std::clamp<int64_t>(settings.downloads_in_flight, 1, kThreadsMax);
  for (int64_t i = 0; i < threads; ++i)
    threads_.emplace_back([this](std::stop_token stop) { Serve(stop); });
}

LocalStore::~LocalStore() {
  for (std::jthread& thread : threads_) thread.request_stop();
  threads_.clear();
  for (Task& task : tasks_)
    task.done(tl::unexpected(ObjectError{ObjectErrorCode::kInternal, "cancelled", 1}));
}

Result<LocalStore::OpenWalk> LocalStore::TakeWalk(const std::string& source,
                                                  const std::string& prefix,
                                                  const std::string& start_after) {
  {
    const std::lock_guard lock(walk_mutex_);
    if (kept_walk_ && kept_walk_->source == source && kept_walk_->prefix == prefix &&
        kept_walk_->last_key == start_after && !start_after.empty()) {
      OpenWalk walk = std::move(*kept_walk_);
      kept_walk_.reset();
      return walk;
    }
  }
  TRAWL_ASSIGN(const std::string folder, ParseFileUri(source));
  OpenWalk walk{source, prefix, start_after, nullptr, {}};
  TRAWL_ASSIGN(walk.walk, FolderWalk::Open(folder, prefix, start_after));
  TRAWL_ASSIGN(walk.ahead, walk.walk->Next());
  return walk;
}

Result<ListPage> LocalStore::List(const std::string& source, const std::string& prefix,
                                  const std::string& start_after, int max_keys) {
  TRAWL_ASSIGN(OpenWalk walk, TakeWalk(source, prefix, start_after));
  ListPage page;
  while (walk.ahead && page.objects.size() < static_cast<size_t>(std::max(1, max_keys))) {
    page.objects.push_back(std::move(*walk.ahead));
    TRAWL_ASSIGN(walk.ahead, walk.walk->Next());
  }
  page.last = !walk.ahead;
  if (page.last) return page;
  walk.last_key = page.objects.back().key;
  const std::lock_guard lock(walk_mutex_);
  kept_walk_ = std::move(walk);
  return page;
}

void LocalStore::Get(GetRequest request, std::stop_token stop, GetCallback done) {
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_back({std::move(request), std::move(stop), std::move(done)});
  }
  task_added_.notify_one();
}

void LocalStore::Serve(std::stop_token stop) noexcept {
  while (true) {
    Task task;
    {
      std::unique_lock lock(mutex_);
      if (!task_added_.wait(lock, stop, [this] { return !tasks_.empty(); })) return;
      if (stop.stop_requested()) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    const auto start = SystemClock().Now();
    auto bytes = Read(task.request, task.stop);
    if (!bytes) {
      task.done(tl::unexpected(std::move(bytes).error()));
      continue;
    }
    const std::chrono::duration<double, std::milli> elapsed = SystemClock().Now() - start;
    task.done(Download{std::move(*bytes), 1, elapsed.count()});
  }
}

// The path to open, judged by its text alone: a path outside is not even looked at, or its absence
// could be probed.
Result<std::string> LocalStore::Permit(const std::string& uri) const {
  TRAWL_ASSIGN(std::string path, ParseFileUri(uri));
  if (roots_.empty())
    return Error(Code::kPermissionDenied,
                 "local files are read only below a folder that --allow-root names");
  if (HasDotDot(path)) return Error(Code::kPermissionDenied, "a path with '..' is not read");
  const std::string normal = std::filesystem::path(path).lexically_normal().string();
  if (!IsBelowAny(normal, roots_))
    return Error(Code::kPermissionDenied, "it lies outside the folders that --allow-root names");
  return path;
}

ObjectResult<std::vector<std::byte>> LocalStore::Read(const GetRequest& request,
                                                      const std::stop_token& stop) const {
  const std::string& uri = request.uri;
  const Result<std::string> path = Permit(uri);
  if (!path) return Failure(ObjectErrorCode::kForbidden, uri, path.error().message());
  // O_PATH opens nothing yet: a pipe or a device is told apart before it is touched, and the path
  // that the kernel resolved is checked on the very file that is read, so that no link can be
  // swapped in between.
  const FileHandle place(open(path->c_str(), O_PATH | O_CLOEXEC));
  if (place.fd() < 0) return OsFailure(errno, uri);
  std::error_code error;
  const std::string itself = "/proc/self/fd/" + std::to_string(place.fd());
  const std::filesystem::path real = std::filesystem::read_symlink(itself, error);
  if (error) return Failure(ObjectErrorCode::kInternal, uri, "resolving it: " + error.message());
  if (!IsBelowAny(real.string(), roots_))
    return Failure(ObjectErrorCode::kForbidden, uri,
                   "it is a link that leads outside the folders that --allow-root names");
  struct stat info;
  if (fstat(place.fd(), &info) != 0) return OsFailure(errno, uri);
  if (!S_ISREG(info.st_mode)) return Failure(ObjectErrorCode::kNotFound, uri, "it is not a file");
  const auto size = static_cast<uint64_t>(info.st_size);
  if (size > max_object_bytes_)
    return Failure(ObjectErrorCode::kTooLarge, uri,
                   fmt::format("{} bytes, over the limit of {}", size, max_object_bytes_));
  if (request.expected_bytes && size != *request.expected_bytes)
    return Failure(ObjectErrorCode::kChanged, uri,
                   fmt::format("{} bytes, {} were listed", size, *request.expected_bytes));
  const FileHandle file(open(itself.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.fd() < 0) return OsFailure(errno, uri);
  std::vector<std::byte> bytes(size);
  for (size_t done = 0; done < size;) {
    if (stop.stop_requested())
      return tl::unexpected(ObjectError{ObjectErrorCode::kInternal, "cancelled", 1});
    const ssize_t got =
        read(file.fd(), bytes.data() + done, std::min(kReadChunk, bytes.size() - done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return OsFailure(errno, uri);
    if (got == 0)
      return Failure(ObjectErrorCode::kTruncated, uri,
                     fmt::format("{} of {} bytes came", done, size));
    done += static_cast<size_t>(got);
  }
  return bytes;
}

}  // namespace trawl::storage
