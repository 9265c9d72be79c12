#include "ops/cli/job_log.h"

#include <fmt/format.h>

#include <cstdio>
#include <filesystem>

#include "ops/cli/fleet.h"
#include "ops/cli/text.h"
#include "producer/commands.h"
#include "storage/message_log/embedded_log.h"

namespace trawl::ops {
namespace {

// Brokers end transactions that have timed out in rounds of 10 s.
constexpr std::chrono::seconds kBrokerSlack{12};

}  // namespace

std::string RunLogPath(const std::string& db) { return db + ".log"; }

bool IsRunDatabase(const std::string& db) {
  std::error_code error;
  return !db.empty() && std::filesystem::exists(RunLogPath(db), error);
}

Result<std::unique_ptr<storage::MessageLog>> OpenJobLog(const std::string& db,
                                                        const Settings& settings) {
  if (IsRunDatabase(db)) return storage::OpenEmbeddedLog(RunLogPath(db));
  if (!settings.brokers.empty()) return OpenFleetLog(settings);
  if (db.empty())
    return Error(Code::kInvalidArgument,
                 "whose job is it? Give --db for a job of trawl run, --brokers for the fleet's");
  return Error(Code::kInvalidArgument,
               "there is no {}, so it is no database of trawl run; for a fleet's job, give "
               "--brokers",
               RunLogPath(db));
}

Status PutJobIntoDatabase(const std::string& db, storage::MessageLog& log, const JobRecord& job) {
  TRAWL_ASSIGN(const std::string identity, log.Identity());
  TRAWL_ASSIGN(const auto results, storage::OpenResultStore(db));
  if (const auto offsets = results->Offsets(identity); !offsets) return offsets.error();
  const auto written = results->Write({.results = {}, .jobs = {job}, .steps = {}});
  return written ? OkStatus() : written.error();
}

Result<JobBooks> OpenJobBooks(const std::string& job_id, const std::string& db,
                              const Settings& settings, std::stop_token stop) {
  JobBooks books;
  TRAWL_ASSIGN(books.log, OpenJobLog(db, settings));
  TRAWL_ASSIGN(books.reader, storage::OpenResultReader(db));
  TRAWL_ASSIGN(const JobRecord job, producer::FindJob(*books.log, job_id, stop));
  producer::AuditOptions options{.log = *books.log,
                                 .reader = *books.reader,
                                 .job = job,
                                 .group = settings.group,
                                 .settle = {},
                                 .on_second_look = {}};
  if (!IsRunDatabase(db))  // where many workers write, one that died can hide what others did
    options.settle = std::chrono::milliseconds(settings.transaction_timeout_ms) + kBrokerSlack;
  options.on_second_look = [&](uint64_t objects) {
    fmt::print(stderr,
               "{} without an outcome; looking again in {}, when transactions that may hide some "
               "have ended\n",
               Count(objects, "object"),
               FormatDuration(static_cast<double>(options.settle.count()) / 1e3));
  };
  TRAWL_ASSIGN(books.audit, producer::AuditJob(options, std::move(stop)));
  return books;
}

}  // namespace trawl::ops
