#pragma once
// Who owns which partition in a group whose members are threads of one process: range assignment,
// as on Kafka. A partition changes hands only after its owner gave it up, which it does in its own
// Poll.

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "storage/message_log/message_log.h"

namespace trawl::storage {

/// Not thread-safe: EmbeddedLog's mutex guards it.
class EmbeddedGroup {
 public:
  using MemberId = uint64_t;
  using PartitionCount = std::function<int(const std::string& topic)>;

  explicit EmbeddedGroup(PartitionCount partition_count)
      : partition_count_(std::move(partition_count)) {}

  MemberId Join(std::vector<std::string> topics);
  /// Gives up what it owned.
  void Leave(MemberId member);

  const std::set<TopicPartition>& Owned(MemberId member) const;
  /// The member owns what it should not, or not what it should: it has to give up everything, then
  /// take its new share.
  bool MustGiveUp(MemberId member) const;
  void GiveUp(MemberId member);
  /// True when the member has just got its share; false when it has it already, or another still
  /// owns part of it.
  bool TryTake(MemberId member);

 private:
  struct Member {
    std::vector<std::string> topics;
    std::set<TopicPartition> share;  // what it should own
    std::set<TopicPartition> owned;
    bool settled = false;  // has taken its share
  };

  void ShareOut();
  bool OwnedByAnother(MemberId member, const TopicPartition& at) const;

  const PartitionCount partition_count_;
  std::map<MemberId, Member> members_;
  MemberId last_id_ = 0;
};

}  // namespace trawl::storage
