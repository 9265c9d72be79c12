#pragma once
// Objects in a folder of this machine: a key is the path relative to it.

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "config/settings.h"
#include "storage/object_store/local/folder_walk.h"
#include "storage/object_store/object_store.h"

namespace trawl::storage {

/// Reads on a few threads of its own. The destructor cancels what waits and finishes what runs.
class LocalStore final : public ObjectStore {
 public:
  explicit LocalStore(const Settings& settings);
  ~LocalStore() override;

  /// Any folder: whoever starts a listing sits at this machine. --allow-root limits Get, which
  /// serves messages. Consecutive pages of one listing go on in the same walk instead of reading
  /// the folders again.
  Result<ListPage> List(const std::string& source, const std::string& prefix,
                        const std::string& start_after, int max_keys) override;
  void Get(GetRequest request, std::stop_token stop, GetCallback done) override;

 private:
  struct Task {
    GetRequest request;
    std::stop_token stop;
    GetCallback done;
  };
  struct OpenWalk {
    std::string source, prefix, last_key;
    std::unique_ptr<FolderWalk> walk;
    std::optional<ObjectRef> ahead;  // read already, belongs to the next page
  };

  Result<OpenWalk> TakeWalk(const std::string& source, const std::string& prefix,
                            const std::string& start_after);
  void Serve(std::stop_token stop) noexcept;
  ObjectResult<std::vector<std::byte>> Read(const GetRequest& request,
                                            const std::stop_token& stop) const;
  Result<std::string> Permit(const std::string& uri) const;

  const uint64_t max_object_bytes_;
  std::vector<std::string> roots_;  // as given and with symbolic links resolved, ending in `/`

  std::mutex walk_mutex_;  // guards kept_walk_
  std::optional<OpenWalk> kept_walk_;

  std::mutex mutex_;  // guards tasks_: written by Get, read by the threads
  std::condition_variable_any task_added_;
  std::deque<Task> tasks_;
  std::vector<std::jthread> threads_;  // last: they use everything above
};

}  // namespace trawl::storage
