#include "producer/job_ledger.h"

#include <algorithm>

#include "ops/telemetry/log.h"
#include "storage/topics.h"

namespace trawl::producer {
namespace {

using std::chrono::milliseconds;

constexpr int kMaxAttempts = 10;
constexpr milliseconds kFirstBackoff{200};
constexpr milliseconds kLongestBackoff{30'000};

}  // namespace

Result<std::optional<JobRecord>> ReadJob(storage::MessageLog& log, const std::string& job_id,
                                         std::stop_token stop, const Clock& clock) {
  std::optional<std::string> newest;
  const auto take = [&](const storage::LogRecord& record) {
    if (record.key == job_id) newest = record.value;
  };
  TRAWL_TRY(storage::ReadToEnd(log, storage::kJobsTopic, take, std::move(stop), clock));
  if (!newest) return std::nullopt;
  TRAWL_ASSIGN(JobRecord job, DecodeJobRecord(*newest));
  return job;
}

Result<std::unique_ptr<JobLedger>> JobLedger::Open(storage::MessageLog& log,
                                                   const std::string& job_id, std::stop_token stop,
                                                   Clock& clock) {
  std::unique_ptr<JobLedger> ledger(new JobLedger(log, job_id, clock));
  TRAWL_TRY(ledger->Reopen(std::move(stop)));
  return ledger;
}

Status JobLedger::Reopen(std::stop_token stop) {
  return storage::OpenPatiently(
      "job " + job_id_, [&] { return TryReopen(stop); }, stop, clock_);
}

Status JobLedger::TryReopen(std::stop_token stop) {
  producer_.reset();  // first: the new one would fence it
  TRAWL_ASSIGN(producer_, log_.OpenProducer("trawl-producer-" + job_id_));
  return Read(std::move(stop));
}

/// A record of this job that cannot be read is an error: to take the job for a new one would
/// enqueue everything again.
Status JobLedger::Read(std::stop_token stop) {
  TRAWL_ASSIGN(std::optional<JobRecord> found, ReadJob(log_, job_id_, std::move(stop), clock_));
  exists_ = found.has_value();
  job_ = std::move(found).value_or(JobRecord());
  job_.job_id = job_id_;
  return OkStatus();
}

Status JobLedger::Update(const Change& change, std::stop_token stop) {
  milliseconds backoff = kFirstBackoff;
  for (int attempt = 1;; ++attempt) {
    JobRecord next = job_;
    storage::Transaction transaction;
    TRAWL_TRY(change(next, transaction.records));
    ++next.revision;
    const std::string encoded = Encode(next);
    transaction.records.push_back({storage::kJobsTopic, std::nullopt, job_id_, encoded});
    const Status status = producer_->Commit(transaction);
    const bool fenced = status.code() == Code::kFailedPrecondition;
    if (!status.ok()) {
      if ((!fenced && !IsRetryable(status.code())) || attempt == kMaxAttempts) return status;
      ops::Log(ops::LogLevel::kWarn, "writing the job again",
               {{"job", job_id_}, {"reason", status.message()}});
      if (!clock_.SleepFor(backoff, stop)) return Error(Code::kCancelled, "interrupted");
      backoff = std::min(backoff * 2, kLongestBackoff);
      // Fenced, somebody else's change comes first. Otherwise the job is ours, and nobody can tell
      // whether the transaction took effect but the record itself.
      TRAWL_TRY(fenced ? Reopen(stop) : Read(stop));
      if (!exists_ || Encode(job_) != encoded) continue;
    }
    job_ = std::move(next);
    exists_ = true;
    return OkStatus();
  }
}

}  // namespace trawl::producer
