#pragma once
// From a work message to downloads: loads the model if need be, then starts a download per object
// as soon as slots and bytes allow. One thread: it may wait, which the log thread must not.

#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <vector>

#include "storage/object_store/object_store.h"
#include "worker/budget.h"
#include "worker/model_cache.h"
#include "worker/scheduler.h"
#include "worker/stage_meter.h"
#include "worker/work_item.h"

namespace trawl::worker {

/// What to start: all of a batch, or one object of it.
struct DispatchOrder {
  std::shared_ptr<BatchInFlight> batch;
  std::optional<uint32_t> only{};
};

/// What downloads hold from their start until they are decoded. Outlives whoever holds a share.
struct DownloadBudget {
  Budget slots;
  Budget bytes;
};

/// Belongs to one thread; downloads end on the store's threads. Outlives all of its downloads: see
/// WaitForDownloads.
class DispatchStage {
 public:
  /// `scheduler`: is offered what was fetched, by the store's threads.
  DispatchStage(storage::ObjectStore& objects, ModelCache& models, DownloadBudget& budget,
                Scheduler& scheduler, StageMeter& meter);

  /// Returns when the download of each object ordered has been started, or `stop` is requested.
  void Run(const DispatchOrder& order, std::stop_token stop);

  /// Returns when no download is under way. Decoders may still hold slots and bytes.
  void WaitForDownloads() { downloads_.WaitUntilIdle(); }

 private:
  struct Pending;

  void Start(WorkItem item, std::shared_ptr<const engine::Model> model, std::stop_token stop);
  void Finish(Pending& pending, ObjectResult<storage::Download> download);

  storage::ObjectStore& objects_;
  ModelCache& models_;
  DownloadBudget& budget_;
  Budget downloads_;  // without a limit of its own: counts what is under way
  Scheduler& scheduler_;
  StageMeter& meter_;
};

}  // namespace trawl::worker
