// `trawl producer`, `trawl worker`, `trawl collector`: one role each, on Kafka.

#include "ops/cli/fleet.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>
#include <random>

#include "config/clock.h"
#include "ops/cli/commands.h"
#include "ops/cli/exit_code.h"
#include "ops/cli/failing_jobs.h"
#include "ops/cli/job_setup.h"
#include "ops/cli/progress.h"
#include "ops/cli/spot_notice.h"
#include "ops/cli/text.h"
#include "producer/producer.h"
#include "storage/collector/collector.h"
#include "storage/message_log/kafka_log.h"
#include "storage/object_store/object_store.h"
#include "storage/result_store/result_store.h"
#include "storage/topics.h"
#include "worker/sandbox/child.h"
#include "worker/worker.h"

namespace trawl::ops {
namespace {

std::string HostName() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 && name[0] != '\0' ? name : "worker";
}

/// A slot's name when there is one: the restarted worker then aborts its own leftover transaction
/// at once. Else a name that no other live worker can have.
std::string WorkerName(const Settings& settings) {
  if (!settings.worker_slot.empty()) return settings.worker_slot;
  return fmt::format("{}-{:08x}", HostName(), std::random_device()());
}

/// A drained role is done, whoever asked for the stop; an aborted one was interrupted.
int Ended(const Status& status, const SignalStops& signals) {
  if (!status.ok() && status.code() != Code::kCancelled) return Fail(status);
  return signals.stops().abort.stop_requested() ? kExitInterrupted : kExitDone;
}

/// How far the producer is, as often as a person can read it.
class ListingProgress {
 public:
  void Show(const JobRecord& job) {
    // Only a listing knows what it left out; of a manifest, what was enqueued was read.
    const uint64_t listed = job.cursor.left.empty() ? job.objects : job.cursor.entries;
    const auto now = SystemClock().Now();
    if (!begun_at_) {
      begun_at_ = now;
      listed_before_ = listed;
      return;
    }
    if (now - shown_at_ < kRedraw) return;
    shown_at_ = now;
    const std::chrono::duration<double> elapsed = now - *begun_at_;
    const double rate = static_cast<double>(listed - std::min(listed, listed_before_)) /
                        std::max(elapsed.count(), 1e-3);
    line_.ShowLine(FormatListing(listed, job.objects, rate));
  }
  void Finish() { line_.Finish(); }

 private:
  static constexpr std::chrono::milliseconds kRedraw{250};
  ProgressLine line_;
  std::optional<std::chrono::steady_clock::time_point> begun_at_;
  std::chrono::steady_clock::time_point shown_at_;
  uint64_t listed_before_ = 0;
};

Result<producer::ProducerReport> ProduceJob(const ProducerArguments& arguments,
                                            const Settings& settings, StopSignals stop) {
  TRAWL_ASSIGN(PreparedJob prepared, PrepareJob(arguments.job, settings, stop.drain));
  prepared.model.reset();  // workers have their own
  TRAWL_ASSIGN(const auto log, OpenFleetLog(settings));
  TRAWL_ASSIGN(const auto objects, storage::OpenObjectStore(settings));
  TRAWL_TRY(storage::EnsureTopics(*log, settings, stop.drain));
  const std::string job_id =
      arguments.job.job.empty() ? producer::GenerateJobId() : arguments.job.job;
  std::fprintf(stderr, "Job %s\n", job_id.c_str());
  ListingProgress progress;
  auto report =
      producer::RunProducer({.settings = settings,
                             .log = *log,
                             .objects = *objects,
                             .job_id = job_id,
                             .spec = prepared.spec,
                             .prefix = prepared.prefix,
                             .manifest_path = arguments.job.manifest,
                             .manifest_column = arguments.job.manifest_column,
                             .filter = arguments.job.filter,
                             .on_progress = [&](const JobRecord& job) { progress.Show(job); }},
                            stop);
  progress.Finish();
  return report;
}

Status RunFleetWorker(const Settings& settings, StopSignals stop) {
  TRAWL_ASSIGN(const auto log, OpenFleetLog(settings));
  TRAWL_ASSIGN(const auto objects, storage::OpenObjectStore(settings));
  const std::string name = WorkerName(settings);
  std::fprintf(stderr, "Worker %s serves queue %s\n", name.c_str(), settings.queue.c_str());
  return worker::RunWorker(
      {.settings = settings,
       .log = *log,
       .objects = *objects,
       .name = name,
       .transactional_id = fmt::format("trawl-worker-{}-{}", settings.group, name),
       .on_progress = {},
       .decoder_command = worker::DecoderCommand()},
      stop);
}

Status RunFleetCollector(const CollectorArguments& arguments, const Settings& settings,
                         StopSignals stop) {
  TRAWL_ASSIGN(const auto results, storage::OpenResultStore(arguments.db));
  TRAWL_ASSIGN(const auto log, OpenFleetLog(settings));
  TRAWL_TRY(storage::EnsureTopics(*log, settings, stop.drain));
  std::fprintf(stderr, "Collecting into %s\n", arguments.db.c_str());
  const FailingJobs failing_jobs(arguments.db, settings.failed_percent_max, *log);
  return storage::RunCollector(
      {.settings = settings, .log = *log, .results = *results, .on_progress = {}}, stop);
}

}  // namespace

Result<std::unique_ptr<storage::MessageLog>> OpenFleetLog(const Settings& settings) {
  if (settings.brokers.empty())
    return Error(Code::kInvalidArgument,
                 "--brokers is missing (or TRAWL_BROKERS); on one machine, use trawl run");
  return storage::OpenKafkaLog(settings);
}

int Produce(const ProducerArguments& arguments, const Settings& settings, SignalStops& signals) {
  const auto report = ProduceJob(arguments, settings, signals.stops());
  if (!report) return Fail(report.error());
  const JobRecord& job = report->job;
  const uint64_t added = job.objects - report->objects_before;
  if (report->was_sealed)
    fmt::print(stderr, "{}: all of it was enqueued before ({}); nothing was added\n", job.job_id,
               Count(job.objects, "object"));
  else if (report->objects_before > 0)
    fmt::print(stderr, "{}: went on behind {}; {} more enqueued, {} in all\n", job.job_id,
               Count(report->objects_before, "object"), added, job.objects);
  else
    fmt::print(stderr, "{}: {} enqueued in {}\n", job.job_id, Count(job.objects, "object"),
               Count(job.batches, "message"));
  fmt::print("{}\n", job.job_id);
  return kExitDone;
}

int Work(const Settings& settings, SignalStops& signals) {
  const auto watch = WatchForSpotNotice(settings, signals);
  if (!watch) return Fail(watch.error());
  return Ended(RunFleetWorker(settings, signals.stops()), signals);
}

int Collect(const CollectorArguments& arguments, const Settings& settings, SignalStops& signals) {
  return Ended(RunFleetCollector(arguments, settings, signals.stops()), signals);
}

}  // namespace trawl::ops
