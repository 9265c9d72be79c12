#pragma once
// What the three roles of the fleet share: opening the log on Kafka.

#include <memory>

#include "config/settings.h"
#include "storage/message_log/message_log.h"

namespace trawl::ops {

/// Connects to settings.brokers. Errors: kInvalidArgument without --brokers, kUnavailable when
/// nobody answers.
Result<std::unique_ptr<storage::MessageLog>> OpenFleetLog(const Settings& settings);

}  // namespace trawl::ops
