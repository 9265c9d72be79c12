#pragma once
// The message_log port: partitioned, ordered, replayable topics with groups and transactions. Two
// adapters: Kafka (fleet) and an embedded log in SQLite (`trawl run`). One conformance suite runs
// on both.
//
// Visibility: every consumer reads committed records only. Offsets are "the next one to read" and
// may have gaps (Kafka's control records), but rise strictly within a partition.

#include <chrono>
#include <compare>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "config/clock.h"
#include "config/status.h"

namespace trawl::storage {

struct TopicPartition {
  std::string topic;
  int32_t partition = 0;
  friend auto operator<=>(const TopicPartition&, const TopicPartition&) = default;
};

inline constexpr int64_t kBeginning = -2;  // as an offset: the oldest record there is

/// Key and value of one record together, at most. Far above what any record of Trawl needs.
inline constexpr size_t kMaxRecordBytes = 8U << 20;

struct TopicOffset {
  TopicPartition at;
  int64_t offset = kBeginning;  // the next record to read
};

struct TopicSpec {
  std::string name;
  int partitions = 1;
  int replication = 1;
  bool compacted = false;     // keep the newest record of each key, for ever
  int64_t retention_ms = -1;  // -1: for ever
};

struct OutgoingRecord {
  std::string topic;
  std::optional<int32_t> partition;  // none: by hash of the key
  std::string key;
  std::string value;
};

struct LogRecord {
  TopicPartition at;
  int64_t offset = 0;
  std::string key;
  std::string value;
  int64_t timestamp_ms = 0;
};

/// What one Poll saw. At most one of the two is set; neither: nothing came in time.
struct PollResult {
  std::optional<LogRecord> record;
  std::optional<TopicPartition> end_of;  // this partition has no further committed record for now
  int64_t end_offset = 0;                // with end_of: nothing below it is left to read
};

/// Called inside Poll or Close, on the polling thread. Must return within 10 s.
class RebalanceListener {
 public:
  virtual ~RebalanceListener() = default;
  virtual void OnAssigned(std::span<const TopicPartition> partitions) = 0;
  /// Last chance to commit what is finished; the partitions are still ours.
  virtual void OnRevoked(std::span<const TopicPartition> partitions) = 0;
  /// The partitions are somebody else's already: forget their work.
  virtual void OnLost(std::span<const TopicPartition> partitions) = 0;
};

/// Not thread-safe: one thread polls. Producers on other threads may name it in a Transaction.
class LogConsumer {
 public:
  virtual ~LogConsumer() = default;
  /// Waits up to `timeout`. Errors: kUnavailable (try again later), kFailedPrecondition (offset out
  /// of range, topic gone: a person has to look), kPermissionDenied, kDataLoss. Must be called at
  /// least once a second, paused or not.
  virtual Result<PollResult> Poll(std::chrono::milliseconds timeout) = 0;
  /// Stops (starts) delivery for partitions that are assigned. Idempotent.
  virtual Status Pause(std::span<const TopicPartition> partitions) = 0;
  virtual Status Resume(std::span<const TopicPartition> partitions) = 0;
  /// Group consumers: go back to the committed offsets of all assigned partitions, which may also
  /// mean leaving and joining again (OnLost, and later OnAssigned, say so). Nothing polled before
  /// counts any more. Paused partitions stay paused unless they are lost.
  virtual Status RewindToCommitted() = 0;
  /// Leaves the group (OnRevoked runs first). Bounded to 10 s.
  virtual void Close() = 0;
};

/// Which offsets a partition holds, those of open transactions, too: [first, end). What was below
/// `first` is gone.
struct LogExtent {
  int64_t first = 0;
  int64_t end = 0;
};

/// All or nothing: the records become visible and the group's offsets advance, or neither.
struct Transaction {
  std::vector<OutgoingRecord> records{};
  LogConsumer* consumer = nullptr;     // whose group the offsets belong to; null: no offsets
  std::vector<TopicOffset> offsets{};  // last processed + 1
  /// For callers that others wait for: when it is not committed after this time it is given up,
  /// and Commit returns within four seconds more. None: the log's own limit.
  std::optional<std::chrono::milliseconds> patience{};
};

/// Not thread-safe. Opening a producer fences the one that had the same transactional id before.
class TransactionalProducer {
 public:
  virtual ~TransactionalProducer() = default;
  /// Errors:
  ///   kAborted             not committed, or nobody can tell. The producer has been rebuilt;
  ///                        rewind (or read again what is committed) and do it again.
  ///   kUnavailable         the log was out of reach for longer than the transaction may take. As
  ///                        kAborted.
  ///   kInvalidArgument     a record can never be accepted (too large, no such partition). Nothing
  ///                        was written.
  ///   kFailedPrecondition  fenced: another process owns this transactional id. Stop.
  ///   kNotFound            there is no such topic. Nothing was written.
  ///   kPermissionDenied, kResourceExhausted (the disk is full): nothing was written, and a person
  ///                        has to look.
  ///   kInternal            not committed, and rebuilding does not help: five fatal failures within
  ///                        five minutes. Stop.
  virtual Status Commit(const Transaction& transaction) = 0;
};

/// What an adapter healed by itself since it was opened. Only grows; for metrics.
struct LogCounters {
  uint64_t producers_rebuilt = 0;      // a producer was replaced, after a failure or out of caution
  uint64_t ambiguous_commits = 0;      // went through only after signs of trouble, or may have
  uint64_t consumers_rejoined = 0;     // a rewind left the group and joined again
  uint64_t stale_records_dropped = 0;  // deliveries behind the consumer's own position
};

/// Thread-safe factory of consumers and producers; outlives them.
class MessageLog {
 public:
  virtual ~MessageLog() = default;
  /// Creates what is missing. An existing topic keeps its partitions; fewer than asked for is no
  /// error.
  virtual Status EnsureTopics(std::span<const TopicSpec> topics) = 0;
  /// Errors: kNotFound when there is no such topic.
  virtual Result<int> PartitionCount(const std::string& topic) = 0;
  /// Errors: kNotFound when there is no such partition.
  virtual Result<LogExtent> Extent(const TopicPartition& at) = 0;
  /// Names this log for good: a Kafka cluster id, an embedded log's uuid.
  virtual Result<std::string> Identity() = 0;

