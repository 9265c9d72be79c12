#pragma once
// A log whose commits fail when told to, and that tells when a consumer has paused. Everything else
// is the log below it.

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "storage/message_log/message_log.h"

namespace trawl::testing {

/// What becomes of one commit.
struct CommitFate {
  Status status;           // what the caller hears; OK: nothing is wrong
  bool committed = false;  // whether it took effect all the same
};

class FaultyLog final : public storage::MessageLog {
 public:
  /// Decides each commit's fate.
  using Judge = std::function<CommitFate(const storage::Transaction&)>;

  FaultyLog(storage::MessageLog& inner, Judge judge) : inner_(inner), judge_(std::move(judge)) {}

  Status EnsureTopics(std::span<const storage::TopicSpec> topics) override {
    return inner_.EnsureTopics(topics);
  }
  Result<int> PartitionCount(const std::string& topic) override {
    return inner_.PartitionCount(topic);
  }
  Result<storage::LogExtent> Extent(const storage::TopicPartition& at) override {
    return inner_.Extent(at);
  }
  Result<std::string> Identity() override { return inner_.Identity(); }
  Result<std::unique_ptr<storage::TransactionalProducer>> OpenProducer(
      const std::string& transactional_id) override {
    if (refusals_ > 0) {
      --refusals_;
      return Error(Code::kUnavailable, "fault: no producer yet");
    }
    TRAWL_ASSIGN(auto producer, inner_.OpenProducer(transactional_id));
    return std::make_unique<Producer>(std::move(producer), judge_);
  }
  Result<std::unique_ptr<storage::LogConsumer>> Subscribe(
      const std::string& group, const std::vector<std::string>& topics,
      storage::RebalanceListener& listener) override {
    TRAWL_ASSIGN(auto consumer, inner_.Subscribe(group, topics, listener));
    return std::make_unique<Consumer>(*this, std::move(consumer));
  }
  Result<std::unique_ptr<storage::LogConsumer>> Assign(
      const std::vector<storage::TopicOffset>& offsets) override {
    return inner_.Assign(offsets);
  }

  /// The next `count` producers cannot be opened.
  void RefuseProducers(int count) { refusals_ = count; }
  int refusals() const { return refusals_; }

  /// Returns when a consumer has paused; says how many records consumers had got by then.
  size_t WaitForPause() {
    std::unique_lock lock(mutex_);
    paused_.wait(lock, [this] { return delivered_at_pause_ > 0; });
    return delivered_at_pause_;
  }

 private:
  class Consumer final : public storage::LogConsumer {
   public:
    Consumer(FaultyLog& log, std::unique_ptr<LogConsumer> inner)
        : log_(log), inner_(std::move(inner)) {}

    Result<storage::PollResult> Poll(std::chrono::milliseconds timeout) override {
      auto polled = inner_->Poll(timeout);
      const std::lock_guard lock(log_.mutex_);
      if (polled && polled->record) ++log_.delivered_;
      return polled;
    }
    Status Pause(std::span<const storage::TopicPartition> partitions) override {
      const Status paused = inner_->Pause(partitions);
      const std::lock_guard lock(log_.mutex_);
      log_.delivered_at_pause_ = log_.delivered_;
      log_.paused_.notify_all();
      return paused;
    }
    Status Resume(std::span<const storage::TopicPartition> partitions) override {
      return inner_->Resume(partitions);
    }
    Status RewindToCommitted() override { return inner_->RewindToCommitted(); }
    void Close() override { inner_->Close(); }

    LogConsumer* inner() const { return inner_.get(); }

   private:
    FaultyLog& log_;
    const std::unique_ptr<LogConsumer> inner_;
  };

  class Producer final : public storage::TransactionalProducer {
   public:
    Producer(std::unique_ptr<TransactionalProducer> inner, const Judge& judge)
        : inner_(std::move(inner)), judge_(judge) {}

    Status Commit(const storage::Transaction& given) override {
      CommitFate fate = judge_(given);
      storage::Transaction transaction = given;
      if (given.consumer != nullptr)
        transaction.consumer = static_cast<Consumer*>(given.consumer)->inner();
      if (fate.status.ok()) return inner_->Commit(transaction);
      if (fate.committed) {
        const Status status = inner_->Commit(transaction);
        if (!status.ok()) return status;
      }
      return fate.status;
    }

   private:
    const std::unique_ptr<TransactionalProducer> inner_;
    const Judge& judge_;
  };

  storage::MessageLog& inner_;
  const Judge judge_;
  std::atomic<int> refusals_ = 0;
  std::mutex mutex_;  // guards all below
  std::condition_variable paused_;
  size_t delivered_ = 0, delivered_at_pause_ = 0;  // records
};

}  // namespace trawl::testing
