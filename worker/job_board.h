#pragma once
// What people want of the jobs whose work comes by: paused jobs are held back, cancelled ones end
// without being worked on. Read from the jobs topic, and kept up while the worker runs.

#include <chrono>
#include <map>
#include <memory>
#include <string>

#include "config/clock.h"
#include "config/records.h"
#include "storage/message_log/message_log.h"

namespace trawl::worker {

enum class Wish { kWork, kHold, kCancel };

/// Belongs to the log thread. `log` and `clock` outlive it. Memory: one record a job that is paused
/// or was cancelled.
class JobBoard {
 public:
  JobBoard(storage::MessageLog& log, Clock& clock) : log_(log), clock_(clock) {}

  /// Reads all that has been said until now. Errors: the log's; kCancelled.
  Status Open(std::stop_token stop);
  /// Reads what is new, without waiting. True when a wish may have changed.
  Result<bool> Refresh();

  Wish WishFor(const WorkBatch& batch) const;

 private:
  void Take(const storage::LogRecord& record);

  storage::MessageLog& log_;
  Clock& clock_;
  std::unique_ptr<storage::LogConsumer> consumer_;
  std::chrono::steady_clock::time_point next_read_{};
  std::map<std::string, JobRecord> stopped_;  // by job: those that are not to run
};

}  // namespace trawl::worker
