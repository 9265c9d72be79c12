#include "producer/commands.h"

#include <utility>
#include <vector>

#include "config/suggest.h"
#include "producer/job_ledger.h"
#include "producer/producer.h"
#include "producer/work_message.h"
#include "storage/topics.h"

namespace trawl::producer {
namespace {

using storage::OutgoingRecord;

Status CheckTransition(const JobRecord& job, JobControl wanted) {
  if (job.control != JobControl::kCancelled || wanted == JobControl::kCancelled) return OkStatus();
  return Error(Code::kFailedPrecondition,
               "job {} is cancelled; trawl retry {} --failed --code cancelled takes it up again",
               job.job_id, job.job_id);
}

/// Gathers batches of one new attempt and enqueues them page by page.
class Requeuer {
 public:
  Requeuer(const RequeueOptions& options, JobLedger& ledger, int partitions, std::stop_token stop)
      : options_(options),
        ledger_(ledger),
        stop_(std::move(stop)),
        work_topic_(storage::WorkTopic(options.job.queue)),
        partitions_(partitions),
        known_attempt_(options.job.attempt),
        attempt_(options.job.attempt + 1) {}

  Status Add(const WorkBatch& original, const std::vector<size_t>& objects) {
    WorkBatch batch;
    batch.job_id = original.job_id;
    batch.seq = original.seq;
    batch.attempt = attempt_;
    batch.spec = original.spec;
    for (const size_t i : objects) {
      ObjectRef object = original.objects[i];
      const uint32_t index = original.IndexOf(i);
      if (!options_.as_listed) {
        object.size_bytes.reset();
        object.etag.clear();
      }
      batch.objects.push_back(std::move(object));
      batch.indices.push_back(index);
    }
    page_.push_back(ToMessage(batch, work_topic_, partitions_));
    page_objects_ += objects.size();
    return page_objects_ < options_.page_objects ? OkStatus() : Flush();
  }

  Status Flush() {
    if (page_.empty()) return OkStatus();
    const auto change = [&](JobRecord& next, std::vector<OutgoingRecord>& out) -> Status {
      if (next.attempt != known_attempt_)
        return Error(Code::kAborted,
                     "another command enqueued objects of job {} again at the same time; run this "
                     "one again when that has ended",
                     next.job_id);
      next.attempt = attempt_;
      next.requeued += page_objects_;
      if (next.control == JobControl::kCancelled) next.control = JobControl::kRun;
      out = page_;
      return OkStatus();
    };
    TRAWL_TRY(ledger_.Update(change, stop_));
    known_attempt_ = attempt_;
    report_.objects += page_objects_;
    report_.messages += page_.size();
    page_.clear();
    page_objects_ = 0;
    return OkStatus();
  }

  RequeueReport Report() {
    report_.job = ledger_.job();
    return std::move(report_);
  }

 private:
  const RequeueOptions& options_;
  JobLedger& ledger_;
  const std::stop_token stop_;
  const std::string work_topic_;
  const int partitions_;
  int known_attempt_;  // of the job's record: another one is somebody else's
  const int attempt_;
  std::vector<OutgoingRecord> page_;
  uint64_t page_objects_ = 0;
  RequeueReport report_;
};

}  // namespace

Result<JobRecord> FindJob(storage::MessageLog& log, const std::string& job_id,
                          std::stop_token stop) {
  Result<std::optional<JobRecord>> found = ReadJob(log, job_id, stop);
  if (!found && found.error().code() != Code::kNotFound) return tl::unexpected(found.error());
  if (found && *found) return std::move(**found);
  std::vector<std::string> names;
  const auto take = [&](const JobRecord& job) { names.push_back(job.job_id); };
  if (found) TRAWL_TRY(ForEachJob(log, take, std::move(stop)));
  return Error(Code::kNotFound, "no such job '{}'{}", job_id, DidYouMean(job_id, names));
}

Result<JobRecord> ControlJob(storage::MessageLog& log, const std::string& job_id, JobControl wanted,
                             std::stop_token stop) {
  // Without fencing anybody, as long as there is nothing to write.
  TRAWL_ASSIGN(JobRecord job, FindJob(log, job_id, stop));
  TRAWL_TRY(CheckTransition(job, wanted));
  if (job.control == wanted) return job;
  TRAWL_ASSIGN(const auto ledger, JobLedger::Open(log, job_id, stop));
  const auto change = [&](JobRecord& next, std::vector<OutgoingRecord>&) -> Status {
    TRAWL_TRY(CheckTransition(next, wanted));
    next.control = wanted;
    return OkStatus();
  };
  TRAWL_TRY(ledger->Update(change, std::move(stop)));
  return ledger->job();
}

Result<RequeueReport> Requeue(const RequeueOptions& options, std::stop_token stop) {
  const std::string topic = storage::WorkTopic(options.job.queue);
  TRAWL_ASSIGN(const int partitions, options.log.PartitionCount(topic));
  TRAWL_ASSIGN(const auto ledger, JobLedger::Open(options.log, options.job.job_id, stop));
  Requeuer requeuer(options, *ledger, partitions, stop);
  const auto add = [&](const WorkBatch& batch, const std::vector<size_t>& objects) {
    return requeuer.Add(batch, objects);
  };
  TRAWL_TRY(ForEachEnqueued(options.log, options.job, options.wanted, add, std::move(stop)));
  TRAWL_TRY(requeuer.Flush());
  return requeuer.Report();
}

}  // namespace trawl::producer
