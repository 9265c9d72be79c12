#pragma once
// A consumer on librdkafka: either a member of a group, or a reader of assigned partitions.
//
// librdkafka 2.0 gives three reasons for the care here. Resuming a partition that is not paused
// repeats records
// (#4636): we keep our own set of paused ones. Batch polling loses records around a seek (#4208):
// we poll one by one. A seek can go wrong without saying so: every partition remembers the next
// offset it expects and drops what lies behind it, and a rewind that leaves any doubt leaves the
// group and joins it again.

#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "config/settings.h"
#include "storage/message_log/kafka_client.h"
#include "storage/message_log/kafka_counters.h"
#include "storage/message_log/message_log.h"

namespace trawl::storage {

/// As LogConsumer. GroupMetadataFor may be called from any thread.
class KafkaConsumer final : public LogConsumer {
 public:
  /// `settings`, `listener` and `counters` outlive the consumer.
  static Result<std::unique_ptr<LogConsumer>> Subscribe(const Settings& settings,
                                                        const std::string& group,
                                                        const std::vector<std::string>& topics,
                                                        RebalanceListener& listener,
                                                        KafkaCounters& counters);
  static Result<std::unique_ptr<LogConsumer>> Assign(const Settings& settings,
                                                     const std::vector<TopicOffset>& offsets,
                                                     KafkaCounters& counters);
  /// As MessageLog::CommittedOffsets, without joining the group.
  static Result<std::vector<TopicOffset>> CommittedOffsets(const Settings& settings,
                                                           const std::string& group,
                                                           const std::string& topic,
                                                           int partitions);
  ~KafkaConsumer() override { Close(); }

  Result<PollResult> Poll(std::chrono::milliseconds timeout) override;
  Status Pause(std::span<const TopicPartition> partitions) override;
  Status Resume(std::span<const TopicPartition> partitions) override;
  Status RewindToCommitted() override;
  void Close() override;

  /// What a transaction needs to commit `offsets` for the group, as of now.
  /// Errors: kAborted when this member does not own all of the partitions any more.
  Result<GroupMetadata> GroupMetadataFor(std::span<const TopicOffset> offsets);

 private:
  KafkaConsumer(const Settings& settings, KafkaCounters& counters)
      : settings_(settings), counters_(counters) {}

  Status Connect(Result<KafkaConf> conf);
  Status Join();
  Status Rejoin();
  Status SeekToCommitted();
  void Leave();
  void OnRebalance(rd_kafka_resp_err_t event, rd_kafka_topic_partition_list_t* partitions);
  void TakeAssignment(rd_kafka_topic_partition_list_t* partitions);
  void GiveUpAssignment();
  /// Nothing: the message does not concern the caller, poll on.
  std::optional<Result<PollResult>> Interpret(const rd_kafka_message_t& message);
  std::optional<Result<PollResult>> InterpretError(const rd_kafka_message_t& message);
  Result<PollResult> Quiet();
  Status SetPaused(std::span<const TopicPartition> partitions, bool paused);
  std::shared_ptr<KafkaClient> client();
  std::vector<TopicPartition> Owned();

  const Settings& settings_;
  KafkaCounters& counters_;
  std::string group_;                      // empty: assigned
  std::vector<std::string> topics_;        // of a group's member
  RebalanceListener* listener_ = nullptr;  // of a group's member

  // The polling thread's own.
  std::set<TopicPartition> paused_;
  std::map<TopicPartition, int64_t>
      expected_;  // the next offset, since the assignment or the last rewind
  std::chrono::steady_clock::time_point joined_at_;
  bool rejoining_ = false;
  bool closed_ = false;

  // Written by the polling thread, read by producers' threads.
  std::mutex mutex_;  // guards the rest
  std::shared_ptr<KafkaClient> client_;
  std::set<TopicPartition> owned_;
  uint64_t assignments_ = 0;  // changes with each assignment and its end
};

}  // namespace trawl::storage
