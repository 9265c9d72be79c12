// The enqueueing loop. The job's record on trawl.jobs is the only state (job_ledger.h).

#include "producer/producer.h"

#include <algorithm>
#include <map>

#include "config/set_digest.h"
#include "ops/telemetry/log.h"
#include "producer/feed.h"
#include "producer/job_ledger.h"
#include "producer/work_message.h"
#include "storage/topics.h"

namespace trawl::producer {
namespace {

using std::chrono::milliseconds;
using storage::OutgoingRecord;

constexpr milliseconds kPausePoll{1'000};  // how soon a resumed job is listed on

std::string InputOf(const ProducerOptions& options) {
  return InputName(options.prefix, options.manifest_path, options.manifest_column, options.filter);
}

FeedSource SourceOf(const ProducerOptions& options) {
  return {.settings = options.settings,
          .objects = options.objects,
          .source = options.spec.source,
          .prefix = options.prefix,
          .manifest_path = options.manifest_path,
          .manifest_column = options.manifest_column,
          .filter = options.filter,
          .listers = static_cast<size_t>(options.settings.list_concurrency)};
}

Status CheckSameJob(const JobRecord& job, const ProducerOptions& options) {
  const auto differs = [&](std::string_view what, std::string_view was, std::string_view is) {
    return Error(Code::kFailedPrecondition,
                 "job {} exists with another {} ({}, not {}); choose another --job", options.job_id,
                 what, was, is);
  };
  const JobSpec& was = job.spec;
  const JobSpec& is = options.spec;
  if (was.source != is.source) return differs("source", was.source, is.source);
  if (const std::string input = InputOf(options); job.input != input)
    return differs("input", job.input, input);
  if (was.model.digest != is.model.digest) return differs("model", was.model.name, is.model.name);
  if (was.model.preprocess_digest != is.model.preprocess_digest)
    return differs("preprocessing", was.model.preprocess_digest, is.model.preprocess_digest);
  if (was.top_k != is.top_k)
    return differs("top-k", std::to_string(was.top_k), std::to_string(is.top_k));
  if (job.queue != options.settings.queue)
    return differs("queue", job.queue, options.settings.queue);
  return OkStatus();
}

/// By the jobs' names, undecoded.
Result<std::map<std::string, std::string>> NewestJobRecords(storage::MessageLog& log,
                                                            std::stop_token stop) {
  std::map<std::string, std::string> newest;
  const auto take = [&](const storage::LogRecord& record) { newest[record.key] = record.value; };
  TRAWL_TRY(storage::ReadToEnd(log, storage::kJobsTopic, take, std::move(stop)));
  return newest;
}

/// One job's enqueueing, from whatever point it had reached.
class Enqueuer {
 public:
  explicit Enqueuer(const ProducerOptions& options) : options_(options) {}

  /// Fences any other producer of the job and reads how far it is.
  Status Open(std::stop_token stop) {
    TRAWL_TRY(storage::EnsureTopics(options_.log, options_.settings, stop, options_.clock));
    TRAWL_ASSIGN(partitions_, options_.log.PartitionCount(work_topic_));
    TRAWL_ASSIGN(ledger_,
                 JobLedger::Open(options_.log, options_.job_id, std::move(stop), options_.clock));
    if (!ledger_->exists()) return OkStatus();
    TRAWL_TRY(CheckSameJob(job(), options_));
    return CheckNotCancelled(job());
  }

  bool sealed() const { return job().state == JobState::kSealed; }
  const JobRecord& job() const { return ledger_->job(); }

  /// Returns at once unless the job is paused.
  Status WaitWhilePaused(std::stop_token stop) {
    if (job().control != JobControl::kPaused) return OkStatus();
    ops::Log(ops::LogLevel::kWarn, "paused; waiting for trawl resume",
             {{"job", options_.job_id}, {"enqueued", job().objects}});
    JobRecord newest = job();
    while (newest.control == JobControl::kPaused) {
      if (!options_.clock.SleepFor(kPausePoll, stop))
        return Error(Code::kCancelled, "interrupted while job {} was paused", options_.job_id);
      Result<std::optional<JobRecord>> read =
          ReadJob(options_.log, options_.job_id, stop, options_.clock);
      if (!read && !IsRetryable(read.error().code())) return read.error();
      if (read && *read) newest = std::move(**read);
    }
    TRAWL_TRY(CheckNotCancelled(newest));
    return OkStatus();  // the next update takes the job back from whoever resumed it
  }

  /// Enqueues the page, all or nothing, and moves the job's record behind it.
  Status Enqueue(const FeedPage& page, std::stop_token stop) {
    const JobRecord before = job();
    const auto change = [&](JobRecord& next, std::vector<OutgoingRecord>& out) -> Status {
      TRAWL_TRY(CheckNotCancelled(next));
      // A command may have come in between, which leaves the listing where it was.
      if (next.state != before.state || next.batches != before.batches ||
          next.cursor.entries != before.cursor.entries || next.cursor.files != before.cursor.files)
        return Error(Code::kFailedPrecondition, "another producer of this job took over");
      if (!ledger_->exists()) StartJob(next);
      AddBatches(page, next, out);
      next.cursor = page.cursor;
      if (page.last) next.state = JobState::kSealed;
      return OkStatus();
    };
    if (const Status status = ledger_->Update(change, std::move(stop)); !status.ok())
      return Annotate(status, "enqueueing job {}", options_.job_id);
    return OkStatus();
  }

 private:
  static Status CheckNotCancelled(const JobRecord& job) {
    if (job.control != JobControl::kCancelled) return OkStatus();
    return Error(Code::kFailedPrecondition,
                 "job {} is cancelled; trawl retry {} --failed --code cancelled takes it up again",
                 job.job_id, job.job_id);
  }

  void StartJob(JobRecord& next) const {
    next.spec = options_.spec;
    next.input = InputOf(options_);
    next.queue = options_.settings.queue;
    next.created_at_ms = options_.clock.WallMillis();
  }

  void AddBatches(const FeedPage& page, JobRecord& next, std::vector<OutgoingRecord>& out) const {
    SetDigest digest = SetDigest::FromHex(next.digest_hex).value_or(SetDigest());
    const auto batch_keys = static_cast<size_t>(options_.settings.batch_keys);
    for (size_t begin = 0; begin < page.objects.size(); begin += batch_keys) {
      const size_t end = std::min(begin + batch_keys, page.objects.size());
      WorkBatch batch;
      batch.job_id = next.job_id;
      batch.seq = next.batches++;
      batch.spec = next.spec;
      batch.objects.assign(page.objects.begin() + static_cast<ptrdiff_t>(begin),
                           page.objects.begin() + static_cast<ptrdiff_t>(end));
      for (uint32_t index = 0; index < batch.objects.size(); ++index)
        digest.Add(next.job_id, batch.seq, index, batch.objects[index].key);
      out.push_back(ToMessage(batch, work_topic_, partitions_));
    }
    next.objects += page.objects.size();
    next.digest_hex = digest.Hex();
  }

  const ProducerOptions& options_;
  const std::string work_topic_ = storage::WorkTopic(options_.settings.queue);
  int partitions_ = 1;
  std::unique_ptr<JobLedger> ledger_;
};

}  // namespace

Status ForEachJob(storage::MessageLog& log, const std::function<void(const JobRecord&)>& visit,
                  std::stop_token stop) {
  TRAWL_ASSIGN(const auto newest, NewestJobRecords(log, std::move(stop)));
  for (const auto& [job_id, value] : newest) {
    const auto job = DecodeJobRecord(value);
    if (job) {
      visit(*job);
      continue;
    }
    // One broken record must not hide all other jobs.
    ops::Log(ops::LogLevel::kWarn, "unreadable job record",
             {{"job", job_id}, {"reason", job.error().message()}});
  }
  return OkStatus();
}

Result<ProducerReport> RunProducer(const ProducerOptions& options, StopSignals stop) {
  TRAWL_TRY(CheckJobId(options.job_id));
  Enqueuer enqueuer(options);
  TRAWL_TRY(enqueuer.Open(stop.drain));
  ProducerReport report{.job = enqueuer.job(), .objects_before = enqueuer.job().objects};
  report.was_sealed = enqueuer.sealed();
  if (report.was_sealed) return report;
  TRAWL_ASSIGN(const auto feed, OpenFeed(SourceOf(options), enqueuer.job().cursor, stop.drain));
  uint64_t duplicates = 0;
  while (!enqueuer.sealed()) {
    if (stop.drain.stop_requested()) return Error(Code::kCancelled, "interrupted while listing");
    TRAWL_TRY(enqueuer.WaitWhilePaused(stop.drain));
    Result<FeedPage> page = feed->Next(static_cast<int>(options.settings.list_page_keys));
    if (!page) return Annotate(page.error(), "listing {}", options.spec.source);
    duplicates += page->duplicates;
    TRAWL_TRY(enqueuer.Enqueue(*page, stop.drain));
    if (options.on_progress) options.on_progress(enqueuer.job());
  }
  if (duplicates > 0)
    ops::Log(ops::LogLevel::kWarn, "keys came twice; each is enqueued once",
             {{"duplicates", duplicates}});
  report.job = enqueuer.job();
  return report;
}

}  // namespace trawl::producer
