#pragma once
// A consumer of the embedded log: either a member of a group, or a reader of assigned partitions.

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "storage/message_log/embedded_state.h"

namespace trawl::storage {

/// As LogConsumer. `state` outlives it.
class EmbeddedConsumer final : public LogConsumer {
 public:
  static std::unique_ptr<LogConsumer> Subscribe(EmbeddedState& state, const std::string& group,
                                                const std::vector<std::string>& topics,
                                                RebalanceListener& listener);
  static std::unique_ptr<LogConsumer> Assign(EmbeddedState& state,
                                             const std::vector<TopicOffset>& offsets);
  ~EmbeddedConsumer() override { Close(); }

  Result<PollResult> Poll(std::chrono::milliseconds timeout) override;
  Status Pause(std::span<const TopicPartition> partitions) override;
  Status Resume(std::span<const TopicPartition> partitions) override;
  Status RewindToCommitted() override;
  void Close() override;

  /// For producers, who hold the mutex.
  bool BelongsTo(const EmbeddedState& state) const { return &state_ == &state; }
  bool OwnsAll(std::span<const TopicOffset> offsets) const;
  const std::string& group() const { return group_; }

 private:
  using Lock = std::unique_lock<std::mutex>;
  struct Reading {
    int64_t next = 0;
    int64_t end_told = -1;  // the end that was reported last
    bool paused = false;
    std::deque<LogRecord> ahead;  // read, not yet delivered
  };

  explicit EmbeddedConsumer(EmbeddedState& state) : state_(state) {}

  EmbeddedGroup& members() const { return state_.groups.at(group_); }
  /// Does one step of a rebalance, if there is one to do; the listener runs without the lock.
  Result<bool> Rebalance(Lock& lock);
  Status StartAtCommitted();
  /// A record, an end, or neither.
  Result<PollResult> Next();
  Result<PollResult> NextOf(const TopicPartition& at, Reading& reading);
  Status CheckPosition(const TopicPartition& at, Reading& reading) const;
  void SetPaused(std::span<const TopicPartition> partitions, bool paused);

  EmbeddedState& state_;
  std::string group_;                      // empty: assigned
  RebalanceListener* listener_ = nullptr;  // of a group's member
  EmbeddedGroup::MemberId member_ = 0;
  bool closed_ = false;
  std::map<TopicPartition, Reading> readings_;
  TopicPartition last_;  // delivered from; the others come first
};

}  // namespace trawl::storage
