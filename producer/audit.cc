#include "producer/audit.h"

#include <map>

#include "config/clock.h"
#include "producer/key_set.h"
#include "storage/topics.h"

namespace trawl::producer {
namespace {

using storage::LogRecord;
using storage::TopicPartition;
using Offsets = std::map<TopicPartition, int64_t>;

Offsets ByPartition(const std::vector<storage::TopicOffset>& list) {
  Offsets offsets;
  for (const storage::TopicOffset& entry : list) offsets[entry.at] = entry.offset;
  return offsets;
}

/// True when a reader at these offsets has not come to `record` yet.
bool IsAhead(const Offsets& offsets, const LogRecord& record) {
  const auto found = offsets.find(record.at);
  return found == offsets.end() || record.offset >= found->second;
}

/// Reads the messages of one job; the first one that cannot be read is kept as `broken`.
template <class Record>
struct JobMessages {
  Result<Record> (*decode)(std::string_view json);
  Status broken;

  void Take(const LogRecord& message, const std::function<void(Record)>& visit) {
    if (!broken.ok()) return;
    Result<Record> record = decode(message.value);
    if (record)
      visit(std::move(*record));
    else
      broken = Annotate(record.error(), "reading {}/{} at offset {}", message.at.topic,
                        message.at.partition, message.offset);
  }
};

/// Builds one audit. The order of its steps matters: what a worker has committed before the first
/// is on the results topic in the third.
class Auditor {
 public:
  Auditor(storage::MessageLog& log, const JobRecord& job, std::stop_token stop)
      : log_(log), stop_(std::move(stop)) {
    audit_.job = job;
    audit_.enqueued.objects = job.objects;
    audit_.enqueued.digest = SetDigest::FromHex(job.digest_hex).value_or(SetDigest());
  }

  Status ReadWork(const std::string& group) {
    const std::string topic = storage::WorkTopic(audit_.job.queue);
    TRAWL_ASSIGN(const auto committed, log_.CommittedOffsets(group, topic));
    const Offsets settled = ByPartition(committed);
    JobMessages<WorkBatch> messages{DecodeWorkBatch, {}};
    const auto take = [&](const LogRecord& message) {
      if (message.key != audit_.job.job_id) return;
      messages.Take(message, [&](const WorkBatch& batch) {
        TakeWork(batch, /*pending=*/IsAhead(settled, message));
      });
    };
    TRAWL_TRY(storage::ReadToEnd(log_, topic, take, stop_));
    return messages.broken;
  }

  Status ReadResults(const Offsets& collected) {
    const std::string prefix = audit_.job.job_id + "/";
    std::map<int, ObjectSet> seen;  // by attempt
    JobMessages<ResultRecord> messages{DecodeResultRecord, {}};
    const auto take = [&](const LogRecord& message) {
      if (!message.key.starts_with(prefix)) return;
      messages.Take(message, [&](const ResultRecord& record) {
        if (!seen[record.attempt].Insert(record.batch_seq, record.index))
          audit_.doubled_results.push_back({record.batch_seq, record.index, record.key});
        if (published_.Insert(record.batch_seq, record.index))
          Count(audit_.results, record.batch_seq, record.index, record.key);
        if (!IsAhead(collected, message)) return;
        audit_.uncollected.Insert(record.batch_seq, record.index);
        if (record.attempt > 1) ++audit_.requeued_under_way;
      });
    };
    TRAWL_TRY(storage::ReadToEnd(log_, storage::kResultsTopic, take, stop_));
    return messages.broken;
  }

  Status ReadDatabase(storage::ResultReader& reader) {
    KeySet keys;
    TRAWL_ASSIGN(audit_.kept, reader.Ledger(audit_.job.job_id, [&](const storage::LedgerRow& row) {
      rows_.Insert(row.batch_seq, row.index);
      Count(audit_.database, row.batch_seq, row.index, row.key);
      NamedObject object{row.batch_seq, row.index, std::string(row.key)};
      if (all_work_is_there() && !first_.Contains(row.batch_seq, row.index))
        audit_.unexpected.push_back(object);
      if (!keys.Insert(row.key)) audit_.doubled_rows.push_back(std::move(object));
    }));
    TRAWL_ASSIGN(const std::string identity, log_.Identity());
    if (!audit_.kept.log_identity.empty() && audit_.kept.log_identity != identity)
      return Error(Code::kFailedPrecondition,
                   "the database was filled from another log ({}); this one is {}",
                   audit_.kept.log_identity, identity);
    return OkStatus();
  }

  Offsets Collected() const { return ByPartition(audit_.kept.offsets); }

