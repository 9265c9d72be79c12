// `trawl repair` and `trawl retry`: objects of a job are enqueued again, as a new attempt.

#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "config/json_writer.h"
#include "config/suggest.h"
#include "ops/cli/commands.h"
#include "ops/cli/exit_code.h"
#include "ops/cli/job_log.h"
#include "ops/cli/text.h"
#include "ops/telemetry/log.h"
#include "producer/commands.h"

namespace trawl::ops {
namespace {

using producer::Audit;
using producer::ObjectSet;
using producer::RequeueReport;

Result<RequeueReport> RequeueObjects(const JobBooks& books, const std::string& db,
                                     const Settings& settings, const ObjectSet& wanted,
                                     bool as_listed, std::stop_token stop) {
  if (wanted.empty()) return RequeueReport{.job = books.audit.job};
  TRAWL_ASSIGN(RequeueReport report,
               producer::Requeue({.log = *books.log,
                                  .job = books.audit.job,
                                  .wanted = wanted,
                                  .as_listed = as_listed,
                                  .page_objects = static_cast<size_t>(settings.list_page_keys)},
                                 std::move(stop)));
  TRAWL_TRY(PutJobIntoDatabase(db, *books.log, report.job));
  return report;
}

Result<RequeueReport> RepairJob(const RepairArguments& arguments, const Settings& settings,
                                std::stop_token stop) {
  TRAWL_ASSIGN(const JobBooks books, OpenJobBooks(arguments.job, arguments.db, settings, stop));
  const Audit& audit = books.audit;
  // The counters first: what comes again is added to them. How many later attempts have ended can
  // be told only while none is under way.
  if (audit.counters_differ()) {
    std::optional<uint64_t> requeue_ended;
    if (audit.requeued_under_way == 0) requeue_ended = audit.job.requeued;
    TRAWL_TRY(storage::RecountJob(arguments.db, arguments.job, requeue_ended));
  }
  if (audit.unnamed > 0)
    fmt::print(stderr,
               "trawl: {} missing and no longer on the work topic: only a new job can "
               "bring them\n",
               Count(audit.unnamed, "object"));
  return RequeueObjects(books, arguments.db, settings, audit.missing, /*as_listed=*/true,
                        std::move(stop));
}

Result<RequeueReport> RetryJob(const RetryArguments& arguments, const Settings& settings,
                               std::stop_token stop) {
  std::optional<ObjectErrorCode> code;
  if (!arguments.code.empty()) {
    code = ParseObjectErrorCode(arguments.code);
    if (!code)
      return Error(Code::kInvalidArgument, "--code {}: no error code of an object{}",
                   arguments.code, DidYouMean(arguments.code, ObjectErrorNames()));
  }
  TRAWL_ASSIGN(const JobBooks books, OpenJobBooks(arguments.job, arguments.db, settings, stop));
  ObjectSet wanted;
  const auto account = books.reader->Ledger(arguments.job, [&](const storage::LedgerRow& row) {
    if (!row.error || (code && row.error != code)) return;
    // Enqueued again already, and on its way.
    if (books.audit.pending.Contains(row.batch_seq, row.index) ||
        books.audit.uncollected.Contains(row.batch_seq, row.index))
      return;
    wanted.Insert(row.batch_seq, row.index);
  });
  if (!account) return tl::unexpected(account.error());
  TRAWL_ASSIGN(RequeueReport report, RequeueObjects(books, arguments.db, settings, wanted,
                                                    /*as_listed=*/false, std::move(stop)));
  if (report.objects < wanted.size())
    fmt::print(stderr,
               "trawl: {} no longer on the work topic; as a new job: trawl results {} --db {} "
               "--failed --json is a manifest\n",
               Count(wanted.size() - report.objects, "failed object"), arguments.job, arguments.db);
  return report;
}

int PrintReport(const Result<RequeueReport>& report, bool json, const char* nothing) {
  if (!report) return FailJob(report.error());
  if (json) {
    JsonObject line;
    PutText(line, "job", report->job.job_id);
    line["requeued"] = report->objects;
    line["attempt"] = report->job.attempt;
    fmt::print("{}\n", Dump(line));
  } else if (report->objects == 0) {
    fmt::print("{}: {}\n", EscapeForTerminal(report->job.job_id), nothing);
  } else {
    fmt::print("{}: {} enqueued again as attempt {}\n", EscapeForTerminal(report->job.job_id),
               Count(report->objects, "object"), report->job.attempt);
  }
  return kExitDone;
}

/// A fleet works on it at once; trawl run has to be started.
void PrintHint(const std::string& db, const Result<RequeueReport>& report) {
  if (!report || report->objects == 0 || !IsRunDatabase(db)) return;
  fmt::print(stderr, "The trawl run command with --job {} works on them.\n",
             EscapeForTerminal(report->job.job_id));
}

}  // namespace

int Repair(const RepairArguments& arguments, const Settings& settings, SignalStops& signals) {
  const auto report = RepairJob(arguments, settings, signals.stops().drain);
  const int code = PrintReport(report, arguments.json, "nothing is missing");
  PrintHint(arguments.db, report);
  return code;
}

int Retry(const RetryArguments& arguments, const Settings& settings, SignalStops& signals) {
  const auto report = RetryJob(arguments, settings, signals.stops().drain);
  const int code = PrintReport(report, arguments.json, "no such failure to try again");
  PrintHint(arguments.db, report);
  return code;
}

}  // namespace trawl::ops
