// `trawl run`: producer, worker and collector as threads of one process over the embedded log. The
// log lies beside the database and outlives the process, so the same command after a crash goes on
// where it was.

#include <fmt/format.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <mutex>
#include <stop_token>
#include <thread>

#include "config/clock.h"
#include "ops/cli/commands.h"
#include "ops/cli/exit_code.h"
#include "ops/cli/job_log.h"
#include "ops/cli/job_setup.h"
#include "ops/cli/progress.h"
#include "ops/cli/spot_notice.h"
#include "ops/cli/text.h"
#include "ops/telemetry/log.h"
#include "producer/commands.h"
#include "producer/job_ledger.h"
#include "producer/producer.h"
#include "storage/collector/collector.h"
#include "storage/message_log/embedded_log.h"
#include "storage/object_store/object_store.h"
#include "storage/result_store/control_requests.h"
#include "storage/result_store/result_store.h"
#include "storage/topics.h"
#include "worker/sandbox/child.h"
#include "worker/worker.h"

namespace trawl::ops {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kProgressInterval{200};
constexpr int kRunWorkPartitions = 8;  // one process: more would only cost bookkeeping

/// Everything that the three roles share, opened in the order in which it can fail.
struct Workshop {
  std::unique_ptr<storage::ResultStore> results;
  std::unique_ptr<storage::ResultReader> reader;
  std::unique_ptr<storage::MessageLog> log;
  std::unique_ptr<storage::ControlRequests> requests;
  std::unique_ptr<storage::ObjectStore> objects;
};

/// The log remembers what was written into the database, so it cannot serve a new one.
Status CheckLogHasItsDatabase(const std::string& db, const std::string& log) {
  std::error_code error;
  if (std::filesystem::exists(db, error) || !std::filesystem::exists(log, error)) return OkStatus();
  return Error(
      Code::kFailedPrecondition,
      "{} is gone, but {} remembers what was written into it; remove that, too, to start over", db,
      log);
}

Result<Workshop> OpenWorkshop(const RunArguments& arguments, const Settings& settings) {
  const std::string log_path = RunLogPath(arguments.db);
  TRAWL_TRY(CheckLogHasItsDatabase(arguments.db, log_path));
  Workshop workshop;
  TRAWL_ASSIGN(workshop.results, storage::OpenResultStore(arguments.db));
  TRAWL_ASSIGN(workshop.reader, storage::OpenResultReader(arguments.db));
  TRAWL_ASSIGN(workshop.log, storage::OpenEmbeddedLog(log_path));
  TRAWL_ASSIGN(workshop.requests, storage::ControlRequests::Open(arguments.db));
  TRAWL_TRY(workshop.requests->DiscardAll());
  TRAWL_ASSIGN(workshop.objects, storage::OpenObjectStore(settings));
  TRAWL_TRY(workshop.log->EnsureTopics(storage::TopicSpecs(settings)));
  return workshop;
}

bool SameWork(const JobSpec& a, const JobSpec& b) {
  return a.source == b.source && a.model.digest == b.model.digest &&
         a.model.preprocess_digest == b.model.preprocess_digest && a.top_k == b.top_k;
}

/// Without --job: the unfinished job of the same command, so that repeating a command after a crash
/// repairs it; else a fresh name.
Result<std::string> ChooseJob(const RunArguments& arguments, const PreparedJob& prepared,
                              Workshop& workshop) {
  if (!arguments.job.job.empty()) return arguments.job.job;
  std::string unfinished;
  TRAWL_TRY(producer::ForEachJob(*workshop.log, [&](const JobRecord& job) {
    if (job.control == JobControl::kCancelled || !SameWork(job.spec, prepared.spec) ||
        job.input != producer::InputName(prepared.prefix, arguments.job.manifest,
                                         arguments.job.manifest_column, arguments.job.filter))
      return;
    const auto status = workshop.reader->Job(job.job_id);
    if (!status || !status->ended()) unfinished = job.job_id;
  }));
  if (unfinished.empty()) return producer::GenerateJobId();
  fmt::print(stderr, "Going on with unfinished job {}\n", unfinished);
  return unfinished;
}

bool IsCancelled(storage::MessageLog& log, const std::string& job_id) {
  const auto job = producer::ReadJob(log, job_id);
  return job && *job && (*job)->control == JobControl::kCancelled;
}

/// Commands may have changed the job while nobody collected: what is watched has to know it.
Status CatchUp(const std::string& job_id, Workshop& workshop) {
  TRAWL_ASSIGN(const auto job, producer::ReadJob(*workshop.log, job_id));
  if (!job) return OkStatus();
  const auto written = workshop.results->Write({.results = {}, .jobs = {*job}, .steps = {}});
  return written ? OkStatus() : written.error();
}

/// The three roles and the first failure among them.
class Crew {
 public:
  /// The worker gets the model that `prepared` has, and is the only one who keeps it.
  Crew(const Settings& settings, Workshop& workshop, PreparedJob& prepared,
       const std::string& job_id, const JobArguments& job)
      : settings_(settings), workshop_(workshop) {
    const JobSpec spec = prepared.spec;
    const std::string prefix = prepared.prefix;
    Start(kOthersFinish, [=, this](StopSignals stop) {
      const producer::ProducerOptions options{.settings = settings_,
                                              .log = *workshop_.log,
                                              .objects = *workshop_.objects,
                                              .job_id = job_id,
                                              .spec = spec,
                                              .prefix = prefix,
                                              .manifest_path = job.manifest,
                                              .manifest_column = job.manifest_column,
                                              .filter = job.filter,
                                              .on_progress = {}};
      const auto report = producer::RunProducer(options, stop);
      listed_ = true;
      // Of a cancelled job nothing more is listed, and the worker ends what is enqueued.
      return report || IsCancelled(*workshop_.log, job_id) ? OkStatus() : report.error();
    });
    Start(kOthersStop, [this, known = worker::LoadedModel{spec.model, std::move(prepared.model)}](
                           StopSignals stop) mutable {
      return worker::RunWorker({.settings = settings_,
                                .log = *workshop_.log,
                                .objects = *workshop_.objects,
                                .name = "run",
                                .transactional_id = "trawl-run",
                                .on_progress = {},
                                .decoder_command = worker::DecoderCommand()},
                               stop, std::move(known));
    });
    Start(kOthersStop, [this](StopSignals stop) {
      return storage::RunCollector({.settings = settings_,
                                    .log = *workshop_.log,
                                    .results = *workshop_.results,
                                    .on_progress = {}},
                                   stop);
    });
  }

