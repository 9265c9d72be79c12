// `trawl status`: how far jobs are, read from the database that the collector writes.

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "config/clock.h"
#include "config/json_writer.h"
#include "ops/cli/bottleneck.h"
#include "ops/cli/commands.h"
#include "ops/cli/exit_code.h"
#include "ops/cli/failing_jobs.h"
#include "ops/cli/progress.h"
#include "ops/cli/text.h"
#include "ops/telemetry/log.h"
#include "storage/result_store/result_store.h"

namespace trawl::ops {
namespace {

using std::chrono::milliseconds;
using storage::JobStatus;

constexpr milliseconds kPollInterval{250};
// --wait gives the collector this long to hear of a job that was submitted a moment ago.
constexpr std::chrono::seconds kAppearTimeout{30};

/// A running job of which nothing has ended for so long is said to be stalled.
constexpr int64_t kStalledMs = 600'000;

/// The database cannot know that nobody writes into it any more.
std::string StateNow(const JobStatus& job) {
  const int64_t moved_ms = std::max(job.created_at_ms, job.last_result_ms.value_or(0));
  const bool stalled =
      job.state == "running" && SystemClock().WallMillis() - moved_ms >= kStalledMs;
  return stalled ? "stalled" : job.state;
}

/// Shares of the stages in the time that the job's objects spent in them; they say where more hands
/// would help.
struct BusyShares {
  double download = 0, decode = 0, infer = 0;
};

BusyShares SharesOf(const StageTimings& busy) {
  const double total = busy.download_ms + busy.decode_ms + busy.infer_ms;
  if (total <= 0) return {};
  return {busy.download_ms / total, busy.decode_ms / total, busy.infer_ms / total};
}

JsonObject StatusJson(const JobStatus& job) {
  const BusyShares shares = SharesOf(job.busy);
  JsonObject json;
  json["job"] = job.job_id;
  json["state"] = StateNow(job);
  PutText(json, "source", job.source);
  json["model"] = job.model_name;
  json["model_digest"] = job.model_digest;
  json["enqueued"] = job.enqueued;
  json["done"] = job.done;
  json["failed"] = job.failed;
  json["mostly_fails"] = MostlyFails(job);
  json["rate_per_second"] = job.rate_per_second;
  json["eta_seconds"] = job.eta_seconds ? JsonObject(*job.eta_seconds) : nullptr;
  json["busy_share"] = {
      {"download", shares.download}, {"decode", shares.decode}, {"infer", shares.infer}};
  json["downloads"] = ToJson(job.downloads);
  json["bottleneck"] = nullptr;
  if (!job.times) return json;
  json["worker_times_s"] = ToJson(*job.times);
  if (const auto bottleneck = FindBottleneck(*job.times))
    json["bottleneck"] = {{"stage", bottleneck->stage}, {"reason", bottleneck->reason}};
  return json;
}

/// What did not happen is left out.
std::string FormatTraffic(const DownloadTraffic& traffic) {
  std::string text = fmt::format("{}, {:.1f} MiB", Count(traffic.requests, "request"),
                                 static_cast<double>(traffic.bytes) / (1 << 20));
  const auto add = [&text](uint64_t count, const char* what) {
    if (count > 0) text += fmt::format(", {} {}", count, what);
  };
  add(traffic.retries, "repeated");
  add(traffic.throttled, "throttled (waited for; no errors)");
  add(traffic.hedges, "sent twice because they were late");
  add(traffic.outages, "times an outage waited for");
  return text;
}

void PrintJob(const JobStatus& job) {
  const BusyShares shares = SharesOf(job.busy);
  fmt::print("job        {}\n", EscapeForTerminal(job.job_id));
  const std::string state = StateNow(job);
  fmt::print("state      {}{}\n", state,
             state == "stalled" ? " (nothing has ended for ten minutes: are there workers, and is "
                                  "the collector running?)"
                                : "");
  fmt::print("source     {}\n", EscapeForTerminal(job.source));
  fmt::print("model      {} ({:.12})\n", EscapeForTerminal(job.model_name), job.model_digest);
  fmt::print("enqueued   {}{}\n", job.enqueued, job.state == "listing" ? "+ (still listing)" : "");
  fmt::print("done       {}\n", job.done);
  fmt::print("failed     {}{}\n", job.failed,
             !MostlyFails(job) ? ""
             : state == "paused"
                 ? " (more than half: trawl results --failed says why, and trawl resume lets the "
                   "rest of it go on all the same)"
                 : " (more than half: trawl results --failed says why, and trawl pause keeps the "
                   "rest from it)");
  fmt::print("rate       {:.1f}/s\n", job.rate_per_second);
  if (job.eta_seconds) fmt::print("left       {}\n", FormatDuration(*job.eta_seconds));
  fmt::print("busy       download {:.0f} %, decode {:.0f} %, infer {:.0f} %\n",
             100 * shares.download, 100 * shares.decode, 100 * shares.infer);
  if (job.downloads.requests > 0) fmt::print("downloads  {}\n", FormatTraffic(job.downloads));
  const auto bottleneck = job.times ? FindBottleneck(*job.times) : std::nullopt;
  if (bottleneck) fmt::print("bottleneck: {} ({})\n", bottleneck->stage, bottleneck->reason);
}

/// Messages that were no work: not a job, though their failures are kept like one's.
bool IsMalformed(const JobStatus& job) { return job.state == "malformed"; }

void PrintMalformed(const JobStatus& messages) {
  const std::string name = EscapeForTerminal(messages.job_id);
  fmt::print("{} on {} (see trawl results {} --failed)\n",
             Count(messages.failed, "malformed message"), name.substr(name.find('/') + 1), name);
}

void PrintJobs(const std::vector<JobStatus>& jobs) {
  std::vector<std::vector<std::string>> rows;
  for (const JobStatus& job : jobs) {
    if (IsMalformed(job)) continue;
    rows.push_back({EscapeForTerminal(job.job_id), StateNow(job), std::to_string(job.enqueued),
                    std::to_string(job.done), std::to_string(job.failed),
                    fmt::format("{:.1f}", job.rate_per_second), EscapeForTerminal(job.model_name)});
  }
  fmt::print("{}", FormatTable({"JOB", "STATE", "ENQUEUED", "DONE", "FAILED", "RATE/S", "MODEL"},
                               rows, {false, false, true, true, true, true, false}));
  for (const JobStatus& job : jobs)
    if (IsMalformed(job)) PrintMalformed(job);
}

/// The database may not exist yet either: the collector makes it.
Result<JobStatus> ReadJob(const StatusArguments& arguments) {
  TRAWL_ASSIGN(const auto reader, storage::OpenResultReader(arguments.db));
  return reader->Job(arguments.job);
}

Result<JobStatus> WaitForJob(const StatusArguments& arguments, const SignalStops& signals) {
  const auto give_up = SystemClock().Now() + kAppearTimeout;
  ProgressLine line;
  while (true) {
    auto job = ReadJob(arguments);
    const bool missing = !job && job.error().code() == Code::kNotFound;
    if (!job && (!missing || SystemClock().Now() > give_up)) return job;
    if (job)
      line.Show(
          {job->enqueued, job->state == "listing", job->done, job->failed, job->rate_per_second});
    const bool complete = job && job->ended();
    if (complete || !SystemClock().SleepFor(kPollInterval, signals.stops().drain)) {
      line.Finish();
      if (complete) return job;
      return Error(Code::kCancelled, "interrupted before job {} was complete", arguments.job);
    }
  }
}

int PrintAllJobs(const StatusArguments& arguments) {
  const auto reader = storage::OpenResultReader(arguments.db);
  if (!reader) return Fail(reader.error());
  const auto jobs = (*reader)->Jobs();
  if (!jobs) return Fail(jobs.error());
  if (!arguments.json) PrintJobs(*jobs);
  for (const JobStatus& job : *jobs)
    if (arguments.json) fmt::print("{}\n", Dump(StatusJson(job)));
  return kExitDone;
}

}  // namespace

int PrintStatus(const StatusArguments& arguments, SignalStops& signals) {
  if (arguments.job.empty() && arguments.wait)
    return Fail(Status(Code::kInvalidArgument, "--wait needs a JOB"));
  if (arguments.job.empty()) return PrintAllJobs(arguments);
  const auto job = arguments.wait ? WaitForJob(arguments, signals) : ReadJob(arguments);
  if (!job) return FailJob(job.error());
  if (arguments.json)
    fmt::print("{}\n", Dump(StatusJson(*job)));
  else
    IsMalformed(*job) ? PrintMalformed(*job) : PrintJob(*job);
  return kExitDone;
}

}  // namespace trawl::ops
