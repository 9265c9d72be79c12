#include "ops/cli/failing_jobs.h"

#include <chrono>
#include <utility>

#include "config/clock.h"
#include "ops/telemetry/log.h"
#include "producer/commands.h"

namespace trawl::ops {
namespace {

using storage::JobStatus;

/// With fewer, a few bad objects at the start could look like all of a job.
constexpr uint64_t kEnoughToTell = 1'000;
constexpr std::chrono::seconds kBetweenLooks{2};

}  // namespace

bool MostlyFails(const JobStatus& job, int64_t percent) {
  const uint64_t ended = job.done + job.failed;
  return ended >= kEnoughToTell && job.failed * 100 > ended * static_cast<uint64_t>(percent) &&
         job.state != "cancelled" && job.state != "cancelling";
}

FailingJobs::FailingJobs(std::string db, int64_t percent, storage::MessageLog& log)
    : db_(std::move(db)),
      percent_(percent),
      log_(log),
      thread_([this](std::stop_token stop) { Watch(std::move(stop)); }) {}

void FailingJobs::Watch(std::stop_token stop) {
  const auto reader = storage::OpenResultReader(db_);
  if (!reader) {
    Log(LogLevel::kWarn, "jobs that mostly fail are not looked for",
        {{"reason", reader.error().message()}});
    return;
  }
  bool is_first = true;
  do {
    const auto jobs = (*reader)->Jobs();
    if (!jobs) continue;  // the next look may be luckier
    for (const JobStatus& job : *jobs) {
      const bool fails = MostlyFails(job, percent_);
      const bool failed_before = std::exchange(fails_[job.job_id], fails);
      if (fails && !failed_before && !is_first) Pause(job, stop);
    }
    is_first = false;
  } while (SystemClock().SleepFor(kBetweenLooks, stop));
}

void FailingJobs::Pause(const JobStatus& job, std::stop_token stop) {
  if (job.state != "running" && job.state != "listing") return;
  const auto paused = producer::ControlJob(log_, job.job_id, JobControl::kPaused, std::move(stop));
  if (paused) {
    Log(LogLevel::kError, "a job is paused: too many of its objects fail",
        {{"job", job.job_id}, {"done", job.done}, {"failed", job.failed}});
  } else {
    Log(LogLevel::kError, "too many objects of a job fail, and it cannot be paused",
        {{"job", job.job_id}, {"reason", paused.error().message()}});
  }
}

}  // namespace trawl::ops
