// The reading side: a read-only connection. In WAL mode each call sees one snapshot and never
// blocks the collector.
#include <algorithm>
#include <filesystem>
#include <utility>

#include "config/suggest.h"
#include "storage/result_store/result_store.h"
#include "storage/result_store/schema.h"
#include "storage/sqlite/sqlite.h"

namespace trawl::storage {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds kBusyTimeout{10};
constexpr int64_t kRateWindowMs = 30'000;

// The rate's window ends with the newest result, not now: a job that stands still keeps its last
// rate.
constexpr const char* kSelectJobs =
    "SELECT j.job, p.state, j.source, coalesce(m.name, ''), coalesce(m.digest, ''), j.enqueued, "
    "j.done,"
    "       j.failed, j.created_at_ms, j.first_result_ms, j.last_result_ms, j.download_ms, "
    "j.decode_ms,"
    "       j.infer_ms,"
    "       (SELECT sum(t.results) FROM throughput t"
    "        WHERE t.job_id = j.id AND t.second > j.last_result_ms / 1000 - 30),"
    "       w.wall_s, w.cpu_s, w.decode_s, w.infer_s, w.await_download_s, w.await_work_s,"
    "       w.decode_waits_s, w.infer_waits_s, w.publish_s,"
    "       d.requests, d.retries, d.throttled, d.hedges, d.outages, d.bytes"
    " FROM jobs j JOIN job_progress p ON p.job = j.job LEFT JOIN models m ON m.id = j.model_id"
    " LEFT JOIN worker_times w ON w.job_id = j.id"
    " LEFT JOIN worker_downloads d ON d.job_id = j.id";

constexpr const char* kFindJob = "SELECT id FROM jobs WHERE job = ?1";

constexpr const char* kSelectRows =
    "SELECT id, key, error_code, error_message, error_attempts FROM objects"
    " WHERE job_id = ?1 ORDER BY key, id LIMIT ?2";

constexpr const char* kSelectFailures =
    "SELECT id, key, error_code, error_message, error_attempts FROM objects"
    " WHERE job_id = ?1 AND status = 'failed' ORDER BY key, id LIMIT ?2";

constexpr const char* kSelectAccount =
    "SELECT id, done, failed, collected_digest, requeue_ended, duplicates FROM jobs WHERE job = ?1";

constexpr const char* kSelectLedger =
    "SELECT batch, position, key, error_code FROM objects WHERE job_id = ?1";

constexpr const char* kSelectOffsets = "SELECT topic, partition, next_offset, log FROM offsets";

constexpr const char* kSelectPredictions =
    "SELECT class, label, probability FROM predictions WHERE object_id = ?1 ORDER BY rank";

/// `window_results`: the results of the 30 whole seconds up to the newest one.
double RatePerSecond(const JobStatus& job, int64_t window_results) {
  if (!job.first_result_ms || !job.last_result_ms) return 0;
  const int64_t window_start_ms = (*job.last_result_ms / 1'000 - kRateWindowMs / 1'000 + 1) * 1'000;
  const int64_t span_ms = *job.last_result_ms - std::max(*job.first_result_ms, window_start_ms);
  return span_ms <= 0 ? 0
                      : static_cast<double>(window_results) * 1e3 / static_cast<double>(span_ms);
}

JobStatus ReadJob(const SqliteStatement& row) {
  JobStatus job;
  job.job_id = row.Text(0);
  job.state = row.Text(1);
  job.source = row.Text(2);
  job.model_name = row.Text(3);
  job.model_digest = row.Text(4);
  job.enqueued = static_cast<uint64_t>(row.Int(5));
  job.done = static_cast<uint64_t>(row.Int(6));
  job.failed = static_cast<uint64_t>(row.Int(7));
  job.created_at_ms = row.Int(8);
  if (!row.IsNull(9)) job.first_result_ms = row.Int(9);
  if (!row.IsNull(10)) job.last_result_ms = row.Int(10);
  job.busy = {row.Double(11), row.Double(12), row.Double(13)};
  job.rate_per_second = RatePerSecond(job, row.Int(14));
  if (!row.IsNull(15)) {
    job.times =
        WorkerTimes{row.Double(15), row.Double(16), row.Double(17), row.Double(18), row.Double(19),
                    row.Double(20), row.Double(21), row.Double(22), row.Double(23)};
  }
  const auto count = [&row](int column) { return static_cast<uint64_t>(row.Int(column)); };
  if (!row.IsNull(24))
    job.downloads = {count(24), count(25), count(26), count(27), count(28), count(29)};
  const uint64_t finished = job.done + job.failed;
  if (job.state == "running" && job.rate_per_second > 0 && finished < job.enqueued)
    job.eta_seconds = static_cast<double>(job.enqueued - finished) / job.rate_per_second;
  return job;
}

Result<ResultRow> ReadRow(const SqliteStatement& row, SqliteStatement& predictions) {
  ResultRow result;
  result.key = row.Text(1);
  if (!row.IsNull(2)) {
    const auto code = ParseObjectErrorCode(row.Text(2));
    result.error = {code.value_or(ObjectErrorCode::kInternal), std::string(row.Text(3)),
                    static_cast<int>(row.Int(4))};
    return result;
  }
  predictions.Bind(1, row.Int(0));
  while (true) {
    TRAWL_ASSIGN(const bool more, predictions.Step());
    if (!more) return result;
    result.predictions.push_back({static_cast<int>(predictions.Int(0)),
                                  std::string(predictions.Text(1)),
                                  static_cast<float>(predictions.Double(2))});
  }
}

LedgerRow ReadLedgerRow(const SqliteStatement& row) {
  LedgerRow object;
  object.batch_seq = static_cast<uint64_t>(row.Int(0));
  object.index = static_cast<uint32_t>(row.Int(1));
  object.key = row.Text(2);
  if (!row.IsNull(3))
    object.error = ParseObjectErrorCode(row.Text(3)).value_or(ObjectErrorCode::kInternal);
  return object;
}

/// True when a collector, or a crash of one, left rows outside the main file.
bool HasLiveWal(const std::string& path) {
  std::error_code error;
  const auto size = fs::file_size(path + "-wal", error);
  return !error && size > 0;
}

class SqliteResultReader final : public ResultReader {
 public:
  explicit SqliteResultReader(std::string path) : path_(std::move(path)) {}

