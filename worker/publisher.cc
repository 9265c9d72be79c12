#include "worker/publisher.h"

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "storage/topics.h"

namespace trawl::worker {
namespace {

storage::OutgoingRecord ToOutgoing(const ResultRecord& record) {
  return {storage::kResultsTopic, std::nullopt, ResultMessageKey(record), Encode(record)};
}

size_t SizeOf(const storage::OutgoingRecord& record) {
  return record.key.size() + record.value.size();
}

/// Shared by the jobs as they share the results.
void TellUsage(const Usage& usage, std::vector<ResultRecord>& records) {
  std::map<std::string, std::vector<ResultRecord*>> jobs;
  for (ResultRecord& record : records) jobs[record.job_id].push_back(&record);
  uint64_t before = 0;  // rounded at the borders between jobs, the shares add up
  for (const auto& [job, its] : jobs) {
    its.front()->worker_times =
        usage.times * (static_cast<double>(its.size()) / static_cast<double>(records.size()));
    const DownloadTraffic share = usage.downloads.Share(before + its.size(), records.size()) -
                                  usage.downloads.Share(before, records.size());
    if (share != DownloadTraffic()) its.front()->downloads = share;
    before += its.size();
  }
}

bool HasFailed(const ResultRecord& record) {
  return std::holds_alternative<ObjectError>(record.outcome);
}

/// Unless it is one already, which cannot get any smaller.
void TurnIntoFailure(ResultRecord& record, storage::OutgoingRecord& outgoing) {
  if (HasFailed(record)) return;
  record.outcome = ObjectError{ObjectErrorCode::kInternal,
                               "the result is larger than the log accepts; lower --top-k", 1};
  outgoing = ToOutgoing(record);
}

/// Brokers have limits of their own and do not say which record is over it: the largest one that
/// can give way does. False when none can.
bool ShrinkLargest(std::vector<ResultRecord>& records, storage::Transaction& transaction) {
  std::optional<size_t> largest;
  for (size_t i = 0; i < records.size(); ++i) {
    if (HasFailed(records[i])) continue;
    if (!largest || SizeOf(transaction.records[i]) > SizeOf(transaction.records[*largest]))
      largest = i;
  }
  if (largest) TurnIntoFailure(records[*largest], transaction.records[*largest]);
  return largest.has_value();
}

}  // namespace

Status Publisher::Put(std::vector<storage::OutgoingRecord> records, Patience patience) {
  storage::Transaction transaction;
  transaction.patience = patience;
  transaction.records = std::move(records);
  return producer_->Commit(transaction);
}

Result<PublishReport> Publisher::Commit(const BatchTracker::Ready& ready,
                                        storage::LogConsumer& consumer, const Usage& usage,
                                        Patience patience) {
  PublishReport report;
  report.batches = ready.batches.size();
  std::vector<ResultRecord> records;
  for (const std::shared_ptr<BatchInFlight>& batch : ready.batches) {
    for (ResultRecord& record : batch->TakeRecords()) records.push_back(std::move(record));
  }
  TellUsage(usage, records);
  storage::Transaction transaction;
  transaction.consumer = &consumer;
  transaction.patience = patience;
  transaction.offsets = ready.offsets;
  for (ResultRecord& record : records) {
    transaction.records.push_back(ToOutgoing(record));
    storage::OutgoingRecord& outgoing = transaction.records.back();
    if (SizeOf(outgoing) > storage::kMaxRecordBytes) TurnIntoFailure(record, outgoing);
  }

  Status committed = producer_->Commit(transaction);
  while (committed.code() == Code::kInvalidArgument && ShrinkLargest(records, transaction))
    committed = producer_->Commit(transaction);
  if (!committed.ok()) return Annotate(committed, "publishing {} results", records.size());
  for (const ResultRecord& record : records)
    ++(HasFailed(record) ? report.failed : report.succeeded);
  return report;
}

}  // namespace trawl::worker
