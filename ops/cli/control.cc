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
#include "storage/result_store/control_requests.h"

namespace trawl::ops {
namespace {

constexpr std::chrono::seconds kAnswerTimeout{10};

/// The log is in use by a `trawl run` that is at work: it does what it is asked.
Status AskRun(const ControlArguments& arguments, const Status& in_use, std::stop_token stop) {
  TRAWL_ASSIGN(const auto requests, storage::ControlRequests::Open(arguments.db));
  const Status answer =
      requests->Ask(arguments.job, arguments.wanted, kAnswerTimeout, std::move(stop));
  return answer.code() == Code::kDeadlineExceeded ? in_use : answer;
}

Status Apply(const ControlArguments& arguments, const Settings& settings, std::stop_token stop) {
  const auto log = OpenJobLog(arguments.db, settings);
  if (!log) {
    const bool in_use =
        log.error().code() == Code::kFailedPrecondition && IsRunDatabase(arguments.db);
    return in_use ? AskRun(arguments, log.error(), std::move(stop)) : log.error();
  }
  TRAWL_ASSIGN(const JobRecord job,
               producer::ControlJob(**log, arguments.job, arguments.wanted, std::move(stop)));
  std::error_code error;
  if (!std::filesystem::exists(arguments.db, error)) return OkStatus();
  return PutJobIntoDatabase(arguments.db, **log, job);
}

/// Pausing or cancelling what has ended would only make it look unfinished.
bool IsComplete(const ControlArguments& arguments) {
  std::error_code error;
  if (!std::filesystem::exists(arguments.db, error)) return false;
  const auto reader = storage::OpenResultReader(arguments.db);
  const auto job = reader ? (*reader)->Job(arguments.job) : tl::unexpected(reader.error());
  return job && job->state == "complete";
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
  if (arguments.wanted != JobControl::kRun && IsComplete(arguments))
    return Fail(Status(
        Code::kFailedPrecondition,
        fmt::format("job {} is complete: there is nothing to pause or to cancel", arguments.job)));
  const Status applied = Apply(arguments, settings, signals.stops().drain);
  if (!applied.ok()) return FailJob(applied);
  if (arguments.json) {
    JsonObject json;
    PutText(json, "job", arguments.job);
    json["control"] = ToString(arguments.wanted);
    fmt::print("{}\n", Dump(json));
  } else {
    fmt::print("{} {}\n", EscapeForTerminal(arguments.job), Meaning(arguments.wanted));
  }
  return kExitDone;
}

}  // namespace trawl::ops
