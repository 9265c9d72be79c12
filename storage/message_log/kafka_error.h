#pragma once
// librdkafka's several hundred error codes, as the few of ours that decide a route.

#include "config/status.h"
#include "storage/message_log/kafka_client.h"

namespace trawl::storage {

/// kUnavailable for everything that may pass (brokers, coordinators, timeouts); a definite code
/// where the broker said something definite.
Code CodeOf(rd_kafka_resp_err_t error);

/// An rd_kafka_error_t, read out and destroyed.
struct KafkaFailure {
  rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
  bool retriable = false;  // the same call again may succeed
  bool fatal = false;      // this producer is dead
  std::string message{};

  static KafkaFailure Of(const rd_kafka_error_t& error);
  /// True when a newer epoch of the same transactional id exists.
  bool fenced() const;
};

}  // namespace trawl::storage
