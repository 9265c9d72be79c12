#include "ops/cli/job_log.h"

#include <filesystem>

#include "ops/cli/fleet.h"
#include "storage/message_log/embedded_log.h"

namespace trawl::ops {

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

Status PutJobIntoDatabase(const std::string& db, const JobRecord& job) {
  TRAWL_ASSIGN(const auto results, storage::OpenResultStore(db));
  const auto written = results->Write({.results = {}, .jobs = {job}, .steps = {}});
  return written ? OkStatus() : written.error();
}

}  // namespace trawl::ops
