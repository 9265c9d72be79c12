#include "worker/publisher.h"

#include <algorithm>
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

/// False when the record is a failure already: it cannot get any smaller.
bool TurnIntoFailure(ResultRecord& record, storage::OutgoingRecord& outgoing) {
  if (std::holds_alternative<ObjectError>(record.outcome)) return false;
  record.outcome = ObjectError{ObjectErrorCode::kInternal,
                               "the result is larger than the log accepts; lower --top-k", 1};
  outgoing = ToOutgoing(record);
  return true;
}

/// Brokers have limits of their own and do not say which record is over it: the largest one gives
/// way.
bool ShrinkLargest(std::vector<ResultRecord>& records, storage::Transaction& transaction) {
  const auto largest =
      std::max_element(transaction.records.begin(), transaction.records.end(),
                       [](const auto& a, const auto& b) { return SizeOf(a) < SizeOf(b); });
  if (largest == transaction.records.end()) return false;
  return TurnIntoFailure(records[static_cast<size_t>(largest - transaction.records.begin())],
                         *largest);
}

}  // namespace

Status Publisher::Put(std::vector<storage::OutgoingRecord> records) {
  storage::Transaction transaction;
  transaction.records = std::move(records);
  return producer_->Commit(transaction);
}

Result<PublishReport> Publisher::Commit(const BatchTracker::Ready& ready,
                                        storage::LogConsumer& consumer) {
  PublishReport report;
  report.batches = ready.batches.size();
  std::vector<ResultRecord> records;
  for (const std::shared_ptr<BatchInFlight>& batch : ready.batches) {
    for (ResultRecord& record : batch->TakeRecords()) records.push_back(std::move(record));
  }
  storage::Transaction transaction;
  transaction.consumer = &consumer;
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
    ++(std::holds_alternative<ObjectError>(record.outcome) ? report.failed : report.succeeded);
  return report;
}

}  // namespace trawl::worker
