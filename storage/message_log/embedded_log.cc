#include "storage/message_log/embedded_log.h"

#include "storage/message_log/embedded_consumer.h"
#include "storage/message_log/embedded_state.h"

namespace trawl::storage {
namespace {

class EmbeddedProducer final : public TransactionalProducer {
 public:
  EmbeddedProducer(EmbeddedState& state, std::string transactional_id)
      : state_(state), transactional_id_(std::move(transactional_id)) {
    const std::lock_guard lock(state.mutex);
    epoch_ = ++state.epochs[transactional_id_];
  }

  Status Commit(const Transaction& transaction) override {
    const std::lock_guard lock(state_.mutex);
    if (state_.epochs.at(transactional_id_) != epoch_) {
      return Error(Code::kFailedPrecondition, "another producer has taken over transactional id {}",
                   transactional_id_);
    }
    if (transaction.records.empty() && transaction.offsets.empty()) return OkStatus();
    TRAWL_ASSIGN(const std::string group, GroupOf(transaction));
    if (Status done = state_.store->Commit(transaction.records, group, transaction.offsets);
        !done.ok()) {
      return Annotate(done, "committing as {}", transactional_id_);
    }
    state_.changed.notify_all();
    return OkStatus();
  }

 private:
  /// Empty when the transaction has no offsets.
  Result<std::string> GroupOf(const Transaction& transaction) const {
    if (transaction.offsets.empty()) return std::string();
    const auto* consumer = dynamic_cast<const EmbeddedConsumer*>(transaction.consumer);
    if (consumer == nullptr || !consumer->BelongsTo(state_)) {
      return Error(Code::kInvalidArgument, "offsets without a consumer of this log");
    }
    if (!consumer->OwnsAll(transaction.offsets)) {
      return Error(Code::kAborted, "the partitions are not assigned to this member of {} any more",
                   consumer->group());
    }
    return consumer->group();
  }

  EmbeddedState& state_;
  const std::string transactional_id_;
  uint64_t epoch_ = 0;
};

class EmbeddedLog final : public MessageLog {
 public:
  explicit EmbeddedLog(std::unique_ptr<EmbeddedStore> store) { state_.store = std::move(store); }

  Status EnsureTopics(std::span<const TopicSpec> topics) override {
    const std::lock_guard lock(state_.mutex);
    return state_.store->CreateTopics(topics);
  }

  Result<int> PartitionCount(const std::string& topic) override {
    const std::lock_guard lock(state_.mutex);
    const int count = state_.store->PartitionCount(topic);
    if (count == 0) return Error(Code::kNotFound, "there is no topic {}", topic);
    return count;
  }

  Result<LogExtent> Extent(const TopicPartition& at) override {
    const std::lock_guard lock(state_.mutex);
    const EmbeddedStore::Extent* extent = state_.store->Find(at);
    if (extent == nullptr)
      return Error(Code::kNotFound, "there is no partition {}/{}", at.topic, at.partition);
    return LogExtent{extent->first, extent->next};
  }

  Result<std::string> Identity() override {
    const std::lock_guard lock(state_.mutex);
    return state_.store->identity();
  }

  Result<std::unique_ptr<TransactionalProducer>> OpenProducer(
      const std::string& transactional_id) override {
    return std::make_unique<EmbeddedProducer>(state_, transactional_id);
  }

  Result<std::unique_ptr<LogConsumer>> Subscribe(const std::string& group,
                                                 const std::vector<std::string>& topics,
                                                 RebalanceListener& listener) override {
    for (const std::string& topic : topics) {
      if (auto known = PartitionCount(topic); !known) return tl::unexpected(known.error());
    }
    return EmbeddedConsumer::Subscribe(state_, group, topics, listener);
  }

  Result<std::unique_ptr<LogConsumer>> Assign(const std::vector<TopicOffset>& offsets) override {
    for (const TopicOffset& from : offsets) {
      TRAWL_ASSIGN(const int partitions, PartitionCount(from.at.topic));
      if (from.at.partition >= 0 && from.at.partition < partitions) continue;
      return Error(Code::kFailedPrecondition,
                   "topic {} has {} partitions, there is no partition {}", from.at.topic,
                   partitions, from.at.partition);
    }
    return EmbeddedConsumer::Assign(state_, offsets);
  }

  Result<std::vector<TopicOffset>> CommittedOffsets(const std::string& group,
                                                    const std::string& topic) override {
    TRAWL_ASSIGN(const int partitions, PartitionCount(topic));
    const std::lock_guard lock(state_.mutex);
    std::vector<TopicOffset> offsets;
    for (int32_t partition = 0; partition < partitions; ++partition) {
      const TopicPartition at{topic, partition};
      TRAWL_ASSIGN(const std::optional<int64_t> next, state_.store->Committed(group, at));
      offsets.push_back({at, next.value_or(kBeginning)});
    }
    return offsets;
  }

  Status Trim(std::span<const TopicOffset> offsets) override {
    const std::lock_guard lock(state_.mutex);
    return state_.store->Trim(offsets);
  }

 private:
  EmbeddedState state_;
};

}  // namespace

Result<std::unique_ptr<MessageLog>> OpenEmbeddedLog(const std::string& path,
                                                    const EmbeddedLogOptions& options) {
  TRAWL_ASSIGN(auto store, EmbeddedStore::Open(path, options));
  return std::make_unique<EmbeddedLog>(std::move(store));
}

}  // namespace trawl::storage