  Status Open() {
    Result<std::unique_ptr<SqliteDatabase>> shared = OpenAs(SqliteDatabase::Mode::kReadOnly);
    immutable_ = false;
    if (!shared && CouldBeReadOnlyMedia(shared.error())) {
      // Even a reader of a WAL database writes locks into a -shm file. Where that cannot be, but
      // nothing is in a WAL either, the main file alone is the whole database.
      auto immutable = OpenAs(SqliteDatabase::Mode::kImmutable);
      if (immutable) {
        immutable_ = true;
        shared = std::move(immutable);
      }
    }
    if (!shared) return Annotate(shared.error(), "opening the results database {}", path_);
    database_ = std::move(*shared);
    return OkStatus();
  }

  Result<std::vector<JobStatus>> Jobs() override {
    TRAWL_TRY(Refresh());
    Result<std::vector<JobStatus>> jobs =
        ReadJobs(fmt::format("{} ORDER BY j.created_at_ms, j.job", kSelectJobs), nullptr);
    if (!jobs) return Annotate(jobs.error(), "reading {}", path_);
    return jobs;
  }

  Result<JobStatus> Job(const std::string& job_id) override {
    TRAWL_TRY(Refresh());
    auto jobs = ReadJobs(fmt::format("{} WHERE j.job = ?1", kSelectJobs), &job_id);
    if (!jobs) return Annotate(jobs.error(), "reading {}", path_);
    if (jobs->empty()) return tl::unexpected(NoSuchJob(job_id));
    return std::move(jobs->front());
  }

  Status Rows(const std::string& job_id, bool failures_only, int64_t limit,
              const std::function<bool(const ResultRow&)>& visit) override {
    TRAWL_TRY(Refresh());
    Result<bool> found = VisitRows(job_id, failures_only, limit, visit);
    if (!found) return Annotate(found.error(), "reading {}", path_);
    return *found ? OkStatus() : NoSuchJob(job_id);
  }

  Result<JobAccount> Ledger(const std::string& job_id,
                            const std::function<void(const LedgerRow&)>& visit) override {
    TRAWL_TRY(Refresh());
    Result<JobAccount> account = ReadLedger(job_id, visit);
    if (!account) return Annotate(account.error(), "reading {}", path_);
    return account;
  }

