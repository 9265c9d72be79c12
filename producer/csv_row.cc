#include "producer/csv_row.h"

#include <algorithm>
#include <charconv>

namespace trawl::producer {
namespace {

/// Takes the cell that begins with a quote off the front of `rest`.
Result<std::string> TakeQuoted(std::string_view& rest) {
  std::string cell;
  rest.remove_prefix(1);
  while (true) {
    const size_t quote = rest.find('"');
    if (quote == std::string_view::npos)
      return Error(Code::kInvalidArgument, "a quoted cell does not end on its line");
    cell += rest.substr(0, quote);
    rest.remove_prefix(quote + 1);
    if (!rest.starts_with('"')) break;
    cell += '"';
    rest.remove_prefix(1);
  }
  if (!rest.empty() && rest.front() != ',')
    return Error(Code::kInvalidArgument, "a closing quote is followed by '{}', not by a comma",
                 rest.front());
  return cell;
}

}  // namespace

Result<std::vector<std::string>> ParseCsvRow(std::string_view line) {
  std::vector<std::string> cells;
  while (true) {
    if (line.starts_with('"')) {
      TRAWL_ASSIGN(std::string cell, TakeQuoted(line));
      cells.push_back(std::move(cell));
    } else {
      const size_t end = std::min(line.find(','), line.size());
      cells.emplace_back(line.substr(0, end));
      line.remove_prefix(end);
    }
    if (line.empty()) return cells;
    line.remove_prefix(1);  // the comma
  }
}

Result<uint64_t> ParseSize(std::string_view cell) {
  uint64_t size = 0;
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), size);
  if (error != std::errc() || end != cell.data() + cell.size() || size > kMaxObjectBytes)
    return Error(Code::kInvalidArgument, "'{}' is no size in bytes", cell);
  return size;
}

}  // namespace trawl::producer
