#pragma once
// The worker's log thread: polls work, hands it to the pipeline, commits what is finished. It never
// does the work itself and never waits for it, so that the log keeps hearing from us.

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "config/clock.h"
#include "config/stop.h"
#include "storage/message_log/message_log.h"
#include "worker/attempts.h"
#include "worker/job_board.h"
#include "worker/limits.h"
#include "worker/pipeline.h"
#include "worker/publisher.h"
#include "worker/work_item.h"
#include "worker/worker.h"

namespace trawl::worker {

/// Results of messages that are no work batches are filed under "malformed/<topic>", which is no
/// job's name.
std::string MalformedJobId(const std::string& topic);

/// One life: Run once. Belongs to the thread that calls Run. `pipeline` outlives it.
class LogLoop final : public storage::RebalanceListener {
 public:
  LogLoop(const WorkerOptions& options, const WorkerLimits& limits, Pipeline& pipeline,
          StopSignals stop);

  /// OK after a drain; kCancelled after an abort. When it returns, nothing of the pipeline's work
  /// is wanted any more.
  Status Run();

 private:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Batch = std::shared_ptr<BatchInFlight>;

  // RebalanceListener; called inside Poll, RewindToCommitted and Close.
  void OnAssigned(std::span<const storage::TopicPartition> partitions) override;
  void OnRevoked(std::span<const storage::TopicPartition> partitions) override;
  void OnLost(std::span<const storage::TopicPartition> partitions) override;

  /// Everything but the subscription.
  Status Open();
  Status Loop();
  bool Drained();
  /// What has not begun is left to whoever works next.
  void GiveBackBacklog();
  Status PollOnce();
  void Accept(const storage::LogRecord& record);
  void AcceptMalformed(const storage::LogRecord& record, const Status& why);
  /// Tracks it; false when its delivery does not count.
  bool Track(const Batch& batch);
  /// Ends a cancelled job's batch without working on it.
  void AcceptCancelled(WorkBatch work, const storage::LogRecord& record);
  /// Keeps a paused job's batch, and its partition from bringing more.
  void Hold(const storage::LogRecord& record);
  /// Takes up what is held and need not be any more.
  Status FollowJobs();
  /// Work was accepted of a job that has been paused or cancelled since, and is not finished.
  bool HasUnwanted() const;
  /// Commits what is finished of all jobs and starts over behind it: with several jobs at work this
  /// does some of the others' again, but a person who says stop has not to wait for a full intake.
  Status GiveBackUnwanted();
  Status ResumeUnheld();
  /// Reads what befell the earlier owners of new partitions. Until it has, nothing is submitted.
  Status ClaimNew();
  Status Submit();
  /// The first of the backlog runs alone, for it may be what killed an earlier worker.
  Status Isolate();
  Status ContinueIsolation();
  /// The next object of the isolated message, or its failure when it is condemned.
  Status RunNextAlone();
  /// Says in the log what is about to run. False: the log did not take it, so it must not run now.
  Result<bool> Announce(const Origin& origin, std::optional<uint32_t> index);
  void EndIsolation();
  /// Takes in what the pipeline has finished.
  void Settle();
  bool CommitDue() const;
  bool IsFull() const { return in_flight_objects_ >= limits_.in_flight_objects; }
  /// One transaction of what is ready, of `within` only unless that is empty. kAborted: nothing was
  /// committed.
  Status CommitReady(size_t limit, std::span<const storage::TopicPartition> within,
                     Patience patience = {});
  /// After a transaction that took so long.
  void AdaptTransactions(std::chrono::steady_clock::duration took);
  /// Forgets everything under way and asks to be delivered it again.
  Status Rewind();
  /// Pauses or resumes intake.
  Status UpdateFlow();
  void Release(std::span<const storage::TopicPartition> partitions, Patience patience);
  void Forget(const storage::TopicPartition& at);
  void ForgetAll();
  void Report(bool force);
  std::vector<storage::TopicPartition> Assigned() const;

  const WorkerOptions& options_;
  const WorkerLimits limits_;
  const std::string topic_;
  Pipeline& pipeline_;
  const StopSignals stop_;
  Clock& clock_;

  BatchTracker tracker_;
  std::set<storage::TopicPartition> assigned_;
  std::deque<Batch> backlog_;               // tracked, not yet submitted to the pipeline
  std::set<const BatchInFlight*> running_;  // what the pipeline has

  /// A message that runs alone; `next`: its first object that has not been started, when split.
  struct Isolation {
    Batch batch;
    bool split = false;
    uint32_t next = 0;
    std::set<uint32_t> condemned;
  };
  Attempts attempts_;
  std::set<storage::TopicPartition> unclaimed_;
  std::optional<Isolation> isolation_;
  std::optional<Origin> survivor_;  // it ran alone and lived, but is not committed yet

  JobBoard jobs_;
  // By partition: a paused job's batch, whose partition is paused with it. Not tracked, so whoever
  // gets the partition next is delivered it again. At most one record a partition.
  std::map<storage::TopicPartition, storage::LogRecord> held_;
  // Accepted; not yet committed or, once unwanted, not yet given back by the pipeline.
  size_t in_flight_objects_ = 0;
  size_t finished_objects_ = 0;  // of these: in finished batches that are still wanted
  TimePoint finished_since_{};   // when the first of these came, or the last transaction after it
  size_t transaction_results_;   // at most: see AdaptTransactions
  bool refilling_ = false;       // since the last transaction no poll has come back empty

  Usage told_;  // up to here, results have told where the time went and what was downloaded

  bool received_ = false;  // the last poll brought a record
  bool paused_ = false;
  std::optional<TimePoint> full_since_;      // in flight is what may be, and intake is not paused
  bool flow_stale_ = false;                  // partitions came that have not been told
  bool rewind_pending_ = false;              // until it is done, nothing polled counts
  bool abandoned_ = false;                   // leaving without another commit
  std::optional<TimePoint> drain_deadline_;  // set: draining
  int aborts_in_a_row_ = 0;
  Status callback_failure_;

  WorkerStats stats_;
  TimePoint reported_{};

  std::unique_ptr<Publisher> publisher_;
  std::unique_ptr<storage::LogConsumer> consumer_;  // last: its end may still call the listener
};

}  // namespace trawl::worker
