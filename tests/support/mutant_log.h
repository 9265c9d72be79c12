#pragma once
// A log on which one thing is done wrong, to see that an oracle notices. A bug is a decorator at
// the port, so that no line of Trawl knows of it.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "storage/message_log/message_log.h"

namespace trawl::testing {

struct Bug {
  /// What MutantLog does wrong; any other name: nothing.
  ///   dropped         a transaction lacks its last record
  ///   doubled         it has its first record twice
  ///   auto-commit     what was delivered counts as done
  ///   early-offset    offsets pass over the next message, too
  ///   offsets-apart   records in one transaction, their offsets in another
  ///   believed        a transaction that did not commit is taken for one that did
  ///   reset-latest    who has no offset starts at the end
  std::string name;
  /// Called where a death would show the bug.
  std::function<void()> perhaps_die;
};

/// `bug` outlives it, as `inner` does.
class MutantLog : public storage::MessageLog {
 public:
  /// `name`: of the process.
  MutantLog(storage::MessageLog& inner, const Bug& bug, std::string name)
      : inner_(inner), bug_(bug), name_(std::move(name)) {}

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
      const std::string& transactional_id) override;
  Result<std::unique_ptr<storage::LogConsumer>> Subscribe(
      const std::string& group, const std::vector<std::string>& topics,
      storage::RebalanceListener& listener) override;
  Result<std::unique_ptr<storage::LogConsumer>> Assign(
      const std::vector<storage::TopicOffset>& offsets) override;

 private:
  storage::MessageLog& inner_;
  const Bug& bug_;
  const std::string name_;
};

}  // namespace trawl::testing
