#include "storage/result_store/control_requests.h"

#include <utility>

#include "config/clock.h"
#include "storage/result_store/schema.h"
#include "storage/sqlite/sqlite.h"

namespace trawl::storage {
namespace {

using std::chrono::milliseconds;

constexpr std::chrono::seconds kBusyTimeout{10};
constexpr milliseconds kPollInterval{50};

}  // namespace

ControlRequests::ControlRequests(std::string path, std::unique_ptr<SqliteDatabase> database)
    : path_(std::move(path)), database_(std::move(database)) {}

ControlRequests::~ControlRequests() = default;

Result<std::unique_ptr<ControlRequests>> ControlRequests::Open(const std::string& path) {
  auto database = SqliteDatabase::Open(path, SqliteDatabase::Mode::kReadWrite, kBusyTimeout);
  const Status checked = database ? CheckSchema(**database) : database.error();
  if (!checked.ok()) return Annotate(checked, "opening the results database {}", path);
  return std::unique_ptr<ControlRequests>(new ControlRequests(path, std::move(*database)));
}

Status ControlRequests::Ask(const std::string& job_id, JobControl wanted, milliseconds timeout,
                            std::stop_token stop) {
  Result<int64_t> id = Post(job_id, wanted);
  if (!id) return Annotate(id.error(), "asking through {}", path_);
  const Status answer = Await(*id, timeout, std::move(stop));
  TRAWL_TRY(Remove(*id));
  return answer;
}

Result<int64_t> ControlRequests::Post(const std::string& job_id, JobControl wanted) {
  TRAWL_ASSIGN(SqliteStatement post,
               database_->Prepare("INSERT INTO requests (job, control) VALUES (?1, ?2)"));
  TRAWL_TRY(post.Bind(1, job_id).Bind(2, ToString(wanted)).Run());
  return database_->LastInsertRowId();
}

Status ControlRequests::Await(int64_t id, milliseconds timeout, std::stop_token stop) {
  TRAWL_ASSIGN(SqliteStatement read,
               database_->Prepare("SELECT answer_code, answer FROM requests WHERE id = ?1"));
  const auto give_up = SystemClock().Now() + timeout;
  while (true) {
    TRAWL_ASSIGN(const bool found, read.Bind(1, id).Step());
    if (!found) return Error(Code::kDeadlineExceeded, "the question was thrown away unanswered");
    if (!read.IsNull(0)) return Status(static_cast<Code>(read.Int(0)), std::string(read.Text(1)));
    read.Reset();
    if (SystemClock().Now() > give_up)
      return Error(Code::kDeadlineExceeded, "no answer within {} s", timeout.count() / 1'000);
    if (!SystemClock().SleepFor(kPollInterval, stop)) return Error(Code::kCancelled, "interrupted");
  }
}

Status ControlRequests::Remove(int64_t id) {
  TRAWL_ASSIGN(SqliteStatement remove, database_->Prepare("DELETE FROM requests WHERE id = ?1"));
  return remove.Bind(1, id).Run();
}

Status ControlRequests::DiscardAll() { return database_->Execute("DELETE FROM requests"); }

Result<std::vector<ControlRequest>> ControlRequests::Pending() {
  TRAWL_ASSIGN(SqliteStatement select,
               database_->Prepare("SELECT id, job, control FROM requests"
                                  " WHERE answer_code IS NULL ORDER BY id"));
  std::vector<ControlRequest> requests;
  while (true) {
    TRAWL_ASSIGN(const bool more, select.Step());
    if (!more) return requests;
    requests.push_back({select.Int(0), std::string(select.Text(1)),
                        ParseJobControl(select.Text(2)).value_or(JobControl::kRun)});
  }
}

Status ControlRequests::Answer(int64_t id, const Status& answer) {
  TRAWL_ASSIGN(SqliteStatement put,
               database_->Prepare("UPDATE requests SET answer_code = ?2, answer = ?3"
                                  " WHERE id = ?1"));
  put.Bind(1, id).Bind(2, static_cast<int64_t>(answer.code())).Bind(3, answer.message());
  return put.Run();
}

}  // namespace trawl::storage
