#pragma once
// What people do to jobs that exist: pause, resume, cancel, and enqueue some objects again.

#include <stop_token>
#include <string>

#include "config/records.h"
#include "producer/audit.h"
#include "producer/object_set.h"
#include "storage/message_log/message_log.h"

namespace trawl::producer {

/// Writes what is wanted of the job; workers hear of it within a second or so. Returns the job's
/// record. Errors: kNotFound (no such job, with the nearest name), kFailedPrecondition (a cancelled
/// job can be neither paused nor resumed).
Result<JobRecord> ControlJob(storage::MessageLog& log, const std::string& job_id, JobControl wanted,
                             std::stop_token stop);

/// The newest record of a job that has to exist. Errors: kNotFound, with the nearest name;
/// kCancelled.
Result<JobRecord> FindJob(storage::MessageLog& log, const std::string& job_id,
                          std::stop_token stop = {});

struct RequeueOptions {
  storage::MessageLog& log;
  const JobRecord& job;  // as it was when `wanted` was chosen
  const ObjectSet& wanted;
  bool as_listed = true;  // false: take them as they are now, whatever the listing said of them
  size_t page_objects = 1'000;  // per transaction
};

struct RequeueReport {
  JobRecord job;
  uint64_t objects = 0, messages = 0;
};

/// Enqueues the wanted objects again under their old identities, as one new attempt; those that are
/// no longer on the work topic are left out. A cancelled job runs again. Killed in between, what
/// was enqueued until then stays. Errors: kAborted when another command changed the job meanwhile.
Result<RequeueReport> Requeue(const RequeueOptions& options, std::stop_token stop);

}  // namespace trawl::producer
