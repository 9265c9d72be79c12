#pragma once
// Settings → librdkafka's configuration, one function per kind of handle. Each property that
// Trawl's promise depends on is set here, with its reason, and refused in the pass-through.

#include <string>

#include "config/settings.h"
#include "storage/message_log/kafka_client.h"

namespace trawl::storage {

/// For metadata and administration only. Errors of all four: kInvalidArgument naming the property.
Result<KafkaConf> AdminConf(const Settings& settings);
/// A member of `group`.
Result<KafkaConf> GroupConsumerConf(const Settings& settings, const std::string& group);
/// Reads assigned partitions from given offsets; joins nothing and commits nothing.
Result<KafkaConf> AssignedConsumerConf(const Settings& settings);
Result<KafkaConf> ProducerConf(const Settings& settings, const std::string& transactional_id);

/// What a produced record may add to kMaxRecordBytes on its way: headers, framing.
inline constexpr size_t kRecordOverheadBytes = 64U << 10;

}  // namespace trawl::storage
