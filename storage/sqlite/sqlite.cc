#include "storage/sqlite/sqlite.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

namespace trawl::storage {
namespace {

namespace fs = std::filesystem;

/// The route that an error takes, and what to tell a person.
Status FromErrno(int system_errno, const char* otherwise) {
  switch (system_errno) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return {Code::kResourceExhausted, "the disk is full"};
    case EACCES:
    case EPERM:
      return {Code::kPermissionDenied, "permission denied"};
    case EROFS:
      return {Code::kPermissionDenied, "the file system is read-only"};
    case ENOENT:
      return {Code::kNotFound, "no such file or folder"};
    case 0:
      return {Code::kUnavailable, otherwise};
    default:
      return {Code::kUnavailable,
              fmt::format("{} ({})", otherwise, std::generic_category().message(system_errno))};
  }
}

Status MovedAway() {
  return {Code::kFailedPrecondition, "the file was moved or deleted while it was open"};
}

Status FromSqlite(sqlite3* connection) {
  const int extended = sqlite3_extended_errcode(connection);
  const int system_errno = sqlite3_system_errno(connection);
  const char* const text = sqlite3_errmsg(connection);
  if (extended == SQLITE_READONLY_DBMOVED) return MovedAway();
  // A full disk has a code of its own; a quota and a limit on file sizes end up here, without
  // errno.
  if (extended == SQLITE_IOERR_WRITE && system_errno == 0) {
    return {Code::kResourceExhausted,
            "the file cannot be written: the disk is full, over a quota or size limit, or broken"};
  }
  switch (extended & 0xFF) {
    case SQLITE_FULL:
      return {Code::kResourceExhausted, "the disk is full"};
    case SQLITE_NOMEM:
      return {Code::kResourceExhausted, "out of memory"};
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return {Code::kUnavailable, "the database is locked by another process"};
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return {Code::kPermissionDenied, "the database is read-only"};
    case SQLITE_NOTADB:
      return {Code::kDataLoss, "the file is not a SQLite database"};
    case SQLITE_CORRUPT:
      return {Code::kDataLoss, "the database is damaged"};
    case SQLITE_CANTOPEN:
      return FromErrno(system_errno, "the file cannot be opened");
    case SQLITE_IOERR:
      return FromErrno(system_errno, text);
    case SQLITE_TOOBIG:
      return {Code::kInvalidArgument, "a value is too large"};
    default:
      return {Code::kInternal, fmt::format("SQLite: {} ({})", text, extended)};
  }
}

/// What SQLite reports as "unable to open" has clearer reasons.
Status CheckPath(const fs::path& path, SqliteDatabase::Mode mode) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) return Error(Code::kInvalidArgument, "it is a folder");
  if (mode != SqliteDatabase::Mode::kReadWrite) return OkStatus();
  const fs::path folder = path.parent_path();
  std::error_code error;
  if (!fs::is_directory(folder, error) && (!error || error == std::errc::no_such_file_or_directory))
    return Error(Code::kNotFound, "no such folder: {}", folder.string());
  if (!fs::exists(path, ignored) &&
      faccessat(AT_FDCWD, folder.c_str(), W_OK | X_OK, AT_EACCESS) != 0)
    return FromErrno(errno, "the folder cannot be written to");
  return OkStatus();
}

std::string ImmutableUri(const std::string& path) {
  std::string uri = "file:";
  for (const char c : path) {
    if (c == '?' || c == '#' || c == '%') {
      uri += fmt::format("%{:02X}", static_cast<unsigned>(c));
    } else {
      uri += c;
    }
  }
  return uri + "?immutable=1";
}

}  // namespace

void SqliteStatement::Finalizer::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}

SqliteStatement& SqliteStatement::Bind(int parameter, int64_t value) {
  sqlite3_bind_int64(statement_.get(), parameter, value);
  return *this;
}

SqliteStatement& SqliteStatement::Bind(int parameter, double value) {
  sqlite3_bind_double(statement_.get(), parameter, value);
  return *this;
}

SqliteStatement& SqliteStatement::Bind(int parameter, std::string_view text) {
  // A null pointer would bind NULL, and an empty view may hold one.
  sqlite3_bind_text64(statement_.get(), parameter, text.data() == nullptr ? "" : text.data(),
                      text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
  return *this;
}

SqliteStatement& SqliteStatement::BindBlob(int parameter, std::string_view bytes) {
  sqlite3_bind_blob64(statement_.get(), parameter, bytes.data() == nullptr ? "" : bytes.data(),
                      bytes.size(), SQLITE_TRANSIENT);
  return *this;
}

SqliteStatement& SqliteStatement::BindNull(int parameter) {
  sqlite3_bind_null(statement_.get(), parameter);
  return *this;
}

Result<bool> SqliteStatement::Step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  Status status;
  if (code != SQLITE_DONE) status = FromSqlite(sqlite3_db_handle(statement_.get()));
  Reset();
  if (!status.ok()) return tl::unexpected(std::move(status));
  return false;
}

