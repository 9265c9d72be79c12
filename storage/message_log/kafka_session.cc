#include "storage/message_log/kafka_session.h"

#include <algorithm>

#include "storage/message_log/kafka_config.h"
#include "storage/message_log/kafka_consumer.h"

namespace trawl::storage {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kMetadataWithin{10'000};
/// Between two attempts at a call that fails at once; callbacks are served meanwhile.
constexpr int kPaceMs = 50;
constexpr int kSettleMs = 1'000;

KafkaFailure Expired(const char* what) {
  return {.code = RD_KAFKA_RESP_ERR__TIMED_OUT, .message = fmt::format("{} took too long", what)};
}

TransactionReport ReportOf(const KafkaFailure& failure) {
  return {.end = failure.fenced() ? TransactionEnd::kFenced : TransactionEnd::kFailed,
          .fatal = failure.fatal || failure.fenced(),
          .why = Status(CodeOf(failure.code), failure.message)};
}

}  // namespace

template <class Call>
std::optional<KafkaFailure> ProducerSession::Insist(Deadline deadline, Call call) {
  while (true) {
    const KafkaError error(call(std::max(MillisUntil(deadline), 1)));
    if (error == nullptr) return std::nullopt;
    const KafkaFailure failure = KafkaFailure::Of(*error);
    if (!failure.retriable || steady_clock::now() >= deadline) return failure;
    retried_ = true;
    rd_kafka_poll(client_->get(), kPaceMs);
  }
}

Result<std::unique_ptr<ProducerSession>> ProducerSession::Open(const Settings& settings,
                                                               const std::string& transactional_id,
                                                               const KafkaAdmin& admin,
                                                               Deadline deadline) {
  std::unique_ptr<ProducerSession> session(new ProducerSession);
  auto signals = std::make_shared<KafkaSignals>();
  signals->on_delivery = [raw = session.get()](const rd_kafka_message_t& m) { raw->OnDelivery(m); };
  TRAWL_ASSIGN(KafkaConf conf, ProducerConf(settings, transactional_id));
  TRAWL_ASSIGN(session->client_,
               KafkaClient::Create(RD_KAFKA_PRODUCER, std::move(conf), std::move(signals)));
  const auto failure = session->Insist(deadline, [&](int timeout_ms) {
    return rd_kafka_init_transactions(session->client_->get(), timeout_ms);
  });
  if (!failure) return session;
  if (CodeOf(failure->code) != Code::kUnavailable) {
    return Error(CodeOf(failure->code), "opening producer {}: {}", transactional_id,
                 failure->message);
  }
  return Annotate(admin.Unreachable(failure->message), "opening producer {}", transactional_id);
}

void ProducerSession::OnDelivery(const rd_kafka_message_t& message) {
  switch (message.err) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
    case RD_KAFKA_RESP_ERR__PURGE_QUEUE:  // thrown away for a reason that the commit will tell
    case RD_KAFKA_RESP_ERR__PURGE_INFLIGHT:
      return;
    default:
      if (undelivered_) return;
      undelivered_ = {
          .code = message.err,
          .message = fmt::format("producing to {}: {}", rd_kafka_topic_name(message.rkt),
                                 rd_kafka_err2str(message.err))};
  }
}

ProducerSession::~ProducerSession() {
  topics_.clear();  // rd_kafka_destroy waits for them
}

Status ProducerSession::Prepare(const Transaction& transaction, KafkaAdmin& admin) {
  for (const OutgoingRecord& record : transaction.records) {
    auto known = topics_.find(record.topic);
    const bool fits =
        known != topics_.end() && record.partition.value_or(0) < known->second.partitions;
    if (!fits) TRAWL_TRY(Learn(record.topic, admin));  // unknown, or it may have grown
    const int partitions = topics_.at(record.topic).partitions;
    if (record.partition && (*record.partition < 0 || *record.partition >= partitions)) {
      return Error(Code::kInvalidArgument, "topic {} has {} partitions, there is no partition {}",
                   record.topic, partitions, *record.partition);
    }
  }
  return OkStatus();
}

Status ProducerSession::Learn(const std::string& name, KafkaAdmin& admin) {
  // Asked there first because a producer's own question would create the topic on clusters that
  // allow it.
  const auto partitions = admin.PartitionCount(name);
  if (!partitions) {
    const Status& why = partitions.error();
    return Annotate(why, "producing");
  }
  // Without this the first record of a topic waits for 1 s (#3202), inside the transaction.
  TRAWL_ASSIGN(DescribedTopic described, DescribeTopic(*client_, name, kMetadataWithin));
  topics_.insert_or_assign(name,
                           Topic{.handle = std::move(described.handle), .partitions = *partitions});
  return OkStatus();
}

