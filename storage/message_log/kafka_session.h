#pragma once
// One librdkafka producer from init_transactions to its end: the mechanism of a transaction. What
// to do when one does not commit is kafka_producer's to decide; a session that reported anything
// but kCommitted is only good for disposal.

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "config/settings.h"
#include "storage/message_log/kafka_admin.h"
#include "storage/message_log/kafka_client.h"
#include "storage/message_log/kafka_error.h"
#include "storage/message_log/message_log.h"

namespace trawl::storage {

enum class TransactionEnd {
  kCommitted,
  kFailed,  // aborted, or nobody can tell
  kFenced,  // a newer epoch of the transactional id exists
};

struct TransactionReport {
  TransactionEnd end = TransactionEnd::kFailed;
  /// The commit was sent more than once, or connections broke meanwhile. A copy of it may still be
  /// under way and would end the *next* transaction of this session (KAFKA-17754).
  bool ambiguous = false;
  bool fatal = false;  // the handle is dead
  Status why;          // OK when committed
};

/// Not thread-safe.
class ProducerSession {
 public:
  using Deadline = std::chrono::steady_clock::time_point;

  /// Fences every earlier session of `transactional_id` and ends its open transaction.
  /// Errors: kUnavailable, kPermissionDenied, kInvalidArgument (settings).
  static Result<std::unique_ptr<ProducerSession>> Open(const Settings& settings,
                                                       const std::string& transactional_id,
                                                       const KafkaAdmin& admin, Deadline deadline);
  ~ProducerSession();

  /// Makes the topics of `transaction` known to the handle, so that the transaction itself waits
  /// for no metadata. Errors: kFailedPrecondition (no such topic), kInvalidArgument (no such
  /// partition), kUnavailable.
  Status Prepare(const Transaction& transaction, KafkaAdmin& admin);

  /// One transaction, once. Gives up at `deadline`.
  TransactionReport Run(const Transaction& transaction, Deadline deadline);

 private:
  struct Topic {
    KafkaTopic handle;
    int partitions = 0;
  };

  ProducerSession() = default;

  void OnDelivery(const rd_kafka_message_t& message);
  std::optional<KafkaFailure> FatalFailure() const;
  Status Learn(const std::string& topic, KafkaAdmin& admin);
  std::optional<KafkaFailure> Produce(const Transaction& transaction, Deadline deadline);
  std::optional<KafkaFailure> SendOffsets(const Transaction& transaction, Deadline deadline);
  std::optional<KafkaFailure> Deliver(Deadline deadline);
  std::optional<KafkaFailure> Commit(Deadline deadline);
  /// Calls again while the failure is retriable and there is time, as these functions of librdkafka
  /// demand.
  template <class Call>
  std::optional<KafkaFailure> Insist(Deadline deadline, Call call);

  std::shared_ptr<KafkaClient> client_;
  std::map<std::string, Topic> topics_;
  std::optional<KafkaFailure> undelivered_;  // the first failed delivery of this transaction
  bool committing_ = false;                  // the commit has been sent
  bool retried_ = false;                     // and not only once
};

}  // namespace trawl::storage
