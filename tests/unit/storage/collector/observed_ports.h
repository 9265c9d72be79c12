#pragma once
// The real log and the real store, with a look-in at each step: tests stop, fail or crash the
// collector there.

#include <functional>
#include <memory>
#include <utility>

#include "storage/message_log/message_log.h"
#include "storage/result_store/result_store.h"

namespace trawl::storage {

/// Called before and after every step of the collector; empty hooks do nothing.
struct Hooks {
  std::function<void()> on_poll, after_write, on_trim;
  /// A failure here is what the collector gets instead of a write.
  std::function<Status(const CollectedBatch&)> before_write;
  /// The log keeps what it is told to trim, as Kafka does.
  bool keep_collected = false;
  /// Replaces the partition count of a topic.
  std::function<Result<int>(const std::string& topic, int real)> partition_count;
};

class ObservedConsumer final : public LogConsumer {
 public:
  ObservedConsumer(std::unique_ptr<LogConsumer> real, Hooks& hooks)
      : real_(std::move(real)), hooks_(hooks) {}
  Result<PollResult> Poll(std::chrono::milliseconds timeout) override {
    if (hooks_.on_poll) hooks_.on_poll();
    return real_->Poll(timeout);
  }
  Status Pause(std::span<const TopicPartition> partitions) override {
    return real_->Pause(partitions);
  }
  Status Resume(std::span<const TopicPartition> partitions) override {
    return real_->Resume(partitions);
  }
  Status RewindToCommitted() override { return real_->RewindToCommitted(); }
  void Close() override { real_->Close(); }

 private:
  const std::unique_ptr<LogConsumer> real_;
  Hooks& hooks_;
};

class ObservedLog final : public MessageLog {
 public:
  ObservedLog(MessageLog& real, Hooks& hooks) : real_(real), hooks_(hooks) {}
  Status EnsureTopics(std::span<const TopicSpec> topics) override {
    return real_.EnsureTopics(topics);
  }
  Result<int> PartitionCount(const std::string& topic) override {
    TRAWL_ASSIGN(const int count, real_.PartitionCount(topic));
    return hooks_.partition_count ? hooks_.partition_count(topic, count) : count;
  }
  Result<LogExtent> Extent(const TopicPartition& at) override { return real_.Extent(at); }
  Result<std::string> Identity() override { return real_.Identity(); }
  Result<std::unique_ptr<TransactionalProducer>> OpenProducer(const std::string& id) override {
    return real_.OpenProducer(id);
  }
  Result<std::unique_ptr<LogConsumer>> Subscribe(const std::string& group,
                                                 const std::vector<std::string>& topics,
                                                 RebalanceListener& listener) override {
    return real_.Subscribe(group, topics, listener);
  }
  Result<std::unique_ptr<LogConsumer>> Assign(const std::vector<TopicOffset>& offsets) override {
    TRAWL_ASSIGN(auto consumer, real_.Assign(offsets));
    return std::make_unique<ObservedConsumer>(std::move(consumer), hooks_);
  }
  Status Trim(std::span<const TopicOffset> offsets) override {
    trimmed.assign(offsets.begin(), offsets.end());
    if (hooks_.on_trim) hooks_.on_trim();
    return hooks_.keep_collected ? OkStatus() : real_.Trim(offsets);
  }

  std::vector<TopicOffset> trimmed;  // as the latest Trim said

 private:
  MessageLog& real_;
  Hooks& hooks_;
};

class ObservedStore final : public ResultStore {
 public:
  ObservedStore(ResultStore& real, Hooks& hooks) : real_(real), hooks_(hooks) {}
  Result<std::vector<StoredOffset>> Offsets(const std::string& identity) override {
    return real_.Offsets(identity);
  }
  Result<WriteReport> Write(const CollectedBatch& batch) override {
    if (hooks_.before_write) TRAWL_TRY(hooks_.before_write(batch));
    Result<WriteReport> report = real_.Write(batch);
    if (hooks_.after_write) hooks_.after_write();
    return report;
  }

 private:
  ResultStore& real_;
  Hooks& hooks_;
};

}  // namespace trawl::storage
