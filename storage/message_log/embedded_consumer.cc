#include "storage/message_log/embedded_consumer.h"

#include <algorithm>
#include <iterator>

namespace trawl::storage {

std::unique_ptr<LogConsumer> EmbeddedConsumer::Subscribe(EmbeddedState& state,
                                                         const std::string& group,
                                                         const std::vector<std::string>& topics,
                                                         RebalanceListener& listener) {
  std::unique_ptr<EmbeddedConsumer> consumer(new EmbeddedConsumer(state));
  const std::lock_guard lock(state.mutex);
  EmbeddedGroup& members =
      state.groups
          .try_emplace(group,
                       [&state](const std::string& t) { return state.store->PartitionCount(t); })
          .first->second;
  consumer->group_ = group;
  consumer->listener_ = &listener;
  consumer->member_ = members.Join(topics);
  state.changed.notify_all();
  return consumer;
}

std::unique_ptr<LogConsumer> EmbeddedConsumer::Assign(EmbeddedState& state,
                                                      const std::vector<TopicOffset>& offsets) {
  std::unique_ptr<EmbeddedConsumer> consumer(new EmbeddedConsumer(state));
  const std::lock_guard lock(state.mutex);
  for (const TopicOffset& from : offsets) {
    const EmbeddedStore::Extent* extent = state.store->Find(from.at);
    consumer->readings_[from.at].next =
        from.offset == kBeginning && extent != nullptr ? extent->first : from.offset;
  }
  return consumer;
}

Result<PollResult> EmbeddedConsumer::Poll(std::chrono::milliseconds timeout) {
  if (closed_) return Error(Code::kFailedPrecondition, "the consumer is closed");
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  Lock lock(state_.mutex);
  while (true) {
    TRAWL_ASSIGN(const bool rebalanced, Rebalance(lock));
    if (rebalanced) continue;
    TRAWL_ASSIGN(PollResult result, Next());
    if (result.record || result.end_of) return result;
    if (std::chrono::steady_clock::now() >= deadline) return result;
    state_.changed.wait_until(lock, deadline);
  }
}

Result<bool> EmbeddedConsumer::Rebalance(Lock& lock) {
  if (group_.empty()) return false;
  if (members().MustGiveUp(member_)) {
    const auto& owned = members().Owned(member_);
    const std::vector<TopicPartition> revoked(owned.begin(), owned.end());
    lock.unlock();
    listener_->OnRevoked(revoked);
    lock.lock();
    members().GiveUp(member_);
    readings_.clear();
    state_.changed.notify_all();
    return true;
  }
  if (!members().TryTake(member_)) return false;
  readings_.clear();
  const auto& owned = members().Owned(member_);
  const std::vector<TopicPartition> assigned(owned.begin(), owned.end());
  for (const TopicPartition& at : assigned) readings_[at];
  TRAWL_TRY(StartAtCommitted());
  lock.unlock();
  listener_->OnAssigned(assigned);
  lock.lock();
  return true;
}

Status EmbeddedConsumer::StartAtCommitted() {
  for (auto& [at, reading] : readings_) {
    TRAWL_ASSIGN(const std::optional<int64_t> committed, state_.store->Committed(group_, at));
    const EmbeddedStore::Extent* extent = state_.store->Find(at);
    const int64_t first = extent == nullptr ? 0 : extent->first;
    reading.next = std::max(committed.value_or(first), first);
    reading.end_told = -1;
    reading.ahead.clear();
  }
  return OkStatus();
}

Result<PollResult> EmbeddedConsumer::Next() {
  // From the one after the last in turn, so that a full partition cannot starve the others.
  auto it = readings_.upper_bound(last_);
  for (size_t i = 0; i < readings_.size(); ++i, ++it) {
    if (it == readings_.end()) it = readings_.begin();
    TRAWL_ASSIGN(PollResult result, NextOf(it->first, it->second));
    if (!result.record && !result.end_of) continue;
    last_ = it->first;
    return result;
  }
  return PollResult{};
}

Result<PollResult> EmbeddedConsumer::NextOf(const TopicPartition& at, Reading& reading) {
  if (reading.paused) return PollResult{};
  TRAWL_TRY(CheckPosition(at, reading));
  const int64_t end = state_.store->Find(at)->next;
  if (reading.ahead.empty() && reading.next < end) {
    TRAWL_ASSIGN(std::vector<LogRecord> records, state_.store->Read(at, reading.next));
    std::ranges::move(records, std::back_inserter(reading.ahead));
    if (reading.ahead.empty()) reading.next = end;  // newer records of the same keys replaced them
  }
  PollResult result;
  if (!reading.ahead.empty()) {
    result.record = std::move(reading.ahead.front());
    reading.ahead.pop_front();
    reading.next = result.record->offset + 1;
  } else if (reading.end_told != end) {
    reading.end_told = end;
    result.end_of = at;
    result.end_offset = end;
  }
  return result;
}

Status EmbeddedConsumer::CheckPosition(const TopicPartition& at, Reading& reading) const {
  const EmbeddedStore::Extent* extent = state_.store->Find(at);
  if (extent == nullptr) {
    return Error(Code::kFailedPrecondition, "reading {}[{}]: there is no such partition", at.topic,
                 at.partition);
  }
  if (reading.next >= extent->first && reading.next <= extent->next) return OkStatus();
  if (!group_.empty()) {
    reading.next = extent->first;
    reading.ahead.clear();
    return OkStatus();
  }
  return Error(Code::kFailedPrecondition,
               "reading {}[{}]: offset {} does not exist (any more): there are {} to {}", at.topic,
               at.partition, reading.next, extent->first, extent->next);
}

Status EmbeddedConsumer::Pause(std::span<const TopicPartition> partitions) {
  SetPaused(partitions, true);
  return OkStatus();
}

Status EmbeddedConsumer::Resume(std::span<const TopicPartition> partitions) {
  SetPaused(partitions, false);
  return OkStatus();
}

void EmbeddedConsumer::SetPaused(std::span<const TopicPartition> partitions, bool paused) {
  for (const TopicPartition& at : partitions) {
    if (const auto found = readings_.find(at); found != readings_.end())
      found->second.paused = paused;
  }
}

Status EmbeddedConsumer::RewindToCommitted() {
  if (closed_) return Error(Code::kFailedPrecondition, "the consumer is closed");
  if (group_.empty()) return Error(Code::kInvalidArgument, "only a group has committed offsets");
  const std::lock_guard lock(state_.mutex);
  return StartAtCommitted();
}

bool EmbeddedConsumer::OwnsAll(std::span<const TopicOffset> offsets) const {
  if (closed_ || group_.empty()) return false;
  const auto& owned = members().Owned(member_);
  return std::ranges::all_of(offsets,
                             [&](const TopicOffset& next) { return owned.contains(next.at); });
}

void EmbeddedConsumer::Close() {
  Lock lock(state_.mutex);
  if (closed_) return;
  if (!group_.empty()) {
    const auto& owned = members().Owned(member_);
    const std::vector<TopicPartition> revoked(owned.begin(), owned.end());
    lock.unlock();
    if (!revoked.empty()) listener_->OnRevoked(revoked);
    lock.lock();
    members().Leave(member_);
  }
  closed_ = true;
  state_.changed.notify_all();
}

}  // namespace trawl::storage