Status SqliteStatement::Run() {
  const Result<bool> row = Step();
  if (!row) return row.error();
  if (*row) Reset();
  return OkStatus();
}

void SqliteStatement::Reset() { sqlite3_reset(statement_.get()); }

bool SqliteStatement::IsNull(int column) const {
  return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

int64_t SqliteStatement::Int(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

double SqliteStatement::Double(int column) const {
  return sqlite3_column_double(statement_.get(), column);
}

std::string_view SqliteStatement::Text(int column) const {
  const void* const bytes = sqlite3_column_blob(statement_.get(), column);
  const int size = sqlite3_column_bytes(statement_.get(), column);
  return {static_cast<const char*>(bytes), bytes == nullptr ? 0 : static_cast<size_t>(size)};
}

void SqliteDatabase::Closer::operator()(sqlite3* connection) const { sqlite3_close_v2(connection); }

Result<std::unique_ptr<SqliteDatabase>> SqliteDatabase::Open(
    const std::string& path, Mode mode, std::chrono::milliseconds busy_timeout) {
  if (path.empty()) return Error(Code::kInvalidArgument, "the path is empty");
  std::error_code error;
  const fs::path absolute = fs::absolute(path, error);
  if (error) return Error(Code::kUnavailable, "{}", error.message());
  TRAWL_TRY(CheckPath(absolute, mode));
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  flags |=
      mode == Mode::kReadWrite ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY;
  if (mode == Mode::kImmutable) flags |= SQLITE_OPEN_URI;
  sqlite3* connection = nullptr;
  const std::string name =
      mode == Mode::kImmutable ? ImmutableUri(absolute.string()) : absolute.string();
  const int code = sqlite3_open_v2(name.c_str(), &connection, flags, nullptr);
  std::unique_ptr<SqliteDatabase> database(new SqliteDatabase(connection));
  if (connection == nullptr) return Error(Code::kResourceExhausted, "out of memory");
  if (code != SQLITE_OK) return tl::unexpected(FromSqlite(connection));
  if (mode == Mode::kReadWrite && sqlite3_db_readonly(connection, "main") == 1)
    return Error(Code::kPermissionDenied, "the file is read-only");
  sqlite3_busy_timeout(connection, static_cast<int>(busy_timeout.count()));
  // The file may come from a stranger: its schema gets no dangerous functions and may not be edited
  // as a table.
  sqlite3_db_config(connection, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(connection, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  return database;
}

Result<SqliteStatement> SqliteDatabase::Prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v3(connection_.get(), sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code != SQLITE_OK) return tl::unexpected(FromSqlite(connection_.get()));
  return SqliteStatement(statement);
}

Status SqliteDatabase::Execute(const char* sql) {
  const int code = sqlite3_exec(connection_.get(), sql, nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? OkStatus() : FromSqlite(connection_.get());
}

Result<int64_t> SqliteDatabase::ReadInt(std::string_view sql) {
  TRAWL_ASSIGN(SqliteStatement statement, Prepare(sql));
  TRAWL_ASSIGN(const bool row, statement.Step());
  if (!row) return Error(Code::kInternal, "SQLite: no row from {}", sql);
  return statement.Int(0);
}

int64_t SqliteDatabase::Changes() const { return sqlite3_changes64(connection_.get()); }

int64_t SqliteDatabase::LastInsertRowId() const {
  return sqlite3_last_insert_rowid(connection_.get());
}

Result<SqliteTransaction> SqliteTransaction::Begin(SqliteDatabase& database) {
  TRAWL_TRY(database.Execute("BEGIN IMMEDIATE"));
  SqliteTransaction transaction(database);
  // SQLite itself goes on writing into a deleted file, and everything in it is lost at the end.
  int moved = 0;
  sqlite3_file_control(database.connection_.get(), "main", SQLITE_FCNTL_HAS_MOVED, &moved);
  if (moved != 0) return tl::unexpected(MovedAway());
  return transaction;
}

SqliteTransaction::~SqliteTransaction() {
  // A full disk or an I/O error may have rolled back already.
  if (database_ == nullptr || sqlite3_get_autocommit(database_->connection_.get()) != 0) return;
  const Status ignored = database_->Execute("ROLLBACK");
}

Status SqliteTransaction::Commit() {
  TRAWL_TRY(database_->Execute("COMMIT"));
  database_ = nullptr;
  return OkStatus();
}

}  // namespace trawl::storage
