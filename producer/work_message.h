#pragma once
// How a batch becomes a message of the work topic.

#include <string>

#include "config/records.h"
#include "storage/message_log/message_log.h"

namespace trawl::producer {

/// Round-robin over the partitions, so that work per partition is even and lag means something. The
/// message's key is the job's id.
inline storage::OutgoingRecord ToMessage(const WorkBatch& batch, const std::string& work_topic,
                                         int partitions) {
  const auto partition = static_cast<int32_t>(batch.seq % static_cast<uint64_t>(partitions));
  return {work_topic, partition, batch.job_id, Encode(batch)};
}

}  // namespace trawl::producer
