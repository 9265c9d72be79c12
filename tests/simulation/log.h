#pragma once
// A message log as processes see it: the log that the cluster keeps (Cluster), and a process's
// connection to it (SimulatedLog), which breaks as the real one does: transactions that abort or of
// which nobody can tell, fenced producers, polls that bring nothing or an error, rebalances that
// revoke or have taken away, and rewinds that become a new membership.

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "storage/message_log/message_log.h"
#include "tests/simulation/simulator.h"

namespace trawl::simulation {

using storage::TopicPartition;

/// What survives every process. Offsets have gaps, as on Kafka: each transaction leaves a mark
/// behind its records, and aborted ones leave nothing else.
class Cluster {
 public:
  static constexpr Duration kSessionTimeout{10'000};

  struct Partition {
    std::vector<storage::LogRecord> records;
    int64_t next = 0;
  };
  struct Topic {
    bool compacted = false;
    std::vector<Partition> partitions;
  };
  struct Member {
    std::set<TopicPartition> owned;
    bool waiting = true;  // has given up what it had, and waits for the others
    bool told = true;     // of what it owns
    TimePoint seen;
  };
  struct Group {
    std::string topic;
    std::map<uint64_t, Member> members;
    std::map<TopicPartition, int64_t> committed;
    bool rebalancing = false;
  };

  explicit Cluster(Simulator& simulator) : simulator_(simulator) {}

  /// Null: there is none.
  Partition* Find(const TopicPartition& at);
  /// The records become visible, and the offsets count.
  void Commit(const storage::Transaction& transaction, Group* group, int64_t wall_ms);
  /// What an aborted transaction leaves.
  void Abort(const storage::Transaction& transaction);
  /// Drops what newer records have replaced.
  void Compact();

  uint64_t Join(Group& group);
  void Leave(Group& group, uint64_t member);
  /// Members that have not been seen for too long are out, and when the others have given up what
  /// they had, each gets its share.
  void Balance(Group& group);

  std::map<std::string, Topic> topics;
  std::map<std::string, Group> groups;
  std::map<std::string, uint64_t> epochs;  // of transactional ids

 private:
  TopicPartition Destination(const storage::OutgoingRecord& record) const;

  Simulator& simulator_;
  uint64_t last_member_ = 0;
};

/// One process's connection. `cluster` and `process` outlive it.
class SimulatedLog final : public storage::MessageLog {
 public:
  SimulatedLog(Simulator& simulator, Cluster& cluster, Process& process)
      : simulator_(simulator), cluster_(cluster), process_(process) {}

  Status EnsureTopics(std::span<const storage::TopicSpec> topics) override;
  Result<int> PartitionCount(const std::string& topic) override;
  Result<storage::LogExtent> Extent(const TopicPartition& at) override;
  Result<std::string> Identity() override { return std::string("simulated"); }
  Result<std::unique_ptr<storage::TransactionalProducer>> OpenProducer(
      const std::string& transactional_id) override;
  Result<std::unique_ptr<storage::LogConsumer>> Subscribe(
      const std::string& group, const std::vector<std::string>& topics,
      storage::RebalanceListener& listener) override;
  Result<std::unique_ptr<storage::LogConsumer>> Assign(
      const std::vector<storage::TopicOffset>& offsets) override;
  Result<std::vector<storage::TopicOffset>> CommittedOffsets(const std::string& group,
                                                             const std::string& topic) override;

 private:
  class Producer;
  class Consumer;

  Simulator& simulator_;
  Cluster& cluster_;
  Process& process_;
};

}  // namespace trawl::simulation
