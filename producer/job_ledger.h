#pragma once
// The record of one job, and the right to write it. Whoever changes a job (the producer that lists
// it, a command that pauses it or enqueues some of it again) does it here: read, change and write
// are one step, because opening a ledger fences every other one of the same job.

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "config/clock.h"
#include "config/records.h"
#include "config/status.h"
#include "storage/message_log/message_log.h"

namespace trawl::producer {

/// The job's newest record, read without fencing anybody; none when there is no such job. Errors:
/// the log's; kInvalidArgument or kUnimplemented when the record cannot be read.
Result<std::optional<JobRecord>> ReadJob(storage::MessageLog& log, const std::string& job_id,
                                         std::stop_token stop = {},
                                         const Clock& clock = SystemClock());

/// Not thread-safe; `log` and `clock` outlive it.
class JobLedger {
 public:
  /// Makes `next` out of the newest record, which it is given a copy of, and adds the messages that
  /// go with it. Called again on a newer record whenever somebody else changed the job in between;
  /// an error ends the update.
  using Change = std::function<Status(JobRecord& next, std::vector<storage::OutgoingRecord>& out)>;

  /// Fences every other ledger of the job.
  static Result<std::unique_ptr<JobLedger>> Open(storage::MessageLog& log,
                                                 const std::string& job_id,
                                                 std::stop_token stop = {},
                                                 Clock& clock = SystemClock());

  /// As it was when the ledger was opened or last written; a fresh one when there was none.
  const JobRecord& job() const { return job_; }
  bool exists() const { return exists_; }

  /// Writes the changed record and its messages, all or nothing, however often that takes. Errors:
  /// the change's own; kCancelled; the log's when they last.
  Status Update(const Change& change, std::stop_token stop);

  /// Reads the record again, and fences whoever wrote it. Part of the log that is out of reach is
  /// waited for, a minute at most.
  Status Reopen(std::stop_token stop);

 private:
  JobLedger(storage::MessageLog& log, std::string job_id, Clock& clock)
      : log_(log), job_id_(std::move(job_id)), clock_(clock) {}

  Status TryReopen(std::stop_token stop);
  Status Read(std::stop_token stop);

  storage::MessageLog& log_;
  const std::string job_id_;
  Clock& clock_;
  std::unique_ptr<storage::TransactionalProducer> producer_;
  JobRecord job_;
  bool exists_ = false;
};

}  // namespace trawl::producer
