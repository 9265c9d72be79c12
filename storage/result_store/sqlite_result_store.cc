// The writing side: one transaction per batch holds rows, counters and offsets, so that they cannot
// disagree.
#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "config/check.h"
#include "config/set_digest.h"
#include "config/text.h"
#include "storage/result_store/result_store.h"
#include "storage/result_store/schema.h"
#include "storage/sqlite/sqlite.h"

namespace trawl::storage {
namespace {

/// What one batch adds to one job.
struct JobDelta {
  int64_t id = 0;
  int64_t done = 0, failed = 0, duplicates = 0;
  int64_t requeue_ended = 0;  // outcomes of later attempts
  SetDigest digest;
  int64_t model_id = 0;
  int64_t first_result_ms = INT64_MAX, last_result_ms = INT64_MIN;
  StageTimings busy;
  std::optional<WorkerTimes> times;
  std::optional<DownloadTraffic> downloads;
  std::map<int64_t, int64_t> results_by_second;
};

enum class Fate { kAdded, kReplaced, kDuplicate, kSuperseded };

constexpr const char* kFindModel =
    "INSERT INTO models (name, digest) VALUES (?1, ?2)"
    " ON CONFLICT (digest, name) DO UPDATE SET name = name RETURNING id";

constexpr const char* kFindJob =
    "INSERT INTO jobs (job) VALUES (?1) ON CONFLICT (job) DO UPDATE SET job = job RETURNING id";

constexpr const char* kPutJob =
    "INSERT INTO jobs (job, state, source, input, model_id, model_uri, preprocess_digest, top_k,"
    "                  created_at_ms, batches, enqueued, enqueued_digest, control, revision, "
    "requeued)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)"
    " ON CONFLICT (job) DO UPDATE SET state = ?2, source = ?3, input = ?4, model_id = ?5, "
    "model_uri = ?6,"
    "   preprocess_digest = ?7, top_k = ?8, created_at_ms = ?9, batches = ?10, enqueued = ?11,"
    "   enqueued_digest = ?12, control = ?13, revision = ?14, requeued = ?15"
    // A command writes its record here at once; the collector may still have older ones to read.
    " WHERE revision <= ?14";

constexpr const char* kAddObject =
    "INSERT INTO objects (job_id, batch, position, attempt, key, status, error_code, error_message,"
    "                     error_attempts, model_id, worker, bytes, download_ms, decode_ms, "
    "infer_ms,"
    "                     finished_at_ms)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)"
    " ON CONFLICT (job_id, batch, position) DO NOTHING";

constexpr const char* kFindObject =
    "SELECT id, attempt, status FROM objects WHERE job_id = ?1 AND batch = ?2 AND position = ?3";

constexpr const char* kReplaceObject =  // the parameters of kAddObject
    "UPDATE objects SET attempt = ?4, key = ?5, status = ?6, error_code = ?7, error_message = ?8,"
    "   error_attempts = ?9, model_id = ?10, worker = ?11, bytes = ?12, download_ms = ?13,"
    "   decode_ms = ?14, infer_ms = ?15, finished_at_ms = ?16"
    " WHERE job_id = ?1 AND batch = ?2 AND position = ?3";

constexpr const char* kAddPrediction =
    "INSERT INTO predictions (object_id, rank, class, label, probability) VALUES (?1, ?2, ?3, ?4, "
    "?5)";

constexpr const char* kReadDigest = "SELECT collected_digest FROM jobs WHERE id = ?1";

constexpr const char* kAdvanceJob =
    "UPDATE jobs SET done = done + ?2, failed = failed + ?3, duplicates = duplicates + ?4,"
    "   collected_digest = ?5, model_id = coalesce(model_id, ?6),"
    "   first_result_ms = min(coalesce(first_result_ms, ?7), ?7),"
    "   last_result_ms = max(coalesce(last_result_ms, ?8), ?8),"
    "   download_ms = download_ms + ?9, decode_ms = decode_ms + ?10, infer_ms = infer_ms + ?11,"
    "   requeue_ended = requeue_ended + ?12"
    " WHERE id = ?1";

constexpr const char* kCountSecond =
    "INSERT INTO throughput (job_id, second, results) VALUES (?1, ?2, ?3)"
    " ON CONFLICT (job_id, second) DO UPDATE SET results = results + ?3";

constexpr const char* kAddWorkerTimes =
    "INSERT INTO worker_times VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
    " ON CONFLICT (job_id) DO UPDATE SET wall_s = wall_s + ?2, cpu_s = cpu_s + ?3,"
    "   decode_s = decode_s + ?4, infer_s = infer_s + ?5,"
    "   await_download_s = await_download_s + ?6, await_work_s = await_work_s + ?7,"
    "   decode_waits_s = decode_waits_s + ?8, infer_waits_s = infer_waits_s + ?9,"
    "   publish_s = publish_s + ?10";

constexpr const char* kAddDownloads =
    "INSERT INTO worker_downloads VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
    " ON CONFLICT (job_id) DO UPDATE SET requests = requests + ?2, retries = retries + ?3,"
    "   throttled = throttled + ?4, hedges = hedges + ?5, outages = outages + ?6,"
    "   bytes = bytes + ?7";

constexpr const char* kReadOffsets =
    "SELECT topic, partition, next_offset, log, last_offset, last_digest FROM offsets";

constexpr const char* kFirstOffset =
    "INSERT INTO offsets (topic, partition, next_offset, log, last_offset, last_digest)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
    " ON CONFLICT (topic, partition) DO NOTHING";

constexpr const char* kMoveOffset =
    "UPDATE offsets SET next_offset = ?3, last_offset = ?5, last_digest = ?6"
    " WHERE topic = ?1 AND partition = ?2 AND log = ?4 AND next_offset = ?7";

struct Statements {
  SqliteStatement find_model, find_job, put_job, add_object, find_object, replace_object,
      add_prediction, read_digest, advance_job, count_second, add_worker_times, add_downloads,
      read_offsets, first_offset, move_offset;

