#include "ops/telemetry/event_line.h"

#include <nlohmann/json.hpp>

#include "config/text.h"
#include "config/utc_time.h"

namespace trawl::ops {
namespace {

/// The length of the UTF-8 character at the start of `text`, or 0 when there is none.
size_t CharacterLength(std::string_view text) {
  for (size_t length = 1; length <= 4 && length <= text.size(); ++length) {
    if (IsUtf8(text.substr(0, length))) return length;
  }
  return 0;
}

uint32_t CodePoint(std::string_view character) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(character[i]); };
  if (character.size() == 1) return byte(0);
  uint32_t code = byte(0) & (0xFFU >> (character.size() + 1));
  for (size_t i = 1; i < character.size(); ++i) code = code << 6 | (byte(i) & 0x3FU);
  return code;
}

/// C0, DEL, C1, line separators, and what changes the direction of writing.
bool MovesTheTerminal(uint32_t code) {
  return code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x061C || code == 0x200E ||
         code == 0x200F || (code >= 0x2028 && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
}

/// As typed when that is unmistakable, else in quotes.
std::string Quoted(const std::string& value) {
  if (!value.empty() && value.find_first_of(" \"=") == std::string::npos) return value;
  std::string quoted = "\"";
  for (const char c : value) {
    if (c == '"') quoted += '\\';
    quoted += c;
  }
  return quoted + '"';
}

}  // namespace

std::string_view ToString(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarn:
      return "warn";
    case LogLevel::kError:
      return "error";
  }
  return "error";
}

std::string EscapeForTerminal(std::string_view text) {
  std::string safe;
  safe.reserve(text.size());
  while (!text.empty()) {
    const size_t length = CharacterLength(text);
    if (length == 0) {
      safe += fmt::format("\\x{:02x}", static_cast<unsigned char>(text.front()));
      text.remove_prefix(1);
      continue;
    }
    const std::string_view character = text.substr(0, length);
    const uint32_t code = CodePoint(character);
    if (!MovesTheTerminal(code)) {
      safe += character;
    } else if (code < 0x80) {
      safe += fmt::format("\\x{:02x}", code);
    } else {
      safe += fmt::format("\\u{{{:x}}}", code);
    }
    text.remove_prefix(length);
  }
  return safe;
}

std::string TextLine(int64_t unix_ms, LogLevel level, std::string_view message,
                     std::span<const LogField> fields) {
  std::string line = fmt::format("{} {:5} {}", FormatUtc(unix_ms), ToString(level), message);
  for (const LogField& field : fields) {
    line += fmt::format(" {}={}", field.name, Quoted(EscapeForTerminal(field.value)));
  }
  return line;
}

std::string JsonLine(int64_t unix_ms, LogLevel level, std::string_view message,
                     std::span<const LogField> fields) {
  nlohmann::ordered_json event;
  event["time"] = FormatUtc(unix_ms);
  event["level"] = ToString(level);
  event["message"] = message;
  for (const LogField& field : fields) event[std::string(field.name)] = field.value;
  return event.dump(-1, ' ', /*ensure_ascii=*/true, nlohmann::json::error_handler_t::replace);
}

}  // namespace trawl::ops
