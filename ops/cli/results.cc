// `trawl results`: predictions and failures of a job, as a table, JSON or CSV.

#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>

#include "config/json_writer.h"
#include "ops/cli/commands.h"
#include "ops/cli/exit_code.h"
#include "ops/cli/text.h"
#include "ops/telemetry/log.h"
#include "storage/result_store/result_store.h"

namespace trawl::ops {
namespace {

using storage::ResultRow;

constexpr size_t kTablePageRows =
    200;  // widths are fitted page by page, so that a million rows need no memory
constexpr const char* kCsvHeader =
    "key,status,rank,class,label,probability,error_code,error_message\n";

std::string JsonLine(const ResultRow& row) {
  JsonObject json;
  PutText(json, "key", row.key);
  if (row.error)
    json["error"] = ToJson(*row.error);
  else
    json["predictions"] = ToJson(row.predictions);
  return Dump(json) + '\n';
}

std::string CsvLines(const ResultRow& row) {
  if (row.error)
    return fmt::format("{},failed,,,,,{},{}\n", CsvCell(row.key), ToString(row.error->code),
                       CsvCell(row.error->message));
  std::string lines;
  for (size_t rank = 0; rank < row.predictions.size(); ++rank) {
    const Prediction& prediction = row.predictions[rank];
    lines += fmt::format("{},ok,{},{},{},{},,\n", CsvCell(row.key), rank + 1,
                         prediction.class_index, CsvCell(prediction.label), prediction.probability);
  }
  return lines;
}

/// "tench 98.1 %  barracouta 0.4 %  …", or "failed: not_an_image: …".
std::vector<std::string> TableCells(const ResultRow& row) {
  std::vector<std::string> cells{EscapeForTerminal(row.key)};
  if (row.error) {
    cells.push_back(fmt::format("failed: {}", ToString(row.error->code)));
    cells.push_back(EscapeForTerminal(row.error->message));
    return cells;
  }
  std::string others;
  for (size_t i = 0; i < row.predictions.size(); ++i) {
    const Prediction& prediction = row.predictions[i];
    const std::string name = prediction.label.empty()
                                 ? fmt::format("class {}", prediction.class_index)
                                 : EscapeForTerminal(prediction.label);
    const std::string text = fmt::format("{} {:.1f} %", name, 100 * prediction.probability);
    if (i == 0)
      cells.push_back(text);
    else
      others += (others.empty() ? "" : ", ") + text;
  }
  cells.resize(2);
  cells.push_back(others);
  return cells;
}

class TablePrinter {
 public:
  void Add(const ResultRow& row) {
    rows_.push_back(TableCells(row));
    if (rows_.size() == kTablePageRows) Flush();
  }

  void Flush() {
    if (!rows_.empty())
      fmt::print("{}", FormatTable({"KEY", "TOP-1", "NEXT"}, rows_, {false, false, false}));
    rows_.clear();
  }

 private:
  std::vector<std::vector<std::string>> rows_;
};

Status PrintRows(const ResultsArguments& arguments) {
  TRAWL_ASSIGN(const auto reader, storage::OpenResultReader(arguments.db));
  TRAWL_TRY([&]() -> Status {
    const auto job = reader->Job(arguments.job);
    return job ? OkStatus() : job.error();
  }());
  TablePrinter table;
  if (arguments.format == ResultsFormat::kCsv) std::fputs(kCsvHeader, stdout);
  TRAWL_TRY(reader->Rows(
      arguments.job, arguments.failed_only, arguments.limit, [&](const ResultRow& row) {
        switch (arguments.format) {
          case ResultsFormat::kTable:
            table.Add(row);
            break;
          case ResultsFormat::kJson:
            std::fputs(JsonLine(row).c_str(), stdout);
            break;
          case ResultsFormat::kCsv:
            std::fputs(CsvLines(row).c_str(), stdout);
            break;
        }
        return std::ferror(stdout) == 0;  // the reader of a pipe may have seen enough
      }));
  table.Flush();
  return OkStatus();
}

}  // namespace

int PrintResults(const ResultsArguments& arguments) {
  const Status status = PrintRows(arguments);
  if (status.ok()) return kExitDone;
  return FailJob(status);
}

}  // namespace trawl::ops
