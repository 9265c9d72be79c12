#pragma once
// What the collector has read and not yet written, and how far it has come in each partition.

#include <map>
#include <optional>
#include <vector>

#include "storage/message_log/message_log.h"
#include "storage/result_store/result_store.h"

namespace trawl::storage {

/// Not thread-safe. Positions rise with Add and Skip; MarkWritten makes them the stored ones.
class CollectBuffer {
 public:
  /// `stored`: the offsets that the result store holds. Partitions without one start at the
  /// beginning.
  CollectBuffer(const std::vector<TopicPartition>& partitions,
                const std::vector<StoredOffset>& stored);

  /// Also reads from `partition` from now on, from its beginning.
  void AddPartition(const TopicPartition& partition);

  /// Takes a record in. Errors: kInvalidArgument (malformed: Skip it), kUnimplemented (from a newer
  /// version); neither moves the position.
  Status Add(const LogRecord& record);
  /// Goes past a record without taking anything from it.
  void Skip(const LogRecord& record);
  /// Nothing below `offset` is left to read: goes past what is no record (a log's own marks), so
  /// that it may expire.
  void ReachedEnd(const TopicPartition& at, int64_t offset);

  /// The newest record that was read before has to be read again, to see that this is still the
  /// same log. Only while it is there yet: the log begins at `first`.
  void AwaitKnown(const TopicPartition& at, int64_t first);
  bool AwaitsKnown(const TopicPartition& at) const;
  /// The first record since AwaitKnown, or none up to the end. True: it was the known one, which is
  /// not to be taken in again. Errors: kFailedPrecondition, when it is not the known one.
  Result<bool> CheckKnown(const TopicPartition& at, const LogRecord* record);

  /// True when there is nothing to write, not even an offset.
  bool empty() const { return !moved_; }
  int64_t records() const {
    return static_cast<int64_t>(batch_.results.size() + batch_.jobs.size());
  }
  size_t bytes() const { return bytes_; }

  /// Everything buffered, with the offset steps that belong to it.
  const CollectedBatch& Batch();
  void MarkWritten();

  /// Where to read on (next_read) and where a restart would (stored).
  std::vector<TopicOffset> NextReads() const;
  std::vector<TopicOffset> Stored() const;

 private:
  struct Position {
    int64_t stored = kBeginning;
    int64_t next = kBeginning;
    std::optional<RecordMark> last;  // the newest record read
    bool awaited = false;            // `last` is being read again
  };

  std::map<TopicPartition, Position> positions_;
  CollectedBatch batch_;
  size_t bytes_ = 0;
  bool moved_ = false;
};

}  // namespace trawl::storage
