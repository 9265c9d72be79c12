#pragma once
// The log of a process: one event, one line on stderr; a constant message and fields. What repeats
// is counted instead of written. Never put credentials or signed URLs into a field.

#include <fmt/format.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace trawl::ops {

enum class LogLevel { kDebug, kInfo, kWarn, kError };

/// One key=value of an event. Values may hold any bytes: what could move a terminal's cursor is
/// escaped.
struct LogField {
  std::string_view name;  // a constant, snake_case
  std::string value;

  LogField(std::string_view field, std::string text) : name(field), value(std::move(text)) {}
  LogField(std::string_view field, std::string_view text) : name(field), value(text) {}
  LogField(std::string_view field, const char* text) : name(field), value(text) {}
  template <class Number>
  requires std::is_arithmetic_v<Number> LogField(std::string_view field, Number number)
      : name(field), value(fmt::format("{}", number)) {}
};

/// Writes one event. Thread-safe. `message` is a constant: warnings and errors are limited per
/// message to kLogBurst in kLogWindow, and the first one after that says how many were suppressed.
void Log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields = {});

/// For the end of a process: of what was suppressed since, no later event would tell.
void LogSuppressed();

inline constexpr int kLogBurst = 10;
inline constexpr int64_t kLogWindowMs = 10'000;

/// From the settings log-level (debug | info | warn | error; less is dropped) and log-format (text
/// | json). Call once, before threads start; without it: info, text.
void ConfigureLog(std::string_view level, std::string_view format);

/// `text` with control characters, direction overrides and bytes that are not UTF-8 as \xNN or
/// \u{N}: safe to print.
std::string EscapeForTerminal(std::string_view text);

}  // namespace trawl::ops
