#include "tests/simulation/log.h"

#include <algorithm>
#include <utility>

#include "config/check.h"

namespace trawl::simulation {

using storage::kBeginning;
using storage::LogExtent;
using storage::LogRecord;
using storage::PollResult;
using storage::TopicOffset;
using storage::Transaction;

namespace {

/// What the dead get. No code of Trawl tries again after it.
Status Dead() { return {Code::kInternal, "this process is dead"}; }

Status OutOfReach() { return {Code::kUnavailable, "the log is out of reach"}; }

}  // namespace

class SimulatedLog::Consumer final : public storage::LogConsumer {
 public:
  Consumer(SimulatedLog& log, std::string name, storage::RebalanceListener& listener)
      : Consumer(log) {
    group_name_ = std::move(name);
    listener_ = &listener;
    member_ = cluster_.Join(*group());
  }
  Consumer(SimulatedLog& log, const std::vector<TopicOffset>& offsets) : Consumer(log) {
    for (const TopicOffset& from : offsets)
      readings_[from.at].next = from.offset == kBeginning ? 0 : from.offset;
  }
  ~Consumer() override {
    if (!closed_ && !process_.dead() && group() != nullptr) cluster_.Leave(*group(), member_);
  }

  Result<PollResult> Poll(Duration timeout) override {
    if (!process_.Step(group() == nullptr ? "reads" : "polls")) return tl::unexpected(Dead());
    if (simulator_.Chance(simulator_.faults.poll)) return tl::unexpected(OutOfReach());
    const TimePoint deadline = process_.Now() + timeout;
    // Now and then nothing comes in time.
    const bool late = simulator_.Chance(simulator_.faults.poll);
    while (true) {
      if (group() != nullptr) FollowGroup();
      PollResult result = late || process_.dead() ? PollResult{} : Next();
      if (result.record || result.end_of || process_.Now() >= deadline) return result;
      if (!process_.WaitForNews(deadline)) return tl::unexpected(Dead());
    }
  }

  Status Pause(std::span<const TopicPartition> partitions) override {
    return SetPaused(partitions, true);
  }
  Status Resume(std::span<const TopicPartition> partitions) override {
    return SetPaused(partitions, false);
  }

  Status RewindToCommitted() override {
    if (!process_.Step("rewinds")) return Dead();
    if (simulator_.Chance(simulator_.faults.poll)) return OutOfReach();
    if (simulator_.Chance(simulator_.faults.rebalance) || Find() == nullptr) {
      cluster_.Leave(*group(), member_);
      Lose();
    } else {
      StartAtCommitted();
    }
    return OkStatus();
  }

  void Close() override {
    if (std::exchange(closed_, true) || !process_.Step("closes") || group() == nullptr) return;
    if (const auto owned = Owned(); Find() != nullptr && !owned.empty())
      listener_->OnRevoked(owned);
    if (!process_.dead()) cluster_.Leave(*group(), member_);
  }

  /// Null: assigned by hand.
  Cluster::Group* group() const {
    return listener_ == nullptr ? nullptr : &cluster_.groups.at(group_name_);
  }
  bool OwnsAll(const std::vector<TopicOffset>& offsets) const {
    const Cluster::Member* self = Find();
    return self != nullptr && std::ranges::all_of(offsets, [&](const TopicOffset& each) {
             return self->owned.contains(each.at) && readings_.contains(each.at);
           });
  }

 private:
  struct Reading {
    int64_t next = 0;
    int64_t end_told = -1;
    bool paused = false;
  };

  explicit Consumer(SimulatedLog& log)
      : simulator_(log.simulator_), cluster_(log.cluster_), process_(log.process_) {}

  Cluster::Member* Find() const {
    const auto found = group()->members.find(member_);
    return found == group()->members.end() ? nullptr : &found->second;
  }

  std::vector<TopicPartition> Owned() const {
    std::vector<TopicPartition> owned;
    for (const auto& [at, reading] : readings_) owned.push_back(at);
    return owned;
  }

