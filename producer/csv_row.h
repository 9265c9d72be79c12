#pragma once
// One row of a CSV file.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/status.h"

namespace trawl::producer {

/// The cells of `line` as RFC 4180 writes them: parted by commas, in quotes where they hold commas
/// or quotes. Cells do not span lines. Errors: kInvalidArgument (a quote that is not closed, or is
/// followed by more).
Result<std::vector<std::string>> ParseCsvRow(std::string_view line);

/// What an object can have at most, as manifests say it.
inline constexpr uint64_t kMaxObjectBytes = 1ULL << 53;

/// A cell as a number of bytes. Errors: kInvalidArgument.
Result<uint64_t> ParseSize(std::string_view cell);

}  // namespace trawl::producer
