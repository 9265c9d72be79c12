#pragma once
// A store whose downloads wait behind a gate, and that counts them.

#include <algorithm>
#include <condition_variable>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <utility>

#include "storage/object_store/object_store.h"

namespace trawl::worker {

/// Thread-safe. Cancelled downloads end at once; all others when the gate opens, by the store
/// below.
class GatedStore final : public storage::ObjectStore {
 public:
  explicit GatedStore(storage::ObjectStore& inner) : inner_(inner) {}

  Result<storage::ListPage> List(const std::string& source, const std::string& prefix,
                                 const std::string& start_after, int max_keys) override {
    return inner_.List(source, prefix, start_after, max_keys);
  }

  void Get(storage::GetRequest request, std::stop_token stop, storage::GetCallback done) override {
    auto held = std::make_shared<Held>();
    held->request = std::move(request);
    held->stop = stop;
    held->done = std::move(done);
    {
      const std::lock_guard lock(mutex_);
      if (!open_) {
        waiting_.push_back(held);
        most_waiting_ = std::max(most_waiting_, waiting_.size());
      }
      arrived_.notify_all();
      if (open_) return PassOn(*held);
    }
    held->cancelled.emplace(stop, Cancel{*this, held.get()});
  }

  /// Returns when `count` downloads wait.
  void WaitForDownloads(size_t count) {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [&] { return waiting_.size() >= count; });
  }
  size_t most_waiting() const {
    const std::lock_guard lock(mutex_);
    return most_waiting_;
  }
  /// Returns when `count` downloads have ended behind the open gate.
  void WaitForEnds(size_t count) {
    std::unique_lock lock(ends_->mutex);
    ends_->changed.wait(lock, [&] { return ends_->count >= count; });
  }
  /// From now on nothing waits.
  void Open() {
    std::list<std::shared_ptr<Held>> released;
    {
      const std::lock_guard lock(mutex_);
      open_ = true;
      released.swap(waiting_);
    }
    for (const auto& held : released) PassOn(*held);
  }

 private:
  struct Held;
  struct Cancel {
    GatedStore& store;
    const Held* held;
    void operator()() const { store.End(held); }
  };
  struct Held {
    storage::GetRequest request;
    std::stop_token stop;
    storage::GetCallback done;
    std::optional<std::stop_callback<Cancel>> cancelled;
  };

  /// Outlives the store, which whoever asked may let go when it has its answer.
  struct Ends {
    std::mutex mutex;
    std::condition_variable changed;
    size_t count = 0;
  };

  void PassOn(Held& held) {
    inner_.Get(std::move(held.request), std::move(held.stop),
               [ends = ends_, done = std::move(held.done)](auto download) {
                 done(std::move(download));
                 const std::lock_guard lock(ends->mutex);
                 ++ends->count;
                 ends->changed.notify_all();
               });
  }

  /// Whoever takes it off the list ends it.
  void End(const Held* wanted) {
    storage::GetCallback done;
    {
      const std::lock_guard lock(mutex_);
      const auto found = std::find_if(waiting_.begin(), waiting_.end(),
                                      [&](const auto& held) { return held.get() == wanted; });
      if (found == waiting_.end()) return;
      done = std::move((*found)->done);
      // Its stop_callback is running: it goes with the store.
      ended_.splice(ended_.end(), waiting_, found);
    }
    done(tl::unexpected(ObjectError{ObjectErrorCode::kInternal, "cancelled", 1}));
  }

  storage::ObjectStore& inner_;
  const std::shared_ptr<Ends> ends_ = std::make_shared<Ends>();
  mutable std::mutex mutex_;  // guards all below
  std::condition_variable arrived_;
  std::list<std::shared_ptr<Held>> waiting_, ended_;
  size_t most_waiting_ = 0;
  bool open_ = false;
};

}  // namespace trawl::worker
