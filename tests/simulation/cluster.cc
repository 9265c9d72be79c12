#include <algorithm>
#include <functional>

#include "config/check.h"
#include "tests/simulation/log.h"

namespace trawl::simulation {

using storage::LogRecord;
using storage::OutgoingRecord;

Cluster::Partition* Cluster::Find(const TopicPartition& at) {
  const auto topic = topics.find(at.topic);
  if (topic == topics.end() || at.partition < 0 ||
      at.partition >= static_cast<int32_t>(topic->second.partitions.size()))
    return nullptr;
  return &topic->second.partitions[static_cast<size_t>(at.partition)];
}

TopicPartition Cluster::Destination(const OutgoingRecord& record) const {
  const size_t count = topics.at(record.topic).partitions.size();
  uint64_t hash = 0;
  for (const char letter : record.key) hash = hash * 31 + static_cast<unsigned char>(letter);
  return {record.topic, record.partition.value_or(static_cast<int32_t>(hash % count))};
}

void Cluster::Commit(const storage::Transaction& transaction, Group* group, int64_t wall_ms) {
  std::set<TopicPartition> touched;
  for (const OutgoingRecord& record : transaction.records) {
    const TopicPartition at = Destination(record);
    Partition& partition = *Find(at);
    partition.records.push_back({at, partition.next++, record.key, record.value, wall_ms});
    touched.insert(at);
  }
  for (const TopicPartition& at : touched) ++Find(at)->next;
  for (const auto& [at, offset] : transaction.offsets) group->committed[at] = offset;
  simulator_.News();
}

void Cluster::Abort(const storage::Transaction& transaction) {
  for (const OutgoingRecord& record : transaction.records) Find(Destination(record))->next += 2;
}

void Cluster::Compact() {
  for (auto& [name, topic] : topics) {
    if (!topic.compacted) continue;
    for (Partition& partition : topic.partitions) {
      std::set<std::string> newer;
      std::vector<LogRecord> kept;
      for (auto record = partition.records.rbegin(); record != partition.records.rend(); ++record)
        if (newer.insert(record->key).second) kept.push_back(std::move(*record));
      partition.records.assign(std::make_move_iterator(kept.rbegin()),
                               std::make_move_iterator(kept.rend()));
    }
  }
}

uint64_t Cluster::Join(Group& group) {
  group.members[++last_member_].seen = simulator_.now();
  group.rebalancing = true;
  return last_member_;
}

void Cluster::Leave(Group& group, uint64_t member) {
  if (group.members.erase(member) > 0) group.rebalancing = true;
}

void Cluster::Balance(Group& group) {
  const auto is_gone = [&](const auto& member) {
    return simulator_.now() - member.second.seen > kSessionTimeout;
  };
  if (std::erase_if(group.members, is_gone) > 0) group.rebalancing = true;
  const auto waits = [](const auto& member) { return member.second.waiting; };
  if (!group.rebalancing || !std::ranges::all_of(group.members, waits)) return;
  group.rebalancing = false;
  if (group.members.empty()) return;
  auto member = group.members.begin();
  const auto partitions = static_cast<int32_t>(topics.at(group.topic).partitions.size());
  for (auto& [id, each] : group.members) each.waiting = each.told = false;
  for (int32_t partition = 0; partition < partitions; ++partition) {
    member->second.owned.insert({group.topic, partition});
    if (++member == group.members.end()) member = group.members.begin();
  }
  simulator_.News();
}

}  // namespace trawl::simulation