 private:
  Result<std::unique_ptr<SqliteDatabase>> OpenAs(SqliteDatabase::Mode mode) {
    TRAWL_ASSIGN(auto database, SqliteDatabase::Open(path_, mode, kBusyTimeout));
    TRAWL_TRY(CheckSchema(*database));
    return database;
  }

  bool CouldBeReadOnlyMedia(const Status& status) const {
    const bool refused = status.code() == Code::kPermissionDenied ||
                         status.code() == Code::kUnavailable || status.code() == Code::kNotFound;
    return refused && !HasLiveWal(path_);
  }

  /// An immutable connection believes that the file never changes, so it lives for one call.
  Status Refresh() { return immutable_ ? Open() : OkStatus(); }

  Result<std::vector<JobStatus>> ReadJobs(const std::string& sql, const std::string* job_id) {
    TRAWL_ASSIGN(SqliteStatement select, database_->Prepare(sql));
    if (job_id != nullptr) select.Bind(1, *job_id);
    std::vector<JobStatus> jobs;
    while (true) {
      TRAWL_ASSIGN(const bool row, select.Step());
      if (!row) return jobs;
      jobs.push_back(ReadJob(select));
    }
  }

  Status NoSuchJob(const std::string& job_id) {
    std::vector<std::string> names;
    if (auto jobs = ReadJobs(kSelectJobs, nullptr))
      for (JobStatus& job : *jobs) names.push_back(std::move(job.job_id));
    return Error(Code::kNotFound, "no such job '{}' in {}{}", job_id, path_,
                 DidYouMean(job_id, names));
  }

  /// False when there is no such job. While rows are being visited they all belong to one snapshot.
  Result<bool> VisitRows(const std::string& job_id, bool failures_only, int64_t limit,
                         const std::function<bool(const ResultRow&)>& visit) {
    TRAWL_ASSIGN(SqliteStatement find, database_->Prepare(kFindJob));
    TRAWL_ASSIGN(const bool found, find.Bind(1, job_id).Step());
    if (!found) return false;
    TRAWL_ASSIGN(SqliteStatement rows,
                 database_->Prepare(failures_only ? kSelectFailures : kSelectRows));
    TRAWL_ASSIGN(SqliteStatement predictions, database_->Prepare(kSelectPredictions));
    rows.Bind(1, find.Int(0)).Bind(2, limit > 0 ? limit : int64_t{-1});
    while (true) {
      TRAWL_ASSIGN(const bool more, rows.Step());
      if (!more) return true;
      TRAWL_ASSIGN(const ResultRow row, ReadRow(rows, predictions));
      if (!visit(row)) return true;
    }
  }

  /// `find` stays in the midst of its rows until the end, which holds the snapshot.
  Result<JobAccount> ReadLedger(const std::string& job_id,
                                const std::function<void(const LedgerRow&)>& visit) {
    TRAWL_ASSIGN(SqliteStatement find, database_->Prepare(kSelectAccount));
    TRAWL_ASSIGN(SqliteStatement offsets, database_->Prepare(kSelectOffsets));
    TRAWL_ASSIGN(SqliteStatement rows, database_->Prepare(kSelectLedger));
    JobAccount account;
    TRAWL_ASSIGN(const bool known, find.Bind(1, job_id).Step());
    while (true) {
      TRAWL_ASSIGN(const bool more, offsets.Step());
      if (!more) break;
      account.offsets.push_back(
          {{std::string(offsets.Text(0)), static_cast<int32_t>(offsets.Int(1))}, offsets.Int(2)});
      account.log_identity = offsets.Text(3);
    }
    if (!known) return account;
    account.done = static_cast<uint64_t>(find.Int(1));
    account.failed = static_cast<uint64_t>(find.Int(2));
    account.digest_hex = find.Text(3);
    account.requeue_ended = static_cast<uint64_t>(find.Int(4));
    account.duplicates = static_cast<uint64_t>(find.Int(5));
    rows.Bind(1, find.Int(0));
    while (true) {
      TRAWL_ASSIGN(const bool more, rows.Step());
      if (!more) return account;
      visit(ReadLedgerRow(rows));
    }
  }

  const std::string path_;
  std::unique_ptr<SqliteDatabase> database_;
  bool immutable_ = false;
};

}  // namespace

Result<std::unique_ptr<ResultReader>> OpenResultReader(const std::string& path) {
  auto reader = std::make_unique<SqliteResultReader>(path);
  TRAWL_TRY(reader->Open());
  return reader;
}

}  // namespace trawl::storage
