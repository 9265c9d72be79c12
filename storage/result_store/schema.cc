#include "storage/result_store/schema.h"

namespace trawl::storage {
namespace {

constexpr int64_t kApplicationId = 0x5452574C;  // "TRWL"; `file` and SQLite's tools show it

struct Stamp {
  bool empty = false;  // nothing in it yet: ours to fill
  int64_t version = 0;
};

int64_t NewestVersion() { return static_cast<int64_t>(Migrations().size()); }

/// Errors: kFailedPrecondition unless the database is empty or one of ours that we understand.
Result<Stamp> ReadStamp(SqliteDatabase& database) {
  TRAWL_ASSIGN(const int64_t application, database.ReadInt("PRAGMA application_id"));
  TRAWL_ASSIGN(const int64_t version, database.ReadInt("PRAGMA user_version"));
  TRAWL_ASSIGN(const int64_t tables, database.ReadInt("SELECT count(*) FROM sqlite_schema"));
  if (application == 0 && version == 0 && tables == 0) return Stamp{true, 0};
  if (application != kApplicationId) {
    return Error(Code::kFailedPrecondition,
                 "it is a SQLite database of another program, not one of Trawl's results");
  }
  if (version > NewestVersion()) {
    return Error(Code::kFailedPrecondition,
                 "it was written by a newer Trawl (schema {}; this one knows {})", version,
                 NewestVersion());
  }
  return Stamp{false, version};
}

/// WAL: reading never blocks writing.
Status SwitchToWal(SqliteDatabase& database) {
  TRAWL_ASSIGN(SqliteStatement pragma, database.Prepare("PRAGMA journal_mode = WAL"));
  TRAWL_ASSIGN(const bool row, pragma.Step());
  if (!row || pragma.Text(0) != "wal")
    return Error(Code::kFailedPrecondition, "its file system does not support write-ahead logging");
  return OkStatus();
}

Status ApplyMissingSteps(SqliteDatabase& database) {
  TRAWL_ASSIGN(SqliteTransaction transaction, SqliteTransaction::Begin(database));
  TRAWL_ASSIGN(const Stamp stamp,
               ReadStamp(database));  // again: another process may have been faster
  const auto steps = Migrations().subspan(static_cast<size_t>(stamp.version));
  for (const char* const step : steps) TRAWL_TRY(database.Execute(step));
  TRAWL_TRY(database.Execute(fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {}",
                                         kApplicationId, NewestVersion())
                                 .c_str()));
  return transaction.Commit();
}

}  // namespace

Status CreateOrMigrate(SqliteDatabase& database) {
  TRAWL_ASSIGN(const Stamp stamp, ReadStamp(database));
  TRAWL_TRY(SwitchToWal(database));
  // FULL: a committed row survives a power cut. NORMAL would lose rows and offsets together, which
  // reading the log again heals, but the embedded log deletes what has been written here.
  TRAWL_TRY(database.Execute("PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 67108864"));
  if (stamp.version < NewestVersion()) TRAWL_TRY(ApplyMissingSteps(database));
  return database.Execute("PRAGMA foreign_keys = ON");  // after the steps, which may rebuild tables
}

Status CheckSchema(SqliteDatabase& database) {
  TRAWL_ASSIGN(const Stamp stamp, ReadStamp(database));
  if (stamp.empty)
    return Error(Code::kFailedPrecondition, "it is empty: no collector has opened it yet");
  if (stamp.version < NewestVersion()) {
    return Error(
        Code::kFailedPrecondition,
        "its schema is older ({}) than this Trawl's ({}); the next collector brings it forward",
        stamp.version, NewestVersion());
  }
  return OkStatus();
}

}  // namespace trawl::storage