std::optional<KafkaFailure> ProducerSession::Produce(const Transaction& transaction,
                                                     Deadline deadline) {
  for (const OutgoingRecord& record : transaction.records) {
    const int32_t partition = record.partition.value_or(RD_KAFKA_PARTITION_UA);
    while (true) {
      const KafkaError error(rd_kafka_produceva(
          client_->get(),
          std::array<rd_kafka_vu_t, 5>{
              {
                  {.vtype = RD_KAFKA_VTYPE_RKT,
                   .u = {.rkt = topics_.at(record.topic).handle.get()}},
                  {.vtype = RD_KAFKA_VTYPE_PARTITION, .u = {.i32 = partition}},
                  {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u = {.i = RD_KAFKA_MSG_F_COPY}},
                  {.vtype = RD_KAFKA_VTYPE_KEY,
                   .u = {.mem = {const_cast<char*>(record.key.data()), record.key.size()}}},
                  {.vtype = RD_KAFKA_VTYPE_VALUE,
                   .u = {.mem = {const_cast<char*>(record.value.data()), record.value.size()}}},
              }}
              .data(),
          5));
      if (error == nullptr) break;
      KafkaFailure failure = KafkaFailure::Of(*error);
      if (failure.code != RD_KAFKA_RESP_ERR__QUEUE_FULL) return failure;
      if (steady_clock::now() >= deadline)
        return Expired("waiting for room in the producer's queue");
      rd_kafka_poll(client_->get(), kPaceMs);
    }
  }
  return std::nullopt;
}

std::optional<KafkaFailure> ProducerSession::SendOffsets(const Transaction& transaction,
                                                         Deadline deadline) {
  if (transaction.offsets.empty()) return std::nullopt;
  auto* consumer = dynamic_cast<KafkaConsumer*>(transaction.consumer);
  const KafkaPartitions offsets(
      rd_kafka_topic_partition_list_new(static_cast<int>(transaction.offsets.size())));
  for (const TopicOffset& next : transaction.offsets) {
    rd_kafka_topic_partition_list_add(offsets.get(), next.at.topic.c_str(), next.at.partition)
        ->offset = next.offset;
  }
  // As fresh as can be: the broker compares the generation in it with the group's.
  auto metadata = consumer->GroupMetadataFor(transaction.offsets);
  if (!metadata) {
    return KafkaFailure{.code = RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION,
                        .message = metadata.error().message()};
  }
  return Insist(deadline, [&](int timeout_ms) {
    return rd_kafka_send_offsets_to_transaction(client_->get(), offsets.get(), metadata->get(),
                                                timeout_ms);
  });
}

std::optional<KafkaFailure> ProducerSession::FatalFailure() const {
  char reason[256] = "";
  const auto code = rd_kafka_fatal_error(client_->get(), reason, sizeof(reason));
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return std::nullopt;
  return KafkaFailure{.code = code, .fatal = true, .message = reason};
}

std::optional<KafkaFailure> ProducerSession::Deliver(Deadline deadline) {
  // In slices: a fatal error leaves messages in the queue for good, and flush would wait for them.
  while (rd_kafka_flush(client_->get(), kPaceMs) != RD_KAFKA_RESP_ERR_NO_ERROR) {
    if (auto fatal = FatalFailure()) return fatal;
    if (undelivered_) break;
    if (steady_clock::now() >= deadline) return Expired("delivering records");
  }
  return undelivered_;
}

std::optional<KafkaFailure> ProducerSession::Commit(Deadline deadline) {
  retried_ = false;
  committing_ = true;
  return Insist(deadline, [&](int timeout_ms) {
    return rd_kafka_commit_transaction(client_->get(), timeout_ms);
  });
}

TransactionReport ProducerSession::Run(const Transaction& transaction, Deadline deadline) {
  rd_kafka_poll(client_->get(), 0);  // what happened while nobody looked is not this transaction's
  undelivered_.reset();
  committing_ = false;
  retried_ = false;
  const uint64_t troubles_before = client_->signals().troubles();
  if (const KafkaError error(rd_kafka_begin_transaction(client_->get())); error != nullptr) {
    return ReportOf(KafkaFailure::Of(*error));
  }
  std::optional<KafkaFailure> failure = Produce(transaction, deadline);
  if (!failure) failure = SendOffsets(transaction, deadline);
  if (!failure) failure = Deliver(deadline);
  const auto commit_began = steady_clock::now();
  if (!failure) failure = Commit(deadline);
  if (failure) {
    // Whichever call came next reports only that the transaction is poisoned: say by what.
    if (undelivered_) failure = undelivered_;
    if (auto fatal = FatalFailure()) failure = fatal;
    // This session will be disposed of. If that meets its first AddPartitionsToTxn on the way out,
    // librdkafka 2.0 fails an assertion of its own, so let the records, and with them that request,
    // arrive.
    if (!failure->fatal) rd_kafka_flush(client_->get(), kSettleMs);
    TransactionReport report = ReportOf(*failure);
    report.ambiguous = committing_;
    return report;
  }
  // librdkafka repeats requests by itself, so return codes alone do not tell (KAFKA-17754).
  const bool slow = steady_clock::now() - commit_began > std::chrono::seconds(5);
  rd_kafka_poll(client_->get(), 0);
  return {.end = TransactionEnd::kCommitted,
          .ambiguous = retried_ || slow || client_->signals().troubles() != troubles_before,
          .why = OkStatus()};
}

}  // namespace trawl::storage