  /// Lets the roles finish what they hold, or drop it where one has failed that they need for it,
  /// and waits for them.
  void Stop() {
    drain_.request_stop();
    threads_.clear();
  }

  void Abort() { abort_.request_stop(); }

  /// The producer has ended, well or not: failure() may tell of it a moment later only, and does
  /// after Stop.
  bool listed() const { return listed_; }

  /// kOk while nobody has failed.
  Status failure() const {
    const std::lock_guard lock(mutex_);
    return failure_;
  }

 private:
  enum OnFailure { kOthersFinish, kOthersStop };

  void Start(OnFailure on_failure, std::function<Status(StopSignals)> role) {
    threads_.emplace_back([this, on_failure, role = std::move(role)] {
      const Status status = role({drain_.get_token(), abort_.get_token()});
      if (status.ok()) return;
      {
        const std::lock_guard lock(mutex_);
        if (failure_.ok()) failure_ = status;
      }
      if (on_failure == kOthersStop && status.code() != Code::kCancelled) Abort();
    });
  }

  const Settings& settings_;
  Workshop& workshop_;
  std::stop_source drain_, abort_;
  std::atomic<bool> listed_ = false;
  mutable std::mutex mutex_;
  Status failure_;                     // guarded by mutex_
  std::vector<std::jthread> threads_;  // last: they use all of the above
};

/// Does what commands in other terminals ask: only this process may write the log. What does not
/// work now is tried again in a moment, as long as somebody waits for it.
void ServeRequests(Workshop& workshop) {
  const auto pending = workshop.requests->Pending();
  if (!pending) return;
  for (const storage::ControlRequest& request : *pending) {
    const auto job = producer::ControlJob(*workshop.log, request.job_id, request.wanted, {});
    const Status answered = workshop.requests->Answer(request.id, job ? OkStatus() : job.error());
    if (!answered.ok())
      Log(LogLevel::kWarn, "a command got no answer", {{"reason", answered.message()}});
  }
}

/// Shows progress until the job has ended, a role fails, or a person interrupts.
Result<storage::JobStatus> Watch(const std::string& job_id, const std::string& db,
                                 Workshop& workshop, const Crew& crew, const SignalStops& signals) {
  bool told_paused = false;
  ProgressLine line;
  Result<storage::JobStatus> status = Error(Code::kCancelled, "interrupted");
  while (true) {
    ServeRequests(workshop);
    const bool stopping = !crew.failure().ok() || signals.interrupted();
    auto seen = workshop.reader->Job(job_id);
    if (seen) {
      line.Show({seen->enqueued, seen->state == "listing", seen->done, seen->failed,
                 seen->rate_per_second});
      if (seen->state == "paused" && !std::exchange(told_paused, true)) {
        line.Finish();
        fmt::print(stderr, "{} is paused: trawl resume {} --db {} lets it go on\n", job_id, job_id,
                   db);
      }
      told_paused = seen->state == "paused";
      // Of a job that was complete before, only the producer finds out that another one is meant.
      if (seen->ended() && (crew.listed() || seen->state == "cancelled")) {
        status = std::move(seen);
        break;
      }
    }
    if (stopping) break;
    SystemClock().SleepFor(kProgressInterval, signals.stops().drain);
  }
  line.Finish();
  return status;
}

/// Objects of the job that have ended; 0 before anything is known of it.
uint64_t Ended(const Result<storage::JobStatus>& job) { return job ? job->done + job->failed : 0; }

void PrintSummary(const storage::JobStatus& job, uint64_t ended_before, const std::string& db,
                  double elapsed_s) {
  const uint64_t ended = job.done + job.failed - ended_before;
  const std::string counts = fmt::format("{}: {} classified, {} failed", job.job_id,
                                         Count(job.done, "object"), job.failed);
  if (job.enqueued == 0)
    fmt::print(stderr, "{}: the source holds no objects\n", job.job_id);
  else if (job.state == "cancelled")
    fmt::print(stderr, "{}; the job is cancelled\n", counts);
  else if (ended == 0)
    fmt::print(stderr, "{}; the job was complete already\n", counts);
  else
    fmt::print(stderr, "{}; {} in {} ({:.0f}/s)\n", counts, Count(ended, "object"),
               FormatDuration(elapsed_s), static_cast<double>(ended) / std::max(elapsed_s, 1e-3));
  fmt::print(stderr, "Results: trawl results {} --db {}\n", job.job_id, db);
}

}  // namespace

