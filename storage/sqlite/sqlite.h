#pragma once
// SQLite as the storage adapters use it: RAII for its handles, Status for its codes, and nothing
// else. Prepared statements only; identifiers never come from input.

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "config/status.h"

struct sqlite3;
struct sqlite3_stmt;

namespace trawl::storage {

/// A prepared statement. Parameters count from 1, columns from 0. Movable; not thread-safe.
class SqliteStatement {
 public:
  SqliteStatement() = default;
  explicit SqliteStatement(sqlite3_stmt* statement) : statement_(statement) {}

  /// Binding copies its argument. It fails only for a wrong index, which is a bug, or without
  /// memory; either shows up at the next Step.
  SqliteStatement& Bind(int parameter, int64_t value);
  SqliteStatement& Bind(int parameter, double value);
  SqliteStatement& Bind(int parameter, std::string_view text);
  SqliteStatement& BindBlob(int parameter, std::string_view bytes);
  SqliteStatement& BindNull(int parameter);

  /// True: there is a row to read. False: the statement has run to its end and is ready to run
  /// again. After an error, too, it is ready to run again.
  Result<bool> Step();
  /// For statements without rows.
  Status Run();
  /// Ready to run again, also in the midst of its rows.
  void Reset();

  bool IsNull(int column) const;
  int64_t Int(int column) const;
  double Double(int column) const;
  /// The bytes of a text or a blob; valid until the next Step or Reset.
  std::string_view Text(int column) const;

 private:
  struct Finalizer {
    void operator()(sqlite3_stmt* statement) const;
  };
  std::unique_ptr<sqlite3_stmt, Finalizer> statement_;
};

/// One connection. Not thread-safe.
class SqliteDatabase {
 public:
  enum class Mode {
    kReadWrite,  // creates the file when it is missing
    kReadOnly,
    kImmutable,  // read-only media: no locks and no -shm file; the file must not change meanwhile
  };
  /// `path` is a file's path, whatever it looks like: never a URI, never ":memory:".
  /// Errors: kNotFound (no such folder or file), kPermissionDenied (read-only, or no rights),
  /// kInvalidArgument (a folder, an empty path), kResourceExhausted, kUnavailable.
  static Result<std::unique_ptr<SqliteDatabase>> Open(const std::string& path, Mode mode,
                                                      std::chrono::milliseconds busy_timeout);

  /// Errors: kInternal for wrong SQL; what reading the schema may meet (kDataLoss: not a database).
  Result<SqliteStatement> Prepare(std::string_view sql);
  /// Runs constant SQL, one or more statements.
  Status Execute(const char* sql);
  /// The single integer that `sql` yields.
  Result<int64_t> ReadInt(std::string_view sql);
  /// Rows that the latest INSERT, UPDATE or DELETE changed.
  int64_t Changes() const;
  int64_t LastInsertRowId() const;

 private:
  friend class SqliteTransaction;
  struct Closer {
    void operator()(sqlite3* connection) const;
  };
  explicit SqliteDatabase(sqlite3* connection) : connection_(connection) {}

  std::unique_ptr<sqlite3, Closer> connection_;
};

/// BEGIN IMMEDIATE … COMMIT; rolls back unless committed. Immediate, because a deferred transaction
/// that has to turn into a writing one fails with SQLITE_BUSY_SNAPSHOT, which no busy timeout
/// cures.
class SqliteTransaction {
 public:
  static Result<SqliteTransaction> Begin(SqliteDatabase& database);
  SqliteTransaction(SqliteTransaction&& other) noexcept
      : database_(std::exchange(other.database_, nullptr)) {}
  SqliteTransaction& operator=(SqliteTransaction&&) = delete;
  ~SqliteTransaction();
  Status Commit();

 private:
  explicit SqliteTransaction(SqliteDatabase& database) : database_(&database) {}
  SqliteDatabase* database_;
};

}  // namespace trawl::storage
