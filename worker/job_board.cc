#include "worker/job_board.h"

#include <vector>

#include "ops/telemetry/log.h"
#include "storage/topics.h"

namespace trawl::worker {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kReadInterval{200};  // how soon a pause is heard of

}  // namespace

Status JobBoard::Open(std::stop_token stop) {
  std::map<storage::TopicPartition, int64_t> next;
  TRAWL_TRY(storage::ReadToEnd(
      log_, storage::kJobsTopic,
      [&](const storage::LogRecord& record) {
        Take(record);
        next[record.at] = record.offset + 1;
      },
      std::move(stop), clock_));
  TRAWL_ASSIGN(const int partitions, log_.PartitionCount(storage::kJobsTopic));
  std::vector<storage::TopicOffset> from;
  for (int32_t partition = 0; partition < partitions; ++partition) {
    const storage::TopicPartition at{storage::kJobsTopic, partition};
    from.push_back({at, next.contains(at) ? next[at] : storage::kBeginning});
  }
  TRAWL_ASSIGN(consumer_, log_.Assign(from));
  return OkStatus();
}

Result<bool> JobBoard::Refresh() {
  const auto now = clock_.Now();
  if (now < next_read_) return false;
  bool changed = false;
  while (true) {
    const auto polled = consumer_->Poll(milliseconds(0));
    if (!polled && !IsRetryable(polled.error().code()))
      return Annotate(polled.error(), "reading {}", storage::kJobsTopic);
    if (!polled || !polled->record) break;
    Take(*polled->record);
    changed = true;
  }
  next_read_ = now + kReadInterval;
  return changed;
}

Wish JobBoard::WishFor(const WorkBatch& batch) const {
  const auto found = stopped_.find(batch.job_id);
  if (found == stopped_.end()) return Wish::kWork;
  if (found->second.control == JobControl::kPaused) return Wish::kHold;
  return IsCancelled(found->second, batch) ? Wish::kCancel : Wish::kWork;
}

void JobBoard::Take(const storage::LogRecord& record) {
  Result<JobRecord> job = DecodeJobRecord(record.value);
  if (!job) {
    ops::Log(ops::LogLevel::kWarn, "unreadable job record",
             {{"job", record.key}, {"reason", job.error().message()}});
  } else if (job->control == JobControl::kRun) {
    stopped_.erase(job->job_id);
  } else {
    stopped_.insert_or_assign(job->job_id, std::move(*job));
  }
}

}  // namespace trawl::worker
