#pragma once
// Unix time in milliseconds as people read it: "2026-01-31T23:59:59.123Z".

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace trawl {

/// Times outside the years 1970 to 9999 are clamped to them.
std::string FormatUtc(int64_t unix_ms);
/// None unless `text` is exactly what FormatUtc writes (a real date, three digits of milliseconds,
/// Z).
std::optional<int64_t> ParseUtc(std::string_view text);

}  // namespace trawl
