#include "storage/message_log/embedded_group.h"

#include <algorithm>

#include "config/check.h"

namespace trawl::storage {

EmbeddedGroup::MemberId EmbeddedGroup::Join(std::vector<std::string> topics) {
  members_[++last_id_].topics = std::move(topics);
  ShareOut();
  return last_id_;
}

void EmbeddedGroup::Leave(MemberId member) {
  members_.erase(member);
  ShareOut();
}

const std::set<TopicPartition>& EmbeddedGroup::Owned(MemberId member) const {
  return members_.at(member).owned;
}

bool EmbeddedGroup::MustGiveUp(MemberId member) const {
  const Member& m = members_.at(member);
  return !m.settled && !m.owned.empty();
}

void EmbeddedGroup::GiveUp(MemberId member) { members_.at(member).owned.clear(); }

bool EmbeddedGroup::TryTake(MemberId member) {
  Member& m = members_.at(member);
  if (m.settled) return false;
  DCHECK(m.owned.empty());
  for (const TopicPartition& at : m.share) {
    if (OwnedByAnother(member, at)) return false;
  }
  m.owned = m.share;
  m.settled = true;
  return true;
}

bool EmbeddedGroup::OwnedByAnother(MemberId member, const TopicPartition& at) const {
  return std::ranges::any_of(members_, [&](const auto& entry) {
    return entry.first != member && entry.second.owned.contains(at);
  });
}

/// Range: for each topic, the members in order get runs of partitions, the first ones one more
/// where it does not come out even.
void EmbeddedGroup::ShareOut() {
  std::map<std::string, std::vector<Member*>> subscribers;
  for (auto& [id, member] : members_) {
    member.share.clear();
    for (const std::string& topic : member.topics) subscribers[topic].push_back(&member);
  }
  for (auto& [topic, members] : subscribers) {
    const auto count = static_cast<int32_t>(members.size());
    const int32_t partitions = partition_count_(topic);
    int32_t next = 0;
    for (int32_t i = 0; i < count; ++i) {
      const int32_t share = partitions / count + (i < partitions % count ? 1 : 0);
      for (int32_t end = next + share; next < end; ++next) {
        members[static_cast<size_t>(i)]->share.insert({topic, next});
      }
    }
  }
  // A member whose share did not change keeps working.
  for (auto& [id, member] : members_) {
    member.settled = member.settled && member.share == member.owned;
  }
}

}  // namespace trawl::storage
