#pragma once
// A work message on its way through the stages, and the objects in it. Each object ends exactly
// once: with predictions, with an error, or dropped because nobody wants its outcome any more.

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <vector>

#include "config/records.h"
#include "storage/message_log/message_log.h"

namespace trawl::worker {

class BatchInFlight;

/// Batches whose objects have all ended. Written by the stages, read by the log thread.
/// Thread-safe; bounded by the intake, which counts every batch until it has been taken from here.
class FinishedBatches {
 public:
  void Add(std::shared_ptr<BatchInFlight> batch);
  std::vector<std::shared_ptr<BatchInFlight>> TakeAll();

 private:
  std::mutex mutex_;  // guards batches_
  std::vector<std::shared_ptr<BatchInFlight>> batches_;
};

/// Where a batch came from: its place in the log, and the epoch in which the partition was ours.
struct Origin {
  storage::TopicPartition at;
  int64_t offset = 0;
  uint64_t epoch = 0;
};

/// Shared by its items; the last one to end hands it to the finished batches.
class BatchInFlight {
 public:
  BatchInFlight(WorkBatch batch, Origin origin, const std::string& worker,
                FinishedBatches& finished);

  const WorkBatch& work() const { return work_; }
  const Origin& origin() const { return origin_; }

  /// Nobody wants the outcome any more: stages skip what is left. Thread-safe.
  void Cancel() { cancel_.request_stop(); }
  std::stop_token cancelled() const { return cancel_.get_token(); }

  /// Objects that have not ended. Thread-safe.
  size_t unfinished() const { return unfinished_.load(std::memory_order_acquire); }

  /// True when no item was dropped. Call once finished.
  bool complete() const { return !dropped_; }
  /// In the order of the objects. Call once, when finished and complete.
  std::vector<ResultRecord> TakeRecords() { return std::move(records_); }

 private:
  friend class WorkItem;

  const WorkBatch work_;
  const Origin origin_;
  FinishedBatches& finished_;
  std::stop_source cancel_;
  std::vector<ResultRecord> records_;  // each written by its item alone, until `unfinished_` is 0
  std::atomic<size_t> unfinished_;
  std::atomic<bool> dropped_ = false;
};

/// One object of a batch. Moves from stage to stage; destroyed without an end, it counts as
/// dropped. Not thread-safe.
class WorkItem {
 public:
  WorkItem(std::shared_ptr<BatchInFlight> batch, uint32_t index)
      : batch_(std::move(batch)), index_(index) {}
  WorkItem(WorkItem&&) noexcept = default;
  WorkItem& operator=(WorkItem&& other) noexcept;
  ~WorkItem();

  const WorkBatch& work() const { return batch_->work_; }
  const ObjectRef& object() const { return work().objects[index_]; }
  bool cancelled() const { return batch_->cancel_.stop_requested(); }
  std::stop_token cancel_token() const { return batch_->cancelled(); }

  StageTimings& timings() { return record().timings; }
  void set_size_bytes(uint64_t bytes) { record().size_bytes = bytes; }

  /// The end; nothing may be called after it.
  void Succeed(std::vector<Prediction> predictions);
  void Fail(ObjectError error);

 private:
  ResultRecord& record() { return batch_->records_[index_]; }
  void End();

  std::shared_ptr<BatchInFlight> batch_;  // null once ended, or moved from
  uint32_t index_;
};

/// All items of a batch.
std::vector<WorkItem> ItemsOf(const std::shared_ptr<BatchInFlight>& batch);

}  // namespace trawl::worker
