#pragma once
// Text for tables and CSV. Keys and labels are hostile: what goes to a terminal passes through
// EscapeForTerminal (ops/telemetry/log.h), what goes to a spreadsheet through CsvCell.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace trawl::ops {

/// Quoted where RFC 4180 asks for it. A cell that a spreadsheet would run as a formula gets a
/// leading '.
std::string CsvCell(std::string_view text);

/// Columns of a table, as wide as their widest cell, one header line. Right-aligned where
/// `right[i]`.
std::string FormatTable(const std::vector<std::string>& header,
                        const std::vector<std::vector<std::string>>& rows,
                        const std::vector<bool>& right);

/// "1 h 02 min", "3 min 20 s", "12 s".
std::string FormatDuration(double seconds);

/// "1 object", "2 objects": the plural with an s.
std::string Count(uint64_t count, std::string_view noun);

}  // namespace trawl::ops
