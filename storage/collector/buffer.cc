#include "storage/collector/buffer.h"

#include "config/records.h"
#include "config/set_digest.h"
#include "storage/topics.h"

namespace trawl::storage {
namespace {

RecordMark MarkOf(const LogRecord& record) {
  SetDigest digest;  // of a set of one
  digest.Add(record.key, static_cast<uint64_t>(record.timestamp_ms), 0, record.value);
  return {record.offset, digest.Hex()};
}

}  // namespace

CollectBuffer::CollectBuffer(const std::vector<TopicPartition>& partitions,
                             const std::vector<StoredOffset>& stored) {
  for (const TopicPartition& partition : partitions) AddPartition(partition);
  for (const StoredOffset& offset : stored)
    positions_.insert_or_assign(offset.at,
                                Position{offset.offset, offset.offset, offset.last, false});
}

void CollectBuffer::AddPartition(const TopicPartition& partition) {
  positions_.try_emplace(partition);
}

Status CollectBuffer::Add(const LogRecord& record) {
  if (record.at.topic == kJobsTopic) {
    TRAWL_ASSIGN(JobRecord job, DecodeJobRecord(record.value));
    batch_.jobs.push_back(std::move(job));
  } else {
    TRAWL_ASSIGN(ResultRecord result, DecodeResultRecord(record.value));
    batch_.results.push_back(std::move(result));
  }
  bytes_ += record.value.size();
  Skip(record);
  return OkStatus();
}

void CollectBuffer::Skip(const LogRecord& record) {
  Position& position = positions_[record.at];
  position.next = record.offset + 1;
  position.last = MarkOf(record);
  moved_ = true;
}

void CollectBuffer::ReachedEnd(const TopicPartition& at, int64_t offset) {
  Position& position = positions_[at];
  if (position.next == kBeginning || offset <= position.next) return;
  position.next = offset;
  moved_ = true;
}

void CollectBuffer::AwaitKnown(const TopicPartition& at, int64_t first) {
  Position& position = positions_[at];
  position.awaited = position.last && position.last->offset >= first;
}

bool CollectBuffer::AwaitsKnown(const TopicPartition& at) const {
  const auto found = positions_.find(at);
  return found != positions_.end() && found->second.awaited;
}

Result<bool> CollectBuffer::CheckKnown(const TopicPartition& at, const LogRecord* record) {
  Position& position = positions_[at];
  const RecordMark& known = *position.last;
  if (record != nullptr && record->offset == known.offset &&
      MarkOf(*record).digest == known.digest) {
    position.awaited = false;
    return true;
  }
  // A compacted topic forgets a record when a newer one with its key comes.
  const bool gone = record == nullptr || record->offset > known.offset;
  if (gone && at.topic == kJobsTopic) {
    position.awaited = false;
    return false;
  }
  return Error(
      Code::kFailedPrecondition,
      "the record at offset {} of {}/{} is not the one that the results database has read: "
      "the topic was deleted and made anew; use a new database, or bring the topic back",
      known.offset, at.topic, at.partition);
}

const CollectedBatch& CollectBuffer::Batch() {
  batch_.steps.clear();
  for (const auto& [at, position] : positions_)
    if (position.next != position.stored)
      batch_.steps.push_back({at, position.stored, position.next, position.last});
  return batch_;
}

void CollectBuffer::MarkWritten() {
  for (auto& [at, position] : positions_) position.stored = position.next;
  batch_ = {};
  bytes_ = 0;
  moved_ = false;
}

std::vector<TopicOffset> CollectBuffer::NextReads() const {
  std::vector<TopicOffset> offsets;
  for (const auto& [at, position] : positions_)
    offsets.push_back({at, position.awaited ? position.last->offset : position.next});
  return offsets;
}

std::vector<TopicOffset> CollectBuffer::Stored() const {
  std::vector<TopicOffset> offsets;
  for (const auto& [at, position] : positions_)
    if (position.stored != kBeginning) offsets.push_back({at, position.stored});
  return offsets;
}

}  // namespace trawl::storage
