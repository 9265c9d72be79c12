#pragma once
// How a command in another terminal reaches the process that holds a job's log (`trawl run`), which
// alone may write it: through a table of the database that both have open.

#include <chrono>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "config/records.h"
#include "config/status.h"

namespace trawl::storage {

class SqliteDatabase;

struct ControlRequest {
  int64_t id = 0;
  std::string job_id;
  JobControl wanted = JobControl::kRun;
};

/// Not thread-safe; any number may be open on one database.
class ControlRequests {
 public:
  /// Errors: as OpenResultReader.
  static Result<std::unique_ptr<ControlRequests>> Open(const std::string& path);
  ~ControlRequests();

  /// For commands: asks, and waits for the answer. Errors: the answer's; kDeadlineExceeded when
  /// there is none in time; kCancelled. A question without an answer is taken back.
  Status Ask(const std::string& job_id, JobControl wanted, std::chrono::milliseconds timeout,
             std::stop_token stop);

  /// For the process that holds the log. At its start nobody can be waiting for it any more.
  Status DiscardAll();
  Result<std::vector<ControlRequest>> Pending();
  Status Answer(int64_t id, const Status& answer);

 private:
  ControlRequests(std::string path, std::unique_ptr<SqliteDatabase> database);

  Result<int64_t> Post(const std::string& job_id, JobControl wanted);
  Status Await(int64_t id, std::chrono::milliseconds timeout, std::stop_token stop);
  Status Remove(int64_t id);

  const std::string path_;
  const std::unique_ptr<SqliteDatabase> database_;
};

}  // namespace trawl::storage
