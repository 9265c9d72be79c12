#pragma once
// The result_store port: where outcomes end and where people query them. One adapter: SQLite
// (migrations/). ResultStore is the collector's writing side; ResultReader is everybody's reading
// side and never blocks it.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/records.h"
#include "config/status.h"
#include "storage/message_log/message_log.h"

namespace trawl::storage {

/// A record and how to know it again.
struct RecordMark {
  int64_t offset = 0;
  std::string digest;
};

/// How far a partition has been read.
struct StoredOffset {
  TopicPartition at;
  int64_t offset = kBeginning;       // the next record to read
  std::optional<RecordMark> last{};  // the newest one read
};

/// Moves one partition's offset in the same transaction as the rows read up to it.
struct OffsetStep {
  TopicPartition at;
  int64_t expected = kBeginning;  // what the store must hold now (kBeginning: no row yet)
  int64_t next = 0;
  std::optional<RecordMark> last{};
};

/// Everything that one transaction of the collector writes.
struct CollectedBatch {
  std::vector<ResultRecord> results;
  std::vector<JobRecord> jobs;
  std::vector<OffsetStep> steps;
};

struct WriteReport {
  int64_t rows_added = 0;
  int64_t rows_replaced = 0;          // failures that a later attempt replaced
  int64_t duplicates_suppressed = 0;  // same (job, batch, index, attempt) seen before
};

/// Not thread-safe; one per database (a second one is noticed by its offsets). Later attempts of
/// one (batch, index) replace a failure of an earlier one, and never a success. Call Offsets before
/// the first Write with steps.
class ResultStore {
 public:
  virtual ~ResultStore() = default;
  /// The offsets to read on from, for the log with this identity. Errors: kFailedPrecondition when
  /// the database was filled from another log.
  virtual Result<std::vector<StoredOffset>> Offsets(const std::string& log_identity) = 0;
  /// One transaction. Errors: kFailedPrecondition (an offset is not the expected one: a second
  /// collector), kResourceExhausted (disk full), kUnavailable (locked by somebody for longer than
  /// the busy timeout).
  virtual Result<WriteReport> Write(const CollectedBatch& batch) = 0;
};

/// Creates the database, or migrates an older one forward. Errors: kFailedPrecondition (not a Trawl
/// database, or from a newer Trawl), kPermissionDenied (read-only), kNotFound (no such folder),
/// kInvalidArgument (it is a folder), kDataLoss (not a database), kUnavailable (locked for longer
/// than `busy_timeout`), kResourceExhausted.
Result<std::unique_ptr<ResultStore>> OpenResultStore(
    const std::string& path, std::chrono::milliseconds busy_timeout = std::chrono::seconds(10));

/// A job as the database sees it.
struct JobStatus {
  std::string job_id;
  std::string state;  // listing | running | paused | complete | cancelling | cancelled | malformed
  std::string source;
  std::string model_name;
  std::string model_digest;
  uint64_t enqueued = 0;  // final once the state is not `listing`
  uint64_t done = 0;      // with predictions
  uint64_t failed = 0;    // with an error
  int64_t created_at_ms = 0;
  std::optional<int64_t> first_result_ms, last_result_ms;
  double rate_per_second = 0;  // over the 30 s up to the newest result (all of them if fewer)
  std::optional<double> eta_seconds;  // while running
  StageTimings busy;                  // sums over the job's objects, ms
  std::optional<WorkerTimes> times;   // sums over its workers; none before its first results
  DownloadTraffic downloads;          // likewise

  /// Nothing more comes of it by itself.
  bool ended() const { return state == "complete" || state == "cancelled" || state == "malformed"; }
};

/// One object's row by its identity, as the accounts know it. `key` lives as long as the visit.
struct LedgerRow {
  uint64_t batch_seq = 0;
  uint32_t index = 0;
  std::string_view key;
  std::optional<ObjectErrorCode> error;
};

/// What the database keeps beside a job's rows.
struct JobAccount {
  uint64_t done = 0, failed = 0;  // counted when the rows came
  std::string digest_hex;         // likewise
  uint64_t requeue_ended = 0;
  uint64_t duplicates = 0;           // records that came twice and were left out
  std::vector<TopicOffset> offsets;  // what was read of the log up to now
  std::string log_identity;          // of that log; empty before anything was read
};

struct ResultRow {
  std::string key;
  std::optional<ObjectError> error;
  std::vector<Prediction> predictions;
};

/// Not thread-safe: open one per thread. Any number may read while the collector writes.
class ResultReader {
 public:
  virtual ~ResultReader() = default;
  virtual Result<std::vector<JobStatus>> Jobs() = 0;
  /// Errors: kNotFound.
  virtual Result<JobStatus> Job(const std::string& job_id) = 0;
  /// Calls `visit` with each row in the order of the keys' bytes (keys that are not text come last)
  /// until it returns false; all from one snapshot, in bounded memory. `limit` 0: all. Errors:
  /// kNotFound.
  virtual Status Rows(const std::string& job_id, bool failures_only, int64_t limit,
                      const std::function<bool(const ResultRow&)>& visit) = 0;
  /// Calls `visit` with each row of the job, in no particular order; account and rows are from one
  /// snapshot. No rows and an empty account when the job is not known yet.
  virtual Result<JobAccount> Ledger(const std::string& job_id,
                                    const std::function<void(const LedgerRow&)>& visit) = 0;
};

/// Opens read-only. Errors: as OpenResultStore, and kNotFound when there is no such file.
Result<std::unique_ptr<ResultReader>> OpenResultReader(const std::string& path);

/// Counts the job's rows again and makes its counters and digest say so, for rows that were lost or
/// added behind the collector's back; also while a collector writes. `requeue_ended`: set to this,
/// unless none. Errors: as ResultStore::Write.
Status RecountJob(const std::string& path, const std::string& job_id,
                  std::optional<uint64_t> requeue_ended);

}  // namespace trawl::storage