int Run(const RunArguments& arguments, Settings settings, SignalStops& signals) {
  // Whoever typed the command may read what it names; the allow-list is for workers that strangers
  // can send work to.
  if (settings.allow_root.empty()) settings.allow_root = {"/"};
  settings.work_partitions = std::min(settings.work_partitions, kRunWorkPartitions);

  const auto watch = WatchForSpotNotice(settings, signals);
  if (!watch) return Fail(watch.error());
  const auto started = SystemClock().Now();
  auto prepared = PrepareJob(arguments.job, settings, signals.stops().drain);
  if (!prepared) return Fail(prepared.error());
  auto workshop = OpenWorkshop(arguments, settings);
  if (!workshop) return Fail(workshop.error());
  const auto job_id = ChooseJob(arguments, *prepared, *workshop);
  if (!job_id) return Fail(job_id.error());
  fmt::print(stderr, "Job {}\n", *job_id);
  if (const Status told = CatchUp(*job_id, *workshop); !told.ok()) return Fail(told);
  const uint64_t ended_before = Ended(workshop->reader->Job(*job_id));

  Crew crew(settings, *workshop, *prepared, *job_id, arguments.job);
  const auto job = Watch(*job_id, arguments.db, *workshop, crew, signals);
  const std::stop_callback second_signal(signals.stops().abort, [&crew] { crew.Abort(); });
  crew.Stop();
  // Also when the job is complete: see Watch.
  if (const Status failure = crew.failure(); !failure.ok() && failure.code() != Code::kCancelled)
    return Fail(failure);
  if (!job) {
    std::fprintf(stderr, "Interrupted; the same command with --job %s goes on from here.\n",
                 job_id->c_str());
    return kExitInterrupted;
  }
  PrintSummary(*job, ended_before, arguments.db,
               std::chrono::duration<double>(SystemClock().Now() - started).count());
  return job->failed > 0 ? kExitSomeFailed : kExitDone;
}

}  // namespace trawl::ops
