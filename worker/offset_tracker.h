#pragma once
// Which offsets may be committed. Batches finish in any order; an offset is committed only when
// everything before it in its partition is finished too.

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <utility>
#include <vector>

#include "storage/message_log/message_log.h"

namespace trawl::worker {

/// Not thread-safe: belongs to the log thread. `T` stands for a batch of work and is copied cheaply
/// (a pointer).
///
/// Each time a partition is begun it gets a new epoch, a number that is never used again. What was
/// started in an epoch that has ended is nobody's business any more: the same offsets may have been
/// delivered again, here or elsewhere.
template <class T>
class OffsetTracker {
 public:
  struct Ready {
    std::vector<T> batches;                     // in the order of their offsets
    std::vector<storage::TopicOffset> offsets;  // last + 1, one per partition that moved
  };

  struct Entry {
    int64_t offset = 0;
    T batch;
    bool finished = false;
  };

  /// The partition is ours. Returns its epoch.
  uint64_t Begin(const storage::TopicPartition& at) {
    partitions_[at] = {++last_epoch_, {}};
    return last_epoch_;
  }

  /// The partition is not ours any more. Returns what was under way in it.
  std::deque<Entry> End(const storage::TopicPartition& at) {
    const auto found = partitions_.find(at);
    if (found == partitions_.end()) return {};
    std::deque<Entry> under_way = std::move(found->second.entries);
    partitions_.erase(found);
    return under_way;
  }

  /// Nobody has begun to work on this offset, nor will we: it will be delivered again, here or
  /// elsewhere, and so must be all that lies behind it. Returns those.
  std::vector<Entry> Retract(const storage::TopicPartition& at, int64_t offset) {
    const auto found = partitions_.find(at);
    if (found == partitions_.end()) return {};
    std::deque<Entry>& entries = found->second.entries;
    const auto first = Find(entries, offset);
    std::vector<Entry> retracted(std::make_move_iterator(first),
                                 std::make_move_iterator(entries.end()));
    entries.erase(first, entries.end());
    return retracted;
  }

  /// 0 when the partition is not ours.
  uint64_t epoch(const storage::TopicPartition& at) const {
    const auto found = partitions_.find(at);
    return found == partitions_.end() ? 0 : found->second.epoch;
  }

  /// Work on this offset has begun. False, and nothing is tracked, when the partition is not ours
  /// or the offset is not behind all earlier ones.
  bool Track(const storage::TopicPartition& at, int64_t offset, T batch) {
    const auto found = partitions_.find(at);
    if (found == partitions_.end()) return false;
    Partition& partition = found->second;
    if (offset <= partition.last_offset) return false;
    partition.last_offset = offset;
    partition.entries.push_back({offset, std::move(batch), false});
    return true;
  }

  /// False when the epoch has ended: the results must be dropped.
  bool Finish(const storage::TopicPartition& at, uint64_t epoch, int64_t offset) {
    const auto found = partitions_.find(at);
    if (found == partitions_.end() || found->second.epoch != epoch) return false;
    std::deque<Entry>& entries = found->second.entries;
    const auto entry = Find(entries, offset);
    if (entry == entries.end() || entry->offset != offset) return false;
    entry->finished = true;
    return true;
  }

  /// Takes out finished batches that have only finished ones before them, until their weights
  /// (`weigh(batch)`) reach `limit`. `within`: only of these partitions; empty: of all.
  template <class Weigh>
  Ready Take(size_t limit, Weigh weigh, const std::vector<storage::TopicPartition>& within = {}) {
    Ready ready;
    size_t weight = 0;
    for (auto& [at, partition] : partitions_) {
      if (!within.empty() && std::find(within.begin(), within.end(), at) == within.end()) continue;
      const int64_t before = partition.next_commit;
      while (!partition.entries.empty() && partition.entries.front().finished && weight < limit) {
        Entry& entry = partition.entries.front();
        weight += weigh(entry.batch);
        partition.next_commit = entry.offset + 1;
        ready.batches.push_back(std::move(entry.batch));
        partition.entries.pop_front();
      }
      if (partition.next_commit != before) ready.offsets.push_back({at, partition.next_commit});
    }
    return ready;
  }

  bool empty() const {
    return std::all_of(partitions_.begin(), partitions_.end(),
                       [](const auto& each) { return each.second.entries.empty(); });
  }

 private:
  struct Partition {
    uint64_t epoch = 0;
    std::deque<Entry> entries;  // by rising offset
    int64_t last_offset = -1;   // tracked
    int64_t next_commit = -1;
  };

  /// The first at this offset or behind it.
  static auto Find(std::deque<Entry>& entries, int64_t offset) {
    return std::lower_bound(entries.begin(), entries.end(), offset,
                            [](const Entry& each, int64_t wanted) { return each.offset < wanted; });
  }

  std::map<storage::TopicPartition, Partition> partitions_;
  uint64_t last_epoch_ = 0;
};

}  // namespace trawl::worker
