// One thread: poll, buffer, write, again. Offsets live in the result store alone, so whatever kills
// the collector between two steps, the next one reads on behind the last row that was committed.
#include "storage/collector/collector.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <set>

#include "ops/telemetry/log.h"
#include "storage/collector/buffer.h"
#include "storage/topics.h"

namespace trawl::storage {
namespace {

using std::chrono::milliseconds;
using TimePoint = std::chrono::steady_clock::time_point;

constexpr milliseconds kPollTimeout{100};  // and the most that a stop signal waits
constexpr milliseconds kFirstRetryDelay{100};
constexpr milliseconds kLongestRetryDelay{10'000};
constexpr milliseconds kPartitionCheckInterval{30'000};
constexpr size_t kMaxBufferBytes =
    16 << 20;  // of records as they came; about three times that in memory

/// A full disk may be cleared and a lock released; anything else needs a person.
bool CanBeWaitedOut(Code code) { return IsRetryable(code) || code == Code::kResourceExhausted; }

Result<std::vector<TopicPartition>> FindPartitions(MessageLog& log) {
  std::vector<TopicPartition> partitions;
  for (const char* topic : {kJobsTopic, kResultsTopic}) {
    TRAWL_ASSIGN(const int count, log.PartitionCount(topic));
    for (int32_t partition = 0; partition < count; ++partition)
      partitions.push_back({topic, partition});
  }
  return partitions;
}

Status StatusOf(const Result<bool>& result) { return result ? OkStatus() : result.error(); }

/// Refuses a log that is not the one, or not all of the one, that the database was filled from.
Status CheckSameLog(const std::vector<StoredOffset>& stored, MessageLog& log,
                    CollectBuffer& buffer) {
  for (const auto& [at, offset, last] : stored) {
    TRAWL_ASSIGN(const LogExtent extent, log.Extent(at));
    if (offset > extent.end) {
      return Error(Code::kFailedPrecondition,
                   "the results database has read {}/{} up to offset {}, but it ends at {}: the "
                   "topic was deleted and made anew, or cut short",
                   at.topic, at.partition, offset, extent.end);
    }
    if (offset < extent.first) {
      return Error(Code::kFailedPrecondition,
                   "offsets {} to {} of {}/{} are gone from the log before the results database "
                   "has read them: its retention is too short",
                   offset, extent.first - 1, at.topic, at.partition);
    }
    buffer.AwaitKnown(at, extent.first);
  }
  return OkStatus();
}

class Collector {
 public:
  Collector(const CollectorOptions& options, StopSignals stop, CollectBuffer buffer,
            std::vector<TopicPartition> partitions, std::unique_ptr<LogConsumer> consumer)
      : options_(options),
        stop_(std::move(stop)),
        buffer_(std::move(buffer)),
        partitions_(std::move(partitions)),
        consumer_(std::move(consumer)) {}

  Status Run() {
    next_partition_check_ = Now() + kPartitionCheckInterval;
    while (refused_.ok() && !stop_.drain.stop_requested() && !stop_.abort.stop_requested()) {
      TRAWL_TRY(PollOnce(PollTimeout()));
      if (IsDue()) TRAWL_TRY(Write());
      if (!told_caught_up_ && IsCaughtUp()) Report();
      if (Now() >= next_partition_check_) TRAWL_TRY(FollowNewPartitions());
    }
    // Aborted: what is buffered is still in the log.
    if (stop_.abort.stop_requested()) return {Code::kCancelled, "stopped"};
    TRAWL_TRY(Write());
    return refused_;
  }

 private:
  TimePoint Now() const { return options_.clock.Now(); }

  /// No longer than until the buffer is due.
  milliseconds PollTimeout() const {
    if (buffer_.empty()) return kPollTimeout;
    const auto left = std::chrono::ceil<milliseconds>(DueAt() - Now());
    return std::clamp(left, milliseconds(0), kPollTimeout);
  }

  Status PollOnce(milliseconds timeout) {
    const Result<PollResult> polled = consumer_->Poll(timeout);
    if (!polled) {
      if (!IsRetryable(polled.error().code())) return Annotate(polled.error(), "reading the log");
      ops::Log(ops::LogLevel::kWarn, "the log cannot be read now",
               {{"reason", polled.error().message()}});
      options_.clock.SleepFor(kPollTimeout, stop_.drain);
      return OkStatus();
    }
    if (polled->end_of) return ReachEnd(*polled->end_of, polled->end_offset);
    if (!polled->record || !refused_.ok()) return OkStatus();
    if (buffer_.AwaitsKnown(polled->record->at)) {
      TRAWL_ASSIGN(const bool known, buffer_.CheckKnown(polled->record->at, &*polled->record));
      if (known) return OkStatus();
    }
    Take(*polled->record);
    return OkStatus();
  }

  Status ReachEnd(const TopicPartition& at, int64_t offset) {
    if (buffer_.AwaitsKnown(at)) TRAWL_TRY(StatusOf(buffer_.CheckKnown(at, nullptr)));
    if (buffer_.empty()) first_buffered_ = Now();
    buffer_.ReachedEnd(at, offset);
    at_end_.insert(at);
    return OkStatus();
  }

  void Take(const LogRecord& record) {
    if (buffer_.empty()) first_buffered_ = Now();
    at_end_.erase(record.at);
    told_caught_up_ = false;
    const Status taken = buffer_.Add(record);
    if (taken.ok()) return;
    if (taken.code() == Code::kUnimplemented) {
      // Skipping it would lose a row that a newer collector can read. What came before it is ours.
      refused_ = Annotate(taken, "reading {}/{} at offset {}", record.at.topic, record.at.partition,
                          record.offset);
      return;
    }
    ++stats_.malformed;
    ops::Log(ops::LogLevel::kWarn, "malformed record skipped",
             {{"topic", record.at.topic},
              {"partition", record.at.partition},
              {"offset", record.offset},
              {"reason", taken.message()}});
    buffer_.Skip(record);
  }

  /// While more is coming, rows gather into large transactions; when nothing is, they need not wait
  /// as long.
  TimePoint DueAt() const {
    const milliseconds interval(options_.settings.collect_interval_ms);
    return first_buffered_ + (AtEnd() ? interval / 10 : interval);
  }

  bool IsDue() const {
    if (buffer_.empty()) return false;
    return buffer_.records() >= options_.settings.collect_rows ||
           buffer_.bytes() >= kMaxBufferBytes || Now() >= DueAt();
  }

  bool AtEnd() const { return at_end_.size() == partitions_.size(); }

  /// Writes what is buffered, however long a full disk or a lock makes it wait; a stop signal ends
  /// the wait, and nothing is lost: the offsets have not moved.
  Status Write() {
    if (buffer_.empty()) return OkStatus();
    milliseconds delay = kFirstRetryDelay;
    while (true) {
      const Result<WriteReport> report = options_.results.Write(buffer_.Batch());
      if (report) return Written(*report);
      if (!CanBeWaitedOut(report.error().code()) || stop_.drain.stop_requested())
        return report.error();
      ops::Log(ops::LogLevel::kError, "results wait to be written",
               {{"reason", report.error().message()}, {"rows", buffer_.records()}});
      TRAWL_TRY(WaitPolling(delay));
      delay = std::min(delay * 2, kLongestRetryDelay);
    }
  }

  Status Written(const WriteReport& report) {
    buffer_.MarkWritten();
    ++stats_.transactions;
    stats_.rows += report.rows_added + report.rows_replaced;
    stats_.duplicates_suppressed += report.duplicates_suppressed;
    if (const Status trimmed = options_.log.Trim(TrimOffsets()); !trimmed.ok()) {
      ops::Log(ops::LogLevel::kWarn, "the log keeps what is written already",
               {{"reason", trimmed.message()}});
    }
    Report();
    return OkStatus();
  }

  /// The jobs topic is compacted and the producers' memory: it is never trimmed.
  std::vector<TopicOffset> TrimOffsets() const {
    std::vector<TopicOffset> offsets = buffer_.Stored();
    std::erase_if(offsets,
                  [](const TopicOffset& offset) { return offset.at.topic != kResultsTopic; });
    return offsets;
  }

  /// A consumer has to be polled, also while there is no room for more.
  Status WaitPolling(milliseconds delay) {
    TRAWL_TRY(consumer_->Pause(partitions_));
    const TimePoint until = Now() + delay;
    while (Now() < until && !stop_.drain.stop_requested())
      TRAWL_TRY(PollOnce(std::min(kPollTimeout, delay)));
    return consumer_->Resume(partitions_);
  }

  bool IsCaughtUp() const { return AtEnd() && buffer_.empty(); }

  void Report() {
    told_caught_up_ = IsCaughtUp();
    if (options_.on_progress) options_.on_progress(stats_, told_caught_up_);
  }

  /// Somebody may add partitions to the results topic; workers would fill them at once.
  Status FollowNewPartitions() {
    next_partition_check_ = Now() + kPartitionCheckInterval;
    auto partitions = FindPartitions(options_.log);
    if (!partitions)
      return IsRetryable(partitions.error().code()) ? OkStatus() : partitions.error();
    if (partitions->size() <= partitions_.size()) return OkStatus();
    for (const TopicPartition& partition : *partitions) buffer_.AddPartition(partition);
    partitions_ = std::move(*partitions);
    at_end_.clear();
    told_caught_up_ = false;
    consumer_->Close();
    TRAWL_ASSIGN(consumer_, options_.log.Assign(buffer_.NextReads()));
    return OkStatus();
  }

  const CollectorOptions& options_;
  const StopSignals stop_;
  CollectBuffer buffer_;
  std::vector<TopicPartition> partitions_;
  std::unique_ptr<LogConsumer> consumer_;
  CollectorStats stats_;
  std::set<TopicPartition> at_end_;  // partitions whose end was seen after their last record
  bool told_caught_up_ = false;
  Status refused_;  // a record from a newer version: nothing is taken any more
  TimePoint first_buffered_{};
  TimePoint next_partition_check_{};
};

Result<std::unique_ptr<Collector>> Open(const CollectorOptions& options,
                                        const std::vector<StoredOffset>& stored,
                                        const StopSignals& stop) {
  TRAWL_ASSIGN(std::vector<TopicPartition> partitions, FindPartitions(options.log));
  for (const StoredOffset& offset : stored) {
    if (std::find(partitions.begin(), partitions.end(), offset.at) != partitions.end()) continue;
    return Error(Code::kFailedPrecondition,
                 "the results database has read {}/{}, which the log does not have",
                 offset.at.topic, offset.at.partition);
  }
  CollectBuffer buffer(partitions, stored);
  TRAWL_TRY(CheckSameLog(stored, options.log, buffer));
  TRAWL_ASSIGN(std::unique_ptr<LogConsumer> consumer, options.log.Assign(buffer.NextReads()));
  return std::make_unique<Collector>(options, stop, std::move(buffer), std::move(partitions),
                                     std::move(consumer));
}

}  // namespace

Status RunCollector(const CollectorOptions& options, StopSignals stop) {
  TRAWL_ASSIGN(const std::string identity, options.log.Identity());
  TRAWL_ASSIGN(const std::vector<StoredOffset> stored, options.results.Offsets(identity));
  std::unique_ptr<Collector> collector;
  const auto open = [&]() -> Status {
    TRAWL_ASSIGN(collector, Open(options, stored, stop));
    return OkStatus();
  };
  const Status opened = OpenPatiently("the collector", open, stop.drain, options.clock);
  if (opened.code() == Code::kCancelled && !stop.abort.stop_requested()) return OkStatus();
  TRAWL_TRY(opened);
  return collector->Run();
}

}  // namespace trawl::storage
