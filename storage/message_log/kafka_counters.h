#pragma once
// LogCounters as all consumers and producers of one KafkaLog write them.

#include <atomic>
#include <cstdint>

namespace trawl::storage {

struct KafkaCounters {
  std::atomic<uint64_t> producers_rebuilt = 0;
  std::atomic<uint64_t> ambiguous_commits = 0;
  std::atomic<uint64_t> consumers_rejoined = 0;
  std::atomic<uint64_t> stale_records_dropped = 0;
};

}  // namespace trawl::storage
