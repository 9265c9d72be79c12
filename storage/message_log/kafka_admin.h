#pragma once
// Topics and identity of a Kafka cluster: everything that needs neither a group nor a transaction.

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>

#include "config/settings.h"
#include "storage/message_log/kafka_client.h"
#include "storage/message_log/message_log.h"

namespace trawl::storage {

/// Thread-safe. Each call takes 10 s at most, and is kUnavailable when no broker answers in that
/// time.
class KafkaAdmin {
 public:
  /// Connects.
  static Result<std::unique_ptr<KafkaAdmin>> Open(const Settings& settings);

  Result<std::string> ClusterId();
  /// Errors: kNotFound.
  Result<int> PartitionCount(const std::string& topic);
  /// Errors: kNotFound.
  Result<LogExtent> Extent(const TopicPartition& at);
  /// As MessageLog::EnsureTopics. Returns when every partition has a leader.
  Status EnsureTopics(std::span<const TopicSpec> topics);
  /// "reaching Kafka at HOSTS: <what the connection complained about, else `fallback`>".
  Status Unreachable(const std::string& fallback) const;

 private:
  using Deadline = std::chrono::steady_clock::time_point;
  struct TopicState {
    int partitions = 0;  // 0: no such topic
    bool ready = false;  // each partition has a leader
  };

  KafkaAdmin(std::string brokers, std::shared_ptr<KafkaClient> client)
      : brokers_(std::move(brokers)), client_(std::move(client)) {}

  Result<TopicState> Describe(const std::string& topic, Deadline deadline);
  /// As Describe, but a topic that one broker has just told of is waited for: another broker, which
  /// may be asked next, learns of it a moment later.
  Result<TopicState> Find(const std::string& topic, Deadline deadline);
  bool IsNew(const std::string& topic, Deadline now);
  Status Create(std::span<const TopicSpec> topics, Deadline deadline);
  Status WaitUntilReady(const std::string& topic, Deadline deadline);

  const std::string brokers_;
  const std::shared_ptr<KafkaClient> client_;
  std::mutex mutex_;
  std::map<std::string, Deadline> ensured_at_;
};

}  // namespace trawl::storage
