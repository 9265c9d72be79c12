#pragma once
// The stages with their queues and threads. The log thread stands at both ends:
//
//   log thread -> [accepted] -> dispatcher -> store's threads -> scheduler <-> the CPU's threads
//              -> finished batches -> log thread

#include <deque>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "config/clock.h"
#include "config/settings.h"
#include "storage/object_store/object_store.h"
#include "worker/bounded_queue.h"
#include "worker/dispatch_stage.h"
#include "worker/infer_stage.h"
#include "worker/limits.h"
#include "worker/model_cache.h"
#include "worker/sandbox/decoder_pool.h"
#include "worker/scheduler.h"
#include "worker/stage_meter.h"
#include "worker/work_item.h"

namespace trawl::worker {

/// The log thread owns it and calls everything. `objects` and `pictures` outlive it.
class Pipeline {
 public:
  enum class Mode {
    kThreads,  // of its own do the work
    kSteps,    // whoever calls Step does, so that a test decides what happens when
  };

  Pipeline(const Settings& settings, const WorkerLimits& limits, storage::ObjectStore& objects,
           DecoderPool& pictures, Clock& clock = SystemClock(), Mode mode = Mode::kThreads);
  /// Closes the queues front to back and waits for the downloads and the threads. Batches whose
  /// downloads were not cancelled are finished first, unless Abort was called.
  ~Pipeline();

  /// Before the first TrySubmit: a model that need not be loaded again.
  void Adopt(LoadedModel known) { models_.Adopt(std::move(known)); }

  /// Without threads: does one thing of what there is to do. False: there is nothing. Waits for
  /// nothing but budgets, hence never when they hold all that is in flight.
  bool Step();

  /// False when more is waiting than may be in flight: offer it again later.
  bool TrySubmit(DispatchOrder order) { return accepted_.TryPush(order); }
  /// What was submitted and has not begun, in order. It is not the pipeline's any more.
  std::deque<DispatchOrder> TakeBack() { return accepted_.TakeAll(); }
  FinishedBatches& finished() { return finished_; }
  StageMeter& meter() { return meter_; }

  /// Threads stop where they are; what they hold counts as dropped.
  void Abort() { abort_.request_stop(); }

 private:
  void Dispatch() noexcept;
  /// One of the CPU's threads.
  void Compute() noexcept;
  void Do(Task task, std::stop_token stop);
  void Infer(std::vector<PreparedImage> batch);
  void Keep(const Models& models, size_t bytes);

  const WorkerLimits limits_;
  DecoderPool& pictures_;
  StageMeter meter_;
  FinishedBatches finished_;
  Budget decode_memory_;
  DownloadBudget budget_;  // before the scheduler, whose objects hold shares of it
  BoundedQueue<DispatchOrder> accepted_;
  Scheduler scheduler_;
  ModelCache models_;
  DispatchStage dispatch_;
  std::mutex mutex_;                                        // guards what follows
  Models kept_;                                             // sessions of others are let go
  std::vector<std::unique_ptr<InferStage>> idle_sessions_;  // the last one used is warmest
  std::stop_source abort_;
  std::jthread dispatcher_;
  std::vector<std::jthread> threads_;
};

}  // namespace trawl::worker
