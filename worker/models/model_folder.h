#pragma once
// The folder that keeps fetched models, shared by all processes of a machine:
//
//   <digest>-<preprocess digest>/   a package; its `model` is a link to the file to open below it
//   sha256-<hex>                    a link to the package whose model.yaml or .onnx has this digest
//   fetch-XXXXXX/                   on its way; locked (flock) as long as somebody works on it
//   lock                            shared by readers; exclusive for whoever adds or removes
//
// Nothing is synced to the disk: what a power failure damaged is noticed by its digests.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "config/settings.h"
#include "config/status.h"

namespace trawl::worker {

/// A descriptor, closed when destroyed; with it goes the lock on it.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept;
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor();
  int get() const { return fd_; }

 private:
  int fd_;
};

/// A kept model. As long as this lives nothing is removed.
struct KeptModel {
  std::filesystem::path path;  // of its model.yaml or .onnx
  Descriptor lock;
};

/// A folder for a model on its way, removed with what it holds unless it was kept.
class IncomingModel {
 public:
  IncomingModel(IncomingModel&&) noexcept = default;
  IncomingModel& operator=(IncomingModel&&) = delete;
  ~IncomingModel();
  const std::filesystem::path& path() const { return path_; }

 private:
  friend class ModelFolder;
  IncomingModel(std::filesystem::path path, Descriptor lock)
      : path_(std::move(path)), lock_(std::move(lock)) {}

  std::filesystem::path path_;
  Descriptor lock_;
};

/// Thread-safe: all state is on the disk.
class ModelFolder {
 public:
  /// Makes the folder: settings.model_cache, or trawl/models below $XDG_CACHE_HOME or ~/.cache.
  /// Errors: kFailedPrecondition.
  static Result<ModelFolder> Open(const Settings& settings);

  /// `name`: as given to Keep, or an alias. None when it is not there. May wait for somebody who
  /// adds or removes.
  Result<std::optional<KeptModel>> Find(const std::string& name) const;

  Result<IncomingModel> Begin() const;

  /// Gives a whole model its name, and the `alias` unless that is empty; `file`: what is to be
  /// opened, relative to its folder. Takes the place of one of the same name. Then removes what
  /// goes beyond the limit, longest unused first, and what dead processes left.
  Status Keep(IncomingModel model, const std::filesystem::path& file, const std::string& name,
              const std::string& alias) const;

  /// Forgets a damaged model.
  Status Remove(const std::string& name) const;

 private:
  ModelFolder(std::filesystem::path root, uint64_t bytes_max)
      : root_(std::move(root)), bytes_max_(bytes_max) {}

  Result<Descriptor> Lock(int operation) const;
  void Tidy(const std::string& newest) const;

  std::filesystem::path root_;
  uint64_t bytes_max_;
};

}  // namespace trawl::worker
