#pragma once
// The transactional producer on librdkafka: which way out a transaction takes that did not simply
// commit.
//
// There is only one: dispose of the session and open the next one with the same transactional id.
// Opening makes the broker end the open transaction, so it also is the abort, and a safer one:
// rd_kafka_abort_transaction can overtake the registration of its own partitions and leave an open
// transaction behind (#4849).

#include <chrono>
#include <deque>
#include <memory>
#include <string>

#include "storage/message_log/kafka_counters.h"
#include "storage/message_log/kafka_session.h"

namespace trawl::storage {

/// As TransactionalProducer.
class KafkaProducer final : public TransactionalProducer {
 public:
  /// The references outlive the producer.
  static Result<std::unique_ptr<TransactionalProducer>> Open(const Settings& settings,
                                                             const std::string& transactional_id,
                                                             KafkaAdmin& admin,
                                                             KafkaCounters& counters);
  Status Commit(const Transaction& transaction) override;

 private:
  using Clock = std::chrono::steady_clock;
  /// For the coordinator to load, elect or abort what was left open.
  static constexpr std::chrono::seconds kOpenWithin{10};

  KafkaProducer(const Settings& settings, std::string transactional_id, KafkaAdmin& admin,
                KafkaCounters& counters)
      : settings_(settings),
        transactional_id_(std::move(transactional_id)),
        admin_(admin),
        counters_(counters) {}

  Status OpenSession(std::chrono::milliseconds within = kOpenWithin);
  /// Waits longer and longer between fatal failures. Errors: kInternal after too many.
  Status BackOff(const Status& why);
  /// `hurried`: opens nothing, which the next Commit does.
  Status Recover(const TransactionReport& report, Clock::time_point began, bool hurried);
  Status NotCommitted(const Status& why) const;

  const Settings& settings_;
  const std::string transactional_id_;
  KafkaAdmin& admin_;
  KafkaCounters& counters_;
  std::unique_ptr<ProducerSession> session_;  // null: to be opened by the next Commit
  std::deque<Clock::time_point> fatal_;       // those of the last five minutes
  bool fenced_ = false;
};

}  // namespace trawl::storage
