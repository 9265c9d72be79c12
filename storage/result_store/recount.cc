// Mends the counters of a job whose rows were changed by somebody else than the collector.
#include "config/set_digest.h"
#include "storage/result_store/result_store.h"
#include "storage/result_store/schema.h"
#include "storage/sqlite/sqlite.h"

namespace trawl::storage {
namespace {

constexpr std::chrono::seconds kBusyTimeout{10};

struct Tally {
  int64_t done = 0, failed = 0;
  SetDigest digest;
};

Result<Tally> CountRows(SqliteDatabase& database, const std::string& job_id) {
  TRAWL_ASSIGN(SqliteStatement rows,
               database.Prepare("SELECT batch, position, key, status FROM objects"
                                " WHERE job_id = (SELECT id FROM jobs WHERE job = ?1)"));
  rows.Bind(1, job_id);
  Tally tally;
  while (true) {
    TRAWL_ASSIGN(const bool more, rows.Step());
    if (!more) return tally;
    ++(rows.Text(3) == "failed" ? tally.failed : tally.done);
    tally.digest.Add(job_id, static_cast<uint64_t>(rows.Int(0)), static_cast<uint32_t>(rows.Int(1)),
                     rows.Text(2));
  }
}

Status Recount(const std::string& path, const std::string& job_id,
               std::optional<uint64_t> requeue_ended) {
  TRAWL_ASSIGN(const auto database,
               SqliteDatabase::Open(path, SqliteDatabase::Mode::kReadWrite, kBusyTimeout));
  TRAWL_TRY(CheckSchema(*database));
  // Rows and counters in one transaction, so that a collector adds to what was counted.
  TRAWL_ASSIGN(SqliteTransaction transaction, SqliteTransaction::Begin(*database));
  TRAWL_ASSIGN(const Tally tally, CountRows(*database, job_id));
  TRAWL_ASSIGN(SqliteStatement put,
               database->Prepare("UPDATE jobs SET done = ?2, failed = ?3, collected_digest = ?4,"
                                 "   requeue_ended = coalesce(?5, requeue_ended) WHERE job = ?1"));
  put.Bind(1, job_id).Bind(2, tally.done).Bind(3, tally.failed).Bind(4, tally.digest.Hex());
  if (requeue_ended)
    put.Bind(5, static_cast<int64_t>(*requeue_ended));
  else
    put.BindNull(5);
  TRAWL_TRY(put.Run());
  return transaction.Commit();
}

}  // namespace

Status RecountJob(const std::string& path, const std::string& job_id,
                  std::optional<uint64_t> requeue_ended) {
  const Status status = Recount(path, job_id, requeue_ended);
  if (!status.ok()) return Annotate(status, "counting the rows of job {} in {}", job_id, path);
  return OkStatus();
}

}  // namespace trawl::storage
