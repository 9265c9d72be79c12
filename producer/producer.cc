// The enqueueing loop. The job's record on trawl.jobs is the only state: it is read when the loop
// starts, and again whenever nobody can tell whether a transaction was committed.

#include "producer/producer.h"

#include <algorithm>
#include <map>

#include "config/clock.h"
#include "config/set_digest.h"
#include "ops/telemetry/log.h"
#include "producer/feed.h"
#include "storage/topics.h"

namespace trawl::producer {
namespace {

using std::chrono::milliseconds;
using storage::OutgoingRecord;

constexpr int kMaxCommitAttempts = 10;
constexpr milliseconds kFirstBackoff{200};
constexpr milliseconds kLongestBackoff{30'000};

Status CheckSameJob(const JobRecord& job, const ProducerOptions& options) {
  const auto differs = [&](std::string_view what, std::string_view was, std::string_view is) {
    return Error(Code::kFailedPrecondition,
                 "job {} exists with another {} ({}, not {}); choose another --job", options.job_id,
                 what, was, is);
  };
  const JobSpec& was = job.spec;
  const JobSpec& is = options.spec;
  if (was.source != is.source) return differs("source", was.source, is.source);
  if (const std::string input = InputName(options.prefix, options.manifest_path);
      job.input != input)
    return differs("input", job.input, input);
  if (was.model.digest != is.model.digest) return differs("model", was.model.name, is.model.name);
  if (was.model.preprocess_digest != is.model.preprocess_digest)
    return differs("preprocessing", was.model.preprocess_digest, is.model.preprocess_digest);
  if (was.top_k != is.top_k)
    return differs("top-k", std::to_string(was.top_k), std::to_string(is.top_k));
  return OkStatus();
}

/// By the jobs' names, undecoded.
Result<std::map<std::string, std::string>> NewestJobRecords(storage::MessageLog& log) {
  std::map<std::string, std::string> newest;
  TRAWL_TRY(storage::ReadToEnd(log, storage::kJobsTopic, [&](const storage::LogRecord& record) {
    newest[record.key] = record.value;
  }));
  return newest;
}

/// One job's enqueueing, from whatever point it had reached.
class Enqueuer {
 public:
  explicit Enqueuer(const ProducerOptions& options) : options_(options) {}

  /// Fences any other producer of the job and reads how far it is.
  Status Open() {
    TRAWL_TRY(options_.log.EnsureTopics(storage::TopicSpecs(options_.settings)));
    TRAWL_ASSIGN(partitions_, options_.log.PartitionCount(work_topic_));
    TRAWL_ASSIGN(producer_, options_.log.OpenProducer("trawl-producer-" + options_.job_id));
    return ReadJob();
  }

  bool sealed() const { return job_.state == JobState::kSealed; }
  const JobRecord& job() const { return job_; }

  /// Enqueues the page, all or nothing, and moves the job's record behind it.
  Status Enqueue(const FeedPage& page, std::stop_token stop) {
    JobRecord next = job_;
    storage::Transaction transaction;
    AddBatches(page, next, transaction);
    next.cursor = page.cursor;
    if (page.last) next.state = JobState::kSealed;
    transaction.records.push_back({storage::kJobsTopic, std::nullopt, next.job_id, Encode(next)});

    milliseconds backoff = kFirstBackoff;
    for (int attempt = 1;; ++attempt) {
      const Status status = producer_->Commit(transaction);
      if (status.ok()) break;
      if (status.code() == Code::kFailedPrecondition)
        return Annotate(status, "enqueueing job {}: another producer of this job took over",
                        job_.job_id);
      if (!IsRetryable(status.code()) || attempt == kMaxCommitAttempts)
        return Annotate(status, "enqueueing job {}", job_.job_id);
      ops::Log(ops::LogLevel::kWarn, "enqueueing again",
               {{"job", job_.job_id}, {"reason", status.message()}});
      if (!SystemClock().SleepFor(backoff, stop)) return Error(Code::kCancelled, "interrupted");
      backoff = std::min(backoff * 2, kLongestBackoff);
      // We own the job: its record is either the one before this page or the one behind it.
      TRAWL_TRY(ReadJob());
      if (job_.batches == next.batches && job_.state == next.state) break;
    }
    job_ = std::move(next);
    return OkStatus();
  }

 private:
  /// A record of this job that cannot be read is an error: to take the job for a new one would
  /// enqueue everything again.
  Status ReadJob() {
    TRAWL_ASSIGN(const auto newest, NewestJobRecords(options_.log));
    if (const auto found = newest.find(options_.job_id); found != newest.end()) {
      TRAWL_ASSIGN(JobRecord job, DecodeJobRecord(found->second));
      TRAWL_TRY(CheckSameJob(job, options_));
      job_ = std::move(job);
    } else {
      job_ = JobRecord();
      job_.job_id = options_.job_id;
      job_.spec = options_.spec;
      job_.input = InputName(options_.prefix, options_.manifest_path);
      job_.created_at_ms = SystemClock().WallMillis();
    }
    return OkStatus();
  }

  void AddBatches(const FeedPage& page, JobRecord& next, storage::Transaction& transaction) const {
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
      // Round-robin, so that work per partition is even and lag means something.
      const auto partition = static_cast<int32_t>(batch.seq % static_cast<uint64_t>(partitions_));
      transaction.records.push_back({work_topic_, partition, next.job_id, Encode(batch)});
    }
    next.objects += page.objects.size();
    next.digest_hex = digest.Hex();
  }

  const ProducerOptions& options_;
  const std::string work_topic_ = storage::WorkTopic(options_.settings.queue);
  int partitions_ = 1;
  std::unique_ptr<storage::TransactionalProducer> producer_;
  JobRecord job_;
};

}  // namespace

Status ForEachJob(storage::MessageLog& log, const std::function<void(const JobRecord&)>& visit) {
  TRAWL_ASSIGN(const auto newest, NewestJobRecords(log));
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

Result<JobRecord> RunProducer(const ProducerOptions& options, StopSignals stop) {
  TRAWL_TRY(CheckJobId(options.job_id));
  Enqueuer enqueuer(options);
  TRAWL_TRY(enqueuer.Open());
  if (enqueuer.sealed()) return enqueuer.job();
  TRAWL_ASSIGN(const auto feed, OpenFeed(options, enqueuer.job().cursor, stop.drain));
  uint64_t duplicates = 0;
  while (!enqueuer.sealed()) {
    if (stop.drain.stop_requested()) return Error(Code::kCancelled, "interrupted while listing");
    Result<FeedPage> page = feed->Next(static_cast<int>(options.settings.list_page_keys));
    if (!page) return Annotate(page.error(), "listing {}", options.spec.source);
    duplicates += page->duplicates;
    TRAWL_TRY(enqueuer.Enqueue(*page, stop.drain));
    if (options.on_progress) options.on_progress(enqueuer.job());
  }
  if (duplicates > 0)
    ops::Log(ops::LogLevel::kWarn, "keys came twice; each is enqueued once",
             {{"duplicates", duplicates}});
  return enqueuer.job();
}

}  // namespace trawl::producer
