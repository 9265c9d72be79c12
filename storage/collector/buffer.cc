#include "storage/collector/buffer.h"

#include "config/records.h"
#include "storage/topics.h"

namespace trawl::storage {

CollectBuffer::CollectBuffer(const std::vector<TopicPartition>& partitions,
                             const std::vector<TopicOffset>& stored) {
  for (const TopicPartition& partition : partitions) AddPartition(partition);
  for (const TopicOffset& offset : stored)
    positions_.insert_or_assign(offset.at, Position{offset.offset, offset.offset});
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
  positions_[record.at].next = record.offset + 1;
  moved_ = true;
}

const CollectedBatch& CollectBuffer::Batch() {
  batch_.steps.clear();
  for (const auto& [at, position] : positions_)
    if (position.next != position.stored)
      batch_.steps.push_back({at, position.stored, position.next});
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
  for (const auto& [at, position] : positions_) offsets.push_back({at, position.next});
  return offsets;
}

std::vector<TopicOffset> CollectBuffer::Stored() const {
  std::vector<TopicOffset> offsets;
  for (const auto& [at, position] : positions_)
    if (position.stored != kBeginning) offsets.push_back({at, position.stored});
  return offsets;
}

}  // namespace trawl::storage
