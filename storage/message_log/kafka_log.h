#pragma once
// The Kafka adapter of the message_log port, for fleets: Apache Kafka 2.5 or later through
// librdkafka.

#include <memory>

#include "config/settings.h"
#include "storage/message_log/message_log.h"

namespace trawl::storage {

/// Connects to `settings.brokers`. Uses brokers, group (for access rules only),
/// transaction_timeout_ms, session_timeout_ms and the pass-through names in `kafka`. Errors, each
/// naming its cause: kInvalidArgument (no brokers; a name or value that librdkafka refuses; a name
/// that Trawl's promise depends on), kUnavailable after 10 s when no broker answers.
Result<std::unique_ptr<MessageLog>> OpenKafkaLog(const Settings& settings);

}  // namespace trawl::storage
