#include "tests/support/mutant_log.h"

#include <utility>

namespace trawl::testing {
namespace {

using storage::LogConsumer;
using storage::LogRecord;
using storage::PollResult;
using storage::TopicOffset;
using storage::TopicPartition;
using storage::Transaction;
using storage::TransactionalProducer;

class MutantConsumer final : public LogConsumer {
 public:
  /// `committer`: null unless what is delivered is committed at once.
  MutantConsumer(std::unique_ptr<LogConsumer> inner,
                 std::unique_ptr<TransactionalProducer> committer)
      : inner_(std::move(inner)), committer_(std::move(committer)) {}

  Result<PollResult> Poll(std::chrono::milliseconds timeout) override {
    auto polled = inner_->Poll(timeout);
    if (committer_ && polled && polled->record) {
      const LogRecord& record = *polled->record;
      const Status ignored =
          committer_->Commit({{}, inner_.get(), {{record.at, record.offset + 1}}});
    }
    return polled;
  }
  Status Pause(std::span<const TopicPartition> partitions) override {
    return inner_->Pause(partitions);
  }
  Status Resume(std::span<const TopicPartition> partitions) override {
    return inner_->Resume(partitions);
  }
  Status RewindToCommitted() override { return inner_->RewindToCommitted(); }
  void Close() override { inner_->Close(); }
  LogConsumer* inner() const { return inner_.get(); }

 private:
  const std::unique_ptr<LogConsumer> inner_;
  const std::unique_ptr<TransactionalProducer> committer_;
};

class MutantProducer final : public TransactionalProducer {
 public:
  MutantProducer(std::unique_ptr<TransactionalProducer> inner, const Bug& bug)
      : inner_(std::move(inner)), bug_(bug) {}

  Status Commit(const Transaction& given) override {
    Transaction transaction = given;
    if (given.consumer != nullptr)
      transaction.consumer = static_cast<MutantConsumer*>(given.consumer)->inner();
    if (given.offsets.empty()) return inner_->Commit(transaction);
    if (bug_.name == "dropped" && !transaction.records.empty()) transaction.records.pop_back();
    if (bug_.name == "doubled") transaction.records.push_back(transaction.records.front());
    if (bug_.name == "auto-commit") {
      bug_.perhaps_die();
      transaction.offsets.clear();
      transaction.consumer = nullptr;
    }
    if (bug_.name == "early-offset") {
      for (TopicOffset& next : transaction.offsets) ++next.offset;
      const Status status = inner_->Commit(transaction);
      bug_.perhaps_die();
      return status;
    }
    if (bug_.name == "offsets-apart") {
      const Status status = inner_->Commit({transaction.records, nullptr, {}});
      if (!status.ok()) return status;
      bug_.perhaps_die();
      transaction.records.clear();
    }
    const Status status = inner_->Commit(transaction);
    return bug_.name == "believed" && IsRetryable(status.code()) ? OkStatus() : status;
  }

 private:
  const std::unique_ptr<TransactionalProducer> inner_;
  const Bug& bug_;
};

}  // namespace

Result<std::unique_ptr<TransactionalProducer>> MutantLog::OpenProducer(const std::string& id) {
  TRAWL_ASSIGN(auto producer, inner_.OpenProducer(id));
  return std::make_unique<MutantProducer>(std::move(producer), bug_);
}

Result<std::unique_ptr<LogConsumer>> MutantLog::Subscribe(const std::string& group,
                                                          const std::vector<std::string>& topics,
                                                          storage::RebalanceListener& listener) {
  TRAWL_ASSIGN(auto consumer, inner_.Subscribe(group, topics, listener));
  std::unique_ptr<TransactionalProducer> committer;
  if (bug_.name == "auto-commit") {
    TRAWL_ASSIGN(committer, inner_.OpenProducer("auto-commit-" + name_));
  }
  return std::make_unique<MutantConsumer>(std::move(consumer), std::move(committer));
}

Result<std::unique_ptr<LogConsumer>> MutantLog::Assign(const std::vector<TopicOffset>& offsets) {
  if (bug_.name != "reset-latest") return inner_.Assign(offsets);
  std::vector<TopicOffset> latest = offsets;
  for (TopicOffset& from : latest) {
    if (from.offset != storage::kBeginning) continue;
    TRAWL_ASSIGN(const storage::LogExtent extent, inner_.Extent(from.at));
    from.offset = extent.end;
  }
  return inner_.Assign(latest);
}

}  // namespace trawl::testing