  /// Enqueued, neither under way nor in the database.
  Audit Finish() {
    first_.ForEach([&](uint64_t batch, uint32_t index) {
      if (!rows_.Contains(batch, index) && !audit_.pending.Contains(batch, index) &&
          !audit_.uncollected.Contains(batch, index)) {
        audit_.missing.Insert(batch, index);
        if (!published_.Contains(batch, index)) audit_.unpublished.Insert(batch, index);
      }
    });
    // What expired and has no row either is known by number only.
    uint64_t known = first_.size();
    rows_.ForEach([&](uint64_t b, uint32_t i) { known += first_.Contains(b, i) ? 0 : 1; });
    audit_.uncollected.ForEach([&](uint64_t b, uint32_t i) {
      known += first_.Contains(b, i) || rows_.Contains(b, i) ? 0 : 1;
    });
    if (known < audit_.job.objects) audit_.unnamed = audit_.job.objects - known;
    return std::move(audit_);
  }

 private:
  bool all_work_is_there() const { return audit_.work == audit_.enqueued; }

  void Count(Tally& tally, uint64_t batch, uint32_t index, std::string_view key) const {
    ++tally.objects;
    tally.digest.Add(audit_.job.job_id, batch, index, key);
  }

  void TakeWork(const WorkBatch& batch, bool pending) {
    const bool later_attempt = !batch.indices.empty();
    for (size_t i = 0; i < batch.objects.size(); ++i) {
      const uint32_t index = batch.IndexOf(i);
      if (pending) audit_.pending.Insert(batch.seq, index);
      if (later_attempt) {
        if (pending) ++audit_.requeued_under_way;
      } else if (first_.Insert(batch.seq, index)) {
        Count(audit_.work, batch.seq, index, batch.objects[i].key);
      } else {
        audit_.doubled_work.push_back({batch.seq, index, batch.objects[i].key});
      }
    }
  }

  storage::MessageLog& log_;
  const std::stop_token stop_;
  Audit audit_;
  ObjectSet first_, published_, rows_;
};

Result<Audit> Look(const AuditOptions& options, std::stop_token stop) {
  Auditor auditor(options.log, options.job, std::move(stop));
  TRAWL_TRY(auditor.ReadWork(options.group));
  // Rows before results: what is collected in between is seen twice, and not missed.
  TRAWL_TRY(auditor.ReadDatabase(options.reader));
  TRAWL_TRY(auditor.ReadResults(auditor.Collected()));
  return auditor.Finish();
}

}  // namespace

bool Audit::ended() const {
  return (job.state == JobState::kSealed || job.control == JobControl::kCancelled) &&
         pending.empty() && uncollected.empty();
}

bool Audit::counters_differ() const {
  return kept.done + kept.failed != database.objects || kept.digest_hex != database.digest.Hex() ||
         (requeued_under_way == 0 && kept.requeue_ended < job.requeued);
}

bool Audit::agrees() const {
  return ended() && database == enqueued && missing.empty() && unnamed == 0 &&
         doubled_work.empty() && doubled_results.empty() && doubled_rows.empty() &&
         unexpected.empty() && !counters_differ();
}

Result<Audit> AuditJob(const AuditOptions& options, std::stop_token stop) {
  TRAWL_ASSIGN(Audit audit, Look(options, stop));
  if (audit.unpublished.empty() || options.settle.count() == 0) return audit;
  if (options.on_second_look) options.on_second_look(audit.unpublished.size());
  if (!SystemClock().SleepFor(options.settle, stop)) return Error(Code::kCancelled, "interrupted");
  TRAWL_ASSIGN(Audit second, Look(options, stop));
  ObjectSet missing;
  second.missing.ForEach([&](uint64_t batch, uint32_t index) {
    // Only now without an outcome: it may be hidden now.
    const bool hidden =
        second.unpublished.Contains(batch, index) && !audit.missing.Contains(batch, index);
    (hidden ? second.uncollected : missing).Insert(batch, index);
  });
  second.missing = std::move(missing);
  return second;
}

Status ForEachEnqueued(storage::MessageLog& log, const JobRecord& job, const ObjectSet& wanted,
                       const WorkVisit& visit, std::stop_token stop) {
  ObjectSet visited;
  Status visited_all;
  JobMessages<WorkBatch> messages{DecodeWorkBatch, {}};
  const auto take = [&](const WorkBatch& batch) {
    if (!batch.indices.empty() || !visited_all.ok()) return;
    std::vector<size_t> objects;
    for (size_t i = 0; i < batch.objects.size(); ++i) {
      const uint32_t index = batch.IndexOf(i);
      if (wanted.Contains(batch.seq, index) && visited.Insert(batch.seq, index))
        objects.push_back(i);
    }
    if (!objects.empty()) visited_all = visit(batch, objects);
  };
  const auto take_own = [&](const LogRecord& message) {
    if (message.key == job.job_id) messages.Take(message, take);
  };
  TRAWL_TRY(storage::ReadToEnd(log, storage::WorkTopic(job.queue), take_own, std::move(stop)));
  TRAWL_TRY(messages.broken);
  return visited_all;
}

}  // namespace trawl::producer
