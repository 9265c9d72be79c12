#include "storage/message_log/kafka_producer.h"

#include <algorithm>

#include "config/clock.h"
#include "storage/message_log/kafka_consumer.h"

namespace trawl::storage {
namespace {

using std::chrono::milliseconds;

constexpr size_t kFatalFailuresMax = 5;
constexpr std::chrono::minutes kFatalWindow{5};

Status Validate(const Transaction& transaction) {
  for (const OutgoingRecord& record : transaction.records) {
    if (record.key.size() + record.value.size() > kMaxRecordBytes) {
      return Error(Code::kInvalidArgument, "a record of {} bytes for {}; {} are allowed",
                   record.key.size() + record.value.size(), record.topic, kMaxRecordBytes);
    }
  }
  if (!transaction.offsets.empty() &&
      dynamic_cast<KafkaConsumer*>(transaction.consumer) == nullptr) {
    return Error(Code::kInvalidArgument, "offsets without a consumer of this log");
  }
  return OkStatus();
}

Status Fenced(const std::string& transactional_id) {
  return Error(Code::kFailedPrecondition, "another process has taken over transactional id {}",
               transactional_id);
}

}  // namespace

Result<std::unique_ptr<TransactionalProducer>> KafkaProducer::Open(
    const Settings& settings, const std::string& transactional_id, KafkaAdmin& admin,
    KafkaCounters& counters) {
  std::unique_ptr<KafkaProducer> producer(
      new KafkaProducer(settings, transactional_id, admin, counters));
  TRAWL_TRY(producer->OpenSession());
  return producer;
}

Status KafkaProducer::OpenSession(milliseconds within) {
  session_.reset();  // first, so that the old one cannot take the new one's place
  TRAWL_ASSIGN(session_,
               ProducerSession::Open(settings_, transactional_id_, admin_, Clock::now() + within));
  return OkStatus();
}

Status KafkaProducer::Commit(const Transaction& transaction) {
  if (fenced_) return Fenced(transactional_id_);
  if (transaction.records.empty() && transaction.offsets.empty()) return OkStatus();
  TRAWL_TRY(Validate(transaction));
  if (session_ == nullptr) {
    TRAWL_TRY(OpenSession(transaction.patience.value_or(kOpenWithin)));
  }
  TRAWL_TRY(session_->Prepare(transaction, admin_));

  const auto began = Clock::now();
  const milliseconds timeout(settings_.transaction_timeout_ms);
  const bool hurried = transaction.patience.has_value();
  const TransactionReport report =
      session_->Run(transaction, began + std::min(timeout, transaction.patience.value_or(timeout)));
  if (report.ambiguous) ++counters_.ambiguous_commits;
  if (report.end != TransactionEnd::kCommitted) return Recover(report, began, hurried);
  if (report.ambiguous) {
    // Committed for certain, but a late copy of the request could end the next transaction: change
    // the epoch.
    ++counters_.producers_rebuilt;
    if (hurried || !OpenSession().ok()) session_.reset();  // the next Commit tries again
  }
  return OkStatus();
}

Status KafkaProducer::Recover(const TransactionReport& report, Clock::time_point began,
                              bool hurried) {
  // A transaction that outlives its time-out is fenced by the broker itself, in the same words
  // (KIP-588 is not in librdkafka). Only one that did not can have been fenced by another process.
  const bool in_time = Clock::now() - began < milliseconds(settings_.transaction_timeout_ms);
  session_.reset();
  if (report.end == TransactionEnd::kFenced && in_time) {
    fenced_ = true;
    return Fenced(transactional_id_);
  }
  ++counters_.producers_rebuilt;
  if (hurried) return NotCommitted(report.why);
  if (report.fatal) TRAWL_TRY(BackOff(report.why));
  if (Status opened = OpenSession(); !opened.ok()) {
    return Error(Code::kUnavailable, "{} (after: {})", opened.message(), report.why.message());
  }
  return NotCommitted(report.why);
}

Status KafkaProducer::NotCommitted(const Status& why) const {
  if (!IsRetryable(why.code())) return Annotate(why, "committing as {}", transactional_id_);
  return Error(Code::kAborted, "committing as {}: {}", transactional_id_, why.message());
}

Status KafkaProducer::BackOff(const Status& why) {
  const auto now = Clock::now();
  while (!fatal_.empty() && now - fatal_.front() > kFatalWindow) fatal_.pop_front();
  fatal_.push_back(now);
  if (fatal_.size() >= kFatalFailuresMax) {
    return Error(Code::kInternal, "{} fatal failures of transactions in five minutes, the last: {}",
                 fatal_.size(), why.message());
  }
  if (fatal_.size() > 1) SystemClock().SleepFor(milliseconds(250 << fatal_.size()));
  return OkStatus();
}

}  // namespace trawl::storage
