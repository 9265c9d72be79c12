// `trawl pause`, `trawl resume`, `trawl cancel`: what a person wants of a job.

#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "config/json_writer.h"
#include "ops/cli/commands.h"
#include "ops/cli/exit_code.h"
#include "ops/cli/job_log.h"
#include "ops/telemetry/log.h"
#include "producer/commands.h"

namespace trawl::ops {
namespace {

Result<JobRecord> Apply(const ControlArguments& arguments, const Settings& settings,
                        std::stop_token stop) {
  TRAWL_ASSIGN(const auto log, OpenJobLog(arguments.db, settings));
  TRAWL_ASSIGN(JobRecord job, producer::ControlJob(*log, arguments.job, arguments.wanted, stop));
  std::error_code error;
  if (std::filesystem::exists(arguments.db, error))
    TRAWL_TRY(PutJobIntoDatabase(arguments.db, job));
  return job;
}

const char* Meaning(JobControl wanted) {
  switch (wanted) {
    case JobControl::kRun:
      return "runs; listing and workers go on where they were";
    case JobControl::kPaused:
      return "is paused; what workers have begun is finished, the rest waits for trawl resume";
    case JobControl::kCancelled:
      return "is cancelled; objects that were not begun end as failures with the code cancelled";
  }
  return "";
}

}  // namespace

int ControlJob(const ControlArguments& arguments, const Settings& settings, SignalStops& signals) {
  const auto job = Apply(arguments, settings, signals.stops().drain);
  if (!job) return FailJob(job.error());
  if (arguments.json) {
    JsonObject json;
    PutText(json, "job", job->job_id);
    json["control"] = ToString(job->control);
    json["enqueued"] = job->objects;
    fmt::print("{}\n", Dump(json));
  } else {
    fmt::print("{} {}\n", EscapeForTerminal(job->job_id), Meaning(job->control));
  }
  return kExitDone;
}

}  // namespace trawl::ops