  virtual Result<std::unique_ptr<TransactionalProducer>> OpenProducer(
      const std::string& transactional_id) = 0;
  /// Joins `group`; starts at its committed offsets, else at the beginning. `listener` outlives the
  /// consumer.
  virtual Result<std::unique_ptr<LogConsumer>> Subscribe(const std::string& group,
                                                         const std::vector<std::string>& topics,
                                                         RebalanceListener& listener) = 0;
  /// Reads exactly these partitions from exactly these offsets; no group, commits nothing. An
  /// offset that no longer exists is kFailedPrecondition from Poll, never a silent reset.
  virtual Result<std::unique_ptr<LogConsumer>> Assign(const std::vector<TopicOffset>& offsets) = 0;

  /// Where the group would read on in each partition of `topic`, kBeginning where it has committed
  /// nothing. What lies below is settled: its transaction has ended. Errors: kNotFound when there
  /// is no such topic; kUnimplemented for a log without groups.
  virtual Result<std::vector<TopicOffset>> CommittedOffsets(const std::string& /*group*/,
                                                            const std::string& /*topic*/) {
    return Error(Code::kUnimplemented, "this log has no groups");
  }

  /// A hint that nobody needs the records before these offsets. Kafka ignores it (retention does
  /// it); the embedded log deletes them.
  virtual Status Trim(std::span<const TopicOffset> /*offsets*/) { return OkStatus(); }

  virtual LogCounters Counters() const { return {}; }
};

/// For whoever starts. The log has been reached by then, but who leads a part of it may have died a
/// moment ago; others take over within half a minute. Calls `open` again, a second later, when it
/// fails with what may pass (IsRetryable), for a minute; then that is the answer. Says in the
/// process's log that it waits for `what`. kCancelled at `stop`.
Status OpenPatiently(std::string_view what, const std::function<Status()>& open,
                     std::stop_token stop, Clock& clock = SystemClock());

/// Reads a topic to its end and calls `visit` with each record, oldest first (so the
/// newest of a key wins). Sees every transaction that was committed before a producer with the same
/// transactional id was opened: open yours first, then read. Where somebody else's open transaction
/// hides them, waits for its end, which is the broker's to bring about when its owner has died.
/// Says so in the process's log after a few seconds. Errors: kNotFound when there is no such topic;
/// kDeadlineExceeded when nothing arrives for 30 s, or a transaction is open for longer than
/// brokers allow; kCancelled within a second of `stop`.
Status ReadToEnd(MessageLog& log, const std::string& topic,
                 const std::function<void(const LogRecord&)>& visit, std::stop_token stop = {},
                 const Clock& clock = SystemClock());

}  // namespace trawl::storage
