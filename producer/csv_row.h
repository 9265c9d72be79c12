#pragma once
// One row of a CSV file.

#include <string>
#include <string_view>
#include <vector>

#include "config/status.h"

namespace trawl::producer {

/// The cells of `line` as RFC 4180 writes them: parted by commas, in quotes where they hold commas
/// or quotes. Cells do not span lines. Errors: kInvalidArgument (a quote that is not closed, or is
/// followed by more).
Result<std::vector<std::string>> ParseCsvRow(std::string_view line);

}  // namespace trawl::producer
