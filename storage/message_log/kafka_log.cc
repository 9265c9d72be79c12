#include "storage/message_log/kafka_log.h"

#include "storage/message_log/kafka_admin.h"
#include "storage/message_log/kafka_config.h"
#include "storage/message_log/kafka_consumer.h"
#include "storage/message_log/kafka_counters.h"
#include "storage/message_log/kafka_producer.h"

namespace trawl::storage {
namespace {

class KafkaLog final : public MessageLog {
 public:
  KafkaLog(const Settings& settings, std::unique_ptr<KafkaAdmin> admin)
      : settings_(settings), admin_(std::move(admin)) {}

  Status EnsureTopics(std::span<const TopicSpec> topics) override {
    return admin_->EnsureTopics(topics);
  }
  Result<int> PartitionCount(const std::string& topic) override {
    return admin_->PartitionCount(topic);
  }
  Result<LogExtent> Extent(const TopicPartition& at) override { return admin_->Extent(at); }
  Result<std::string> Identity() override { return admin_->ClusterId(); }

  Result<std::unique_ptr<TransactionalProducer>> OpenProducer(
      const std::string& transactional_id) override {
    return KafkaProducer::Open(settings_, transactional_id, *admin_, counters_);
  }

  Result<std::unique_ptr<LogConsumer>> Subscribe(const std::string& group,
                                                 const std::vector<std::string>& topics,
                                                 RebalanceListener& listener) override {
    for (const std::string& topic : topics) {
      if (auto known = admin_->PartitionCount(topic); !known) return tl::unexpected(known.error());
    }
    return KafkaConsumer::Subscribe(settings_, group, topics, listener, counters_);
  }

  Result<std::unique_ptr<LogConsumer>> Assign(const std::vector<TopicOffset>& offsets) override {
    for (const TopicOffset& from : offsets) {
      TRAWL_ASSIGN(const int partitions, admin_->PartitionCount(from.at.topic));
      if (from.at.partition >= 0 && from.at.partition < partitions) continue;
      return Error(Code::kFailedPrecondition,
                   "topic {} has {} partitions, there is no partition {}", from.at.topic,
                   partitions, from.at.partition);
    }
    return KafkaConsumer::Assign(settings_, offsets, counters_);
  }

  Result<std::vector<TopicOffset>> CommittedOffsets(const std::string& group,
                                                    const std::string& topic) override {
    TRAWL_ASSIGN(const int partitions, admin_->PartitionCount(topic));
    return KafkaConsumer::CommittedOffsets(settings_, group, topic, partitions);
  }

  LogCounters Counters() const override {
    return {.producers_rebuilt = counters_.producers_rebuilt,
            .ambiguous_commits = counters_.ambiguous_commits,
            .consumers_rejoined = counters_.consumers_rejoined,
            .stale_records_dropped = counters_.stale_records_dropped};
  }

 private:
  const Settings settings_;
  const std::unique_ptr<KafkaAdmin> admin_;
  KafkaCounters counters_;
};

/// Every role's settings are checked before anything is connected.
Status CheckSettings(const Settings& settings) {
  if (settings.brokers.empty()) {
    return Error(Code::kInvalidArgument, "no Kafka brokers are set (brokers: HOST:PORT,…)");
  }
  if (auto conf = GroupConsumerConf(settings, settings.group); !conf) return conf.error();
  if (auto conf = ProducerConf(settings, "trawl"); !conf) return conf.error();
  return OkStatus();
}

}  // namespace

Result<std::unique_ptr<MessageLog>> OpenKafkaLog(const Settings& settings) {
  TRAWL_TRY(CheckSettings(settings));
  TRAWL_ASSIGN(auto admin, KafkaAdmin::Open(settings));
  return std::make_unique<KafkaLog>(settings, std::move(admin));
}

}  // namespace trawl::storage