  Status Prepare(SqliteDatabase& database) {
    const std::pair<SqliteStatement*, const char*> all[] = {{&find_model, kFindModel},
                                                            {&find_job, kFindJob},
                                                            {&put_job, kPutJob},
                                                            {&add_object, kAddObject},
                                                            {&find_object, kFindObject},
                                                            {&replace_object, kReplaceObject},
                                                            {&add_prediction, kAddPrediction},
                                                            {&read_digest, kReadDigest},
                                                            {&advance_job, kAdvanceJob},
                                                            {&count_second, kCountSecond},
                                                            {&add_worker_times, kAddWorkerTimes},
                                                            {&add_downloads, kAddDownloads},
                                                            {&read_offsets, kReadOffsets},
                                                            {&first_offset, kFirstOffset},
                                                            {&move_offset, kMoveOffset}};
    for (const auto& [statement, sql] : all) {
      TRAWL_ASSIGN(*statement, database.Prepare(sql));
    }
    return OkStatus();
  }
};

int64_t Signed(uint64_t value) { return static_cast<int64_t>(value); }

/// Text columns hold UTF-8, whatever came: clients in other languages stumble over anything else.
std::string AsText(const std::string& bytes) {
  return IsUtf8(bytes) ? bytes : "base64:" + ToBase64(bytes);
}

/// Keys must stay exact, so the ones that are not text become blobs.
void BindKey(SqliteStatement& statement, int parameter, const std::string& key) {
  if (IsUtf8(key) && key.find('\0') == std::string::npos) {
    statement.Bind(parameter, key);
  } else {
    statement.BindBlob(parameter, key);
  }
}

/// Runs a statement that returns one integer.
Result<int64_t> RunForInt(SqliteStatement& statement) {
  TRAWL_ASSIGN(const bool row, statement.Step());
  if (!row) return Error(Code::kInternal, "SQLite: a row was expected");
  const int64_t value = statement.Int(0);
  TRAWL_TRY(statement.Run());
  return value;
}

void BindObject(SqliteStatement& statement, int64_t job_id, int64_t model_id,
                const ResultRecord& record) {
  const auto* const error = std::get_if<ObjectError>(&record.outcome);
  statement.Bind(1, job_id).Bind(2, Signed(record.batch_seq)).Bind(3, int64_t{record.index});
  statement.Bind(4, int64_t{record.attempt});
  BindKey(statement, 5, record.key);
  statement.Bind(6, std::string_view(error ? "failed" : "ok"));
  if (error) {
    statement.Bind(7, ToString(error->code)).Bind(8, AsText(error->message));
    statement.Bind(9, int64_t{error->attempts});
  } else {
    statement.BindNull(7).BindNull(8).BindNull(9);
  }
  statement.Bind(10, model_id).Bind(11, AsText(record.worker)).Bind(12, Signed(record.size_bytes));
  statement.Bind(13, record.timings.download_ms).Bind(14, record.timings.decode_ms);
  statement.Bind(15, record.timings.infer_ms).Bind(16, record.finished_at_ms);
}

/// Counts a row that is new or replaces a failure.
void Account(const ResultRecord& record, Fate fate, int64_t model_id, JobDelta& delta) {
  const bool failed = std::holds_alternative<ObjectError>(record.outcome);
  ++(failed ? delta.failed : delta.done);
  if (fate == Fate::kReplaced) {
    --delta.failed;
  } else {
    delta.digest.Add(record.job_id, record.batch_seq, record.index, record.key);
  }
  delta.model_id = model_id;
  delta.first_result_ms = std::min(delta.first_result_ms, record.finished_at_ms);
  delta.last_result_ms = std::max(delta.last_result_ms, record.finished_at_ms);
  delta.busy.download_ms += record.timings.download_ms;
  delta.busy.decode_ms += record.timings.decode_ms;
  delta.busy.infer_ms += record.timings.infer_ms;
  if (record.worker_times) delta.times = delta.times.value_or(WorkerTimes()) + *record.worker_times;
  if (record.downloads)
    delta.downloads = delta.downloads.value_or(DownloadTraffic()) + *record.downloads;
  ++delta.results_by_second[record.finished_at_ms / 1'000];
}

/// One transaction's work. Its caches of row ids live no longer than the transaction, so a rollback
/// leaves none stale.
class BatchWriter {
 public:
  BatchWriter(SqliteDatabase& database, Statements& statements, const std::string& log_identity)
      : database_(database), statements_(statements), log_identity_(log_identity) {}

  Status Write(const CollectedBatch& batch) {
    for (const JobRecord& job : batch.jobs) TRAWL_TRY(PutJob(job));
    for (const ResultRecord& record : batch.results) TRAWL_TRY(PutResult(record));
    for (const auto& [job, delta] : deltas_) TRAWL_TRY(AdvanceJob(delta));
    for (const OffsetStep& step : batch.steps) TRAWL_TRY(MoveOffset(step));
    return OkStatus();
  }

  const WriteReport& report() const { return report_; }

 private:
  Result<int64_t> ModelId(const std::string& name, const std::string& digest) {
    const auto [entry, is_new] = model_ids_.try_emplace({name, digest}, 0);
    if (is_new) {
      statements_.find_model.Bind(1, AsText(name)).Bind(2, AsText(digest));
      TRAWL_ASSIGN(entry->second, RunForInt(statements_.find_model));
    }
    return entry->second;
  }

  Result<JobDelta*> Delta(const std::string& job_id) {
    const auto [entry, is_new] = deltas_.try_emplace(job_id);
    if (is_new) {
      TRAWL_ASSIGN(entry->second.id, RunForInt(statements_.find_job.Bind(1, job_id)));
    }
    return &entry->second;
  }

  Status PutJob(const JobRecord& job) {
    TRAWL_ASSIGN(const int64_t model_id, ModelId(job.spec.model.name, job.spec.model.digest));
    SqliteStatement& put = statements_.put_job;
    put.Bind(1, job.job_id).Bind(2, ToString(job.state)).Bind(3, AsText(job.spec.source));
    put.Bind(4, AsText(job.input)).Bind(5, model_id).Bind(6, AsText(job.spec.model.uri));
    put.Bind(7, AsText(job.spec.model.preprocess_digest)).Bind(8, int64_t{job.spec.top_k});
    put.Bind(9, job.created_at_ms).Bind(10, Signed(job.batches)).Bind(11, Signed(job.objects));
    put.Bind(12, job.digest_hex).Bind(13, ToString(job.control)).Bind(14, Signed(job.revision));
    put.Bind(15, Signed(job.requeued));
    return put.Run();
  }

  Status PutResult(const ResultRecord& record) {
    TRAWL_ASSIGN(const int64_t model_id, ModelId(record.model_name, record.model_digest));
    TRAWL_ASSIGN(JobDelta* const delta, Delta(record.job_id));
    TRAWL_ASSIGN(const Fate fate, PutObject(record, delta->id, model_id));
    if (record.attempt > 1 && fate != Fate::kDuplicate) ++delta->requeue_ended;
    switch (fate) {
      case Fate::kAdded:
        ++report_.rows_added;
        break;
      case Fate::kReplaced:
        ++report_.rows_replaced;
        break;
      case Fate::kDuplicate:
        ++report_.duplicates_suppressed;
        ++delta->duplicates;
        return OkStatus();
      case Fate::kSuperseded:
        return OkStatus();
    }
    Account(record, fate, model_id, *delta);
    return OkStatus();
  }

  /// The row and its predictions. A later attempt replaces a failure, and never a success.
  Result<Fate> PutObject(const ResultRecord& record, int64_t job_id, int64_t model_id) {
    BindObject(statements_.add_object, job_id, model_id, record);
    TRAWL_TRY(statements_.add_object.Run());
    if (database_.Changes() == 1) {
      TRAWL_TRY(AddPredictions(database_.LastInsertRowId(), record));
      return Fate::kAdded;
    }
    SqliteStatement& find = statements_.find_object;
    find.Bind(1, job_id).Bind(2, Signed(record.batch_seq)).Bind(3, int64_t{record.index});
    TRAWL_ASSIGN(const bool found, find.Step());
    if (!found) return Error(Code::kInternal, "SQLite: a conflicting row has vanished");
    const int64_t object_id = find.Int(0);
    const int64_t attempt = find.Int(1);
    const bool failed = find.Text(2) == "failed";
    find.Reset();
    if (record.attempt == attempt) return Fate::kDuplicate;
    if (record.attempt < attempt || !failed) return Fate::kSuperseded;
    BindObject(statements_.replace_object, job_id, model_id, record);
    TRAWL_TRY(statements_.replace_object.Run());
    TRAWL_TRY(AddPredictions(object_id, record));  // a failure had none
    return Fate::kReplaced;
  }

  Status AddPredictions(int64_t object_id, const ResultRecord& record) {
    const auto* const predictions = std::get_if<std::vector<Prediction>>(&record.outcome);
    if (predictions == nullptr) return OkStatus();
    SqliteStatement& add = statements_.add_prediction;
    int64_t rank = 0;
    for (const Prediction& prediction : *predictions) {
      add.Bind(1, object_id).Bind(2, ++rank).Bind(3, int64_t{prediction.class_index});
      if (prediction.label.empty()) {
        add.BindNull(4);
      } else {
        add.Bind(4, AsText(prediction.label));
      }
      add.Bind(5, ShortestDouble(prediction.probability));
      TRAWL_TRY(add.Run());
    }
    return OkStatus();
  }

  Status AdvanceJob(const JobDelta& delta) {
    SqliteStatement& read = statements_.read_digest;
    TRAWL_ASSIGN(const bool found, read.Bind(1, delta.id).Step());
    const std::string stored(found ? read.Text(0) : "");
    read.Reset();
    Result<SetDigest> digest = SetDigest::FromHex(stored);
    if (!digest) return Error(Code::kDataLoss, "a job's digest is damaged: '{}'", stored);
    digest->Merge(delta.digest);

    SqliteStatement& advance = statements_.advance_job;
    advance.Bind(1, delta.id).Bind(2, delta.done).Bind(3, delta.failed).Bind(4, delta.duplicates);
    advance.Bind(5, digest->Hex());
    if (delta.results_by_second.empty()) {
      advance.BindNull(6).BindNull(7).BindNull(8);
    } else {
      advance.Bind(6, delta.model_id).Bind(7, delta.first_result_ms).Bind(8, delta.last_result_ms);
    }
    advance.Bind(9, delta.busy.download_ms).Bind(10, delta.busy.decode_ms);
    advance.Bind(11, delta.busy.infer_ms).Bind(12, delta.requeue_ended);
    TRAWL_TRY(advance.Run());
    if (delta.times) TRAWL_TRY(AddWorkerTimes(delta.id, *delta.times));
    if (delta.downloads) TRAWL_TRY(AddDownloads(delta.id, *delta.downloads));
    for (const auto& [second, results] : delta.results_by_second)
      TRAWL_TRY(statements_.count_second.Bind(1, delta.id).Bind(2, second).Bind(3, results).Run());
    return OkStatus();
  }

  Status AddWorkerTimes(int64_t job_id, const WorkerTimes& times) {
    SqliteStatement& add = statements_.add_worker_times;
    add.Bind(1, job_id).Bind(2, times.wall_s).Bind(3, times.cpu_s).Bind(4, times.decode_s);
    add.Bind(5, times.infer_s).Bind(6, times.await_download_s).Bind(7, times.await_work_s);
    add.Bind(8, times.decode_waits_s).Bind(9, times.infer_waits_s).Bind(10, times.publish_s);
    return add.Run();
  }

  Status AddDownloads(int64_t job_id, const DownloadTraffic& traffic) {
    SqliteStatement& add = statements_.add_downloads;
    const auto count = [](uint64_t value) { return static_cast<int64_t>(value); };
    add.Bind(1, job_id).Bind(2, count(traffic.requests)).Bind(3, count(traffic.retries));
    add.Bind(4, count(traffic.throttled)).Bind(5, count(traffic.hedges));
    add.Bind(6, count(traffic.outages)).Bind(7, count(traffic.bytes));
    return add.Run();
  }

  /// Compare and set: whoever reads the same partition into the same database finds out here.
  Status MoveOffset(const OffsetStep& step) {
    const bool first = step.expected == kBeginning;
    SqliteStatement& move = first ? statements_.first_offset : statements_.move_offset;
    move.Bind(1, step.at.topic).Bind(2, int64_t{step.at.partition}).Bind(3, step.next);
    move.Bind(4, log_identity_);
    if (step.last) {
      move.Bind(5, step.last->offset).Bind(6, step.last->digest);
    } else {
      move.BindNull(5).BindNull(6);
    }
    if (!first) move.Bind(7, step.expected);
    TRAWL_TRY(move.Run());
    if (database_.Changes() == 1) return OkStatus();
    return Error(
        Code::kFailedPrecondition,
        "the offset of {}/{} is not where this collector left it: another collector writes into "
        "this database",
        step.at.topic, step.at.partition);
  }

  SqliteDatabase& database_;
  Statements& statements_;
  const std::string& log_identity_;
  std::map<std::pair<std::string, std::string>, int64_t> model_ids_;
  std::map<std::string, JobDelta> deltas_;
  WriteReport report_;
};

class SqliteResultStore final : public ResultStore {
 public:
  SqliteResultStore(std::string path, std::unique_ptr<SqliteDatabase> database)
      : path_(std::move(path)), database_(std::move(database)) {}

  Status Prepare() { return statements_.Prepare(*database_); }

  Result<std::vector<StoredOffset>> Offsets(const std::string& log_identity) override {
    Result<std::vector<StoredOffset>> offsets = ReadOffsets(log_identity);
    if (!offsets) return Annotate(offsets.error(), "reading the offsets in {}", path_);
    log_identity_ = log_identity;
    return offsets;
  }

  Result<WriteReport> Write(const CollectedBatch& batch) override {
    CHECK(batch.steps.empty() || log_identity_);  // Offsets() comes first
    Result<WriteReport> report = WriteTransaction(batch);
    if (!report) return Annotate(report.error(), "writing {}", path_);
    return report;
  }

 private:
  Result<std::vector<StoredOffset>> ReadOffsets(const std::string& log_identity) {
    std::vector<StoredOffset> offsets;
    SqliteStatement& read = statements_.read_offsets;
    while (true) {
      TRAWL_ASSIGN(const bool row, read.Step());
      if (!row) return offsets;
      if (read.Text(3) != log_identity) {
        const std::string other(read.Text(3));
        read.Reset();
        return Error(Code::kFailedPrecondition,
                     "the database was filled from another log ({}); this one is {}", other,
                     log_identity);
      }
      StoredOffset& stored = offsets.emplace_back();
      stored.at = {std::string(read.Text(0)), static_cast<int32_t>(read.Int(1))};
      stored.offset = read.Int(2);
      if (!read.IsNull(4)) stored.last = RecordMark{read.Int(4), std::string(read.Text(5))};
    }
  }

  Result<WriteReport> WriteTransaction(const CollectedBatch& batch) {
    TRAWL_ASSIGN(SqliteTransaction transaction, SqliteTransaction::Begin(*database_));
    const std::string log_identity = log_identity_.value_or("");
    BatchWriter writer(*database_, statements_, log_identity);
    TRAWL_TRY(writer.Write(batch));
    TRAWL_TRY(transaction.Commit());
    return writer.report();
  }

  const std::string path_;
  const std::unique_ptr<SqliteDatabase> database_;
  Statements statements_;  // after database_: finalised before it closes
  std::optional<std::string> log_identity_;
};

Result<std::unique_ptr<ResultStore>> Open(const std::string& path,
                                          std::chrono::milliseconds busy_timeout) {
  TRAWL_ASSIGN(auto database,
               SqliteDatabase::Open(path, SqliteDatabase::Mode::kReadWrite, busy_timeout));
  TRAWL_TRY(CreateOrMigrate(*database));
  auto store = std::make_unique<SqliteResultStore>(path, std::move(database));
  TRAWL_TRY(store->Prepare());
  return store;
}

}  // namespace

Result<std::unique_ptr<ResultStore>> OpenResultStore(const std::string& path,
                                                     std::chrono::milliseconds busy_timeout) {
  auto store = Open(path, busy_timeout);
  if (!store) return Annotate(store.error(), "opening the results database {}", path);
  return store;
}

}  // namespace trawl::storage