  /// What was ours is somebody else's. Joins again.
  void Lose() {
    const auto lost = Owned();
    readings_.clear();
    member_ = cluster_.Join(*group());
    simulator_.Tell(process_.name(), "has lost its partitions");
    if (!lost.empty()) listener_->OnLost(lost);
  }

  void FollowGroup() {
    if (Find() == nullptr) return Lose();
    Find()->seen = simulator_.now();
    if (simulator_.Chance(simulator_.faults.rebalance)) group()->rebalancing = true;
    if (simulator_.Chance(simulator_.faults.rebalance / 4)) {
      cluster_.Leave(*group(), member_);  // a session that expired
      return Lose();
    }
    if (group()->rebalancing && !Find()->waiting) {
      if (const auto owned = Owned(); !owned.empty()) listener_->OnRevoked(owned);
      readings_.clear();
      if (process_.dead() || Find() == nullptr) return;
      Find()->owned.clear();
      Find()->waiting = true;
    }
    cluster_.Balance(*group());
    Cluster::Member* const self = Find();
    if (self == nullptr || self->waiting || std::exchange(self->told, true)) return;
    for (const TopicPartition& at : self->owned) readings_[at] = {};
    StartAtCommitted();
    simulator_.Tell(process_.name(), fmt::format("has {} partitions", readings_.size()));
    listener_->OnAssigned(Owned());
  }

  void StartAtCommitted() {
    for (auto& [at, reading] : readings_) {
      const auto committed = group()->committed.find(at);
      reading.next = committed == group()->committed.end() ? 0 : committed->second;
      reading.end_told = -1;
    }
  }

  PollResult Next() {
    PollResult result;
    std::vector<TopicPartition> all = Owned();
    if (all.empty()) return result;
    // Any partition may be first.
    std::ranges::rotate(all,
                        all.begin() + simulator_.Pick(0, static_cast<int64_t>(all.size()) - 1));
    for (const TopicPartition& at : all) {
      Reading& reading = readings_[at];
      if (reading.paused) continue;
      const Cluster::Partition& partition = *cluster_.Find(at);
      const auto found = std::ranges::lower_bound(
          partition.records, reading.next, {}, [](const LogRecord& each) { return each.offset; });
      if (found != partition.records.end()) {
        reading.next = found->offset + 1;
        simulator_.Tell(process_.name(),
                        fmt::format("gets {}/{}@{}", at.topic, at.partition, found->offset));
        result.record = *found;
        return result;
      }
      if (std::exchange(reading.end_told, partition.next) == partition.next) continue;
      reading.next = partition.next;
      result.end_of = at;
      result.end_offset = partition.next;
      return result;
    }
    return result;
  }

  Status SetPaused(std::span<const TopicPartition> partitions, bool paused) {
    if (process_.dead()) return Dead();
    if (simulator_.Chance(simulator_.faults.poll)) return OutOfReach();
    for (const TopicPartition& at : partitions)
      if (const auto found = readings_.find(at); found != readings_.end())
        found->second.paused = paused;
    return OkStatus();
  }

  Simulator& simulator_;
  Cluster& cluster_;
  Process& process_;
  std::string group_name_;
  storage::RebalanceListener* listener_ = nullptr;
  uint64_t member_ = 0;
  bool closed_ = false;
  std::map<TopicPartition, Reading> readings_;
};

class SimulatedLog::Producer final : public storage::TransactionalProducer {
 public:
  Producer(SimulatedLog& log, std::string id)
      : simulator_(log.simulator_),
        cluster_(log.cluster_),
        process_(log.process_),
        id_(std::move(id)),
        epoch_(++log.cluster_.epochs[id_]) {}

