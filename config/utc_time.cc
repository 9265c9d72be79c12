#include "config/utc_time.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

namespace trawl {
namespace {

namespace chrono = std::chrono;

constexpr int64_t kDayMs = 86'400'000;
constexpr int64_t kLastMs = 253'402'300'799'999;  // 9999-12-31T23:59:59.999Z

/// The number in text[from, from + digits), or -1.
int ReadDigits(std::string_view text, size_t from, size_t digits) {
  int value = 0;
  for (const char c : text.substr(from, digits)) {
    if (c < '0' || c > '9') return -1;
    value = value * 10 + (c - '0');
  }
  return value;
}

}  // namespace

std::string FormatUtc(int64_t unix_ms) {
  const int64_t ms = std::clamp<int64_t>(unix_ms, 0, kLastMs);
  const chrono::year_month_day date{chrono::sys_days{chrono::days{ms / kDayMs}}};
  const int64_t of_day = ms % kDayMs;
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     of_day / 3'600'000, of_day / 60'000 % 60, of_day / 1'000 % 60, of_day % 1'000);
}

std::optional<int64_t> ParseUtc(std::string_view text) {
  if (text.size() != 24) return std::nullopt;
  const chrono::year_month_day date{
      chrono::year{ReadDigits(text, 0, 4)},
      chrono::month{static_cast<unsigned>(std::max(0, ReadDigits(text, 5, 2)))},
      chrono::day{static_cast<unsigned>(std::max(0, ReadDigits(text, 8, 2)))}};
  if (!date.ok()) return std::nullopt;
  const int64_t of_day = ReadDigits(text, 11, 2) * 3'600'000LL +
                         ReadDigits(text, 14, 2) * 60'000LL + ReadDigits(text, 17, 2) * 1'000LL +
                         ReadDigits(text, 20, 3);
  const int64_t ms = chrono::sys_days{date}.time_since_epoch().count() * kDayMs + of_day;
  // Writing it again finds wrong separators, hour 25, letters among the digits and years before
  // 1970.
  if (FormatUtc(ms) != text) return std::nullopt;
  return ms;
}

}  // namespace trawl
