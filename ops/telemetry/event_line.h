#pragma once
// How one event reads, in both formats. Internal to telemetry/.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "ops/telemetry/log.h"

namespace trawl::ops {

std::string_view ToString(LogLevel level);

/// 2026-01-31T23:59:59.123Z warn  message name=value other="two words"
std::string TextLine(int64_t unix_ms, LogLevel level, std::string_view message,
                     std::span<const LogField> fields);

/// {"time":"…","level":"warn","message":"…","name":"value"}; printable ASCII only.
std::string JsonLine(int64_t unix_ms, LogLevel level, std::string_view message,
                     std::span<const LogField> fields);

}  // namespace trawl::ops