  Status Commit(const Transaction& transaction) override {
    if (!process_.Step("commits")) return Dead();
    if (cluster_.epochs[id_] != epoch_) {
      simulator_.Tell(process_.name(), "is fenced");
      return {Code::kFailedPrecondition, "another producer has taken over"};
    }
    auto* const consumer = static_cast<Consumer*>(transaction.consumer);
    if (!transaction.offsets.empty() && !consumer->OwnsAll(transaction.offsets)) {
      cluster_.Abort(transaction);
      return {Code::kAborted, "the partitions are not assigned to this member any more"};
    }
    const bool broken = simulator_.Chance(simulator_.faults.commit);
    if (broken && simulator_.Chance(0.5)) {
      simulator_.Tell(process_.name(), "aborts");
      cluster_.Abort(transaction);
      return Unclear();
    }
    simulator_.Tell(process_.name(),
                    fmt::format("commits {} records and {} offsets", transaction.records.size(),
                                transaction.offsets.size()));
    cluster_.Commit(transaction, consumer == nullptr ? nullptr : consumer->group(),
                    process_.WallMillis());
    if (!process_.Step("has committed")) return Dead();
    return broken ? Unclear() : OkStatus();
  }

 private:
  Status Unclear() {
    return simulator_.Chance(0.3)
               ? OutOfReach()
               : Status(Code::kAborted, "nobody can tell whether it took effect");
  }

  Simulator& simulator_;
  Cluster& cluster_;
  Process& process_;
  const std::string id_;
  const uint64_t epoch_;
};

Status SimulatedLog::EnsureTopics(std::span<const storage::TopicSpec> topics) {
  if (!process_.Step("makes topics")) return Dead();
  for (const storage::TopicSpec& spec : topics) {
    Cluster::Topic& topic = cluster_.topics[spec.name];
    topic.compacted = spec.compacted;
    topic.partitions.resize(
        std::max(topic.partitions.size(), static_cast<size_t>(spec.partitions)));
  }
  return OkStatus();
}

Result<int> SimulatedLog::PartitionCount(const std::string& topic) {
  if (process_.dead()) return tl::unexpected(Dead());
  const auto found = cluster_.topics.find(topic);
  if (found == cluster_.topics.end()) return Error(Code::kNotFound, "there is no topic {}", topic);
  return static_cast<int>(found->second.partitions.size());
}

Result<LogExtent> SimulatedLog::Extent(const TopicPartition& at) {
  if (process_.dead()) return tl::unexpected(Dead());
  const Cluster::Partition* partition = cluster_.Find(at);
  if (partition == nullptr) return Error(Code::kNotFound, "there is no such partition");
  return LogExtent{0, partition->next};
}

Result<std::unique_ptr<storage::TransactionalProducer>> SimulatedLog::OpenProducer(
    const std::string& transactional_id) {
  if (!process_.Step("opens a producer")) return tl::unexpected(Dead());
  if (simulator_.Chance(simulator_.faults.commit)) return tl::unexpected(OutOfReach());
  return std::make_unique<Producer>(*this, transactional_id);
}

Result<std::unique_ptr<storage::LogConsumer>> SimulatedLog::Subscribe(
    const std::string& group, const std::vector<std::string>& topics,
    storage::RebalanceListener& listener) {
  if (!process_.Step("joins")) return tl::unexpected(Dead());
  if (simulator_.Chance(simulator_.faults.poll)) return tl::unexpected(OutOfReach());
  cluster_.groups[group].topic = topics.front();
  return std::make_unique<Consumer>(*this, group, listener);
}

Result<std::unique_ptr<storage::LogConsumer>> SimulatedLog::Assign(
    const std::vector<TopicOffset>& offsets) {
  if (!process_.Step("assigns")) return tl::unexpected(Dead());
  if (simulator_.Chance(simulator_.faults.poll)) return tl::unexpected(OutOfReach());
  return std::make_unique<Consumer>(*this, offsets);
}

Result<std::vector<TopicOffset>> SimulatedLog::CommittedOffsets(const std::string& group,
                                                                const std::string& topic) {
  TRAWL_ASSIGN(const int partitions, PartitionCount(topic));
  const auto& committed = cluster_.groups[group].committed;
  std::vector<TopicOffset> offsets;
  for (int32_t partition = 0; partition < partitions; ++partition) {
    const auto found = committed.find({topic, partition});
    offsets.push_back({{topic, partition}, found == committed.end() ? kBeginning : found->second});
  }
  return offsets;
}

}  // namespace trawl::simulation
