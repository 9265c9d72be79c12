#pragma once
// Where the record of a job lives: for the commands that look after jobs, whoever runs them.

#include <memory>
#include <stop_token>
#include <string>

#include "config/settings.h"
#include "producer/audit.h"
#include "storage/message_log/message_log.h"
#include "storage/result_store/result_store.h"

namespace trawl::ops {

/// The log beside the database when `trawl run` made one, else the fleet's. Errors:
/// kInvalidArgument when it is neither; kFailedPrecondition while a `trawl run` holds its log.
Result<std::unique_ptr<storage::MessageLog>> OpenJobLog(const std::string& db,
                                                        const Settings& settings);

/// "<db>.log": where `trawl run` keeps its log.
std::string RunLogPath(const std::string& db);
/// True when there is such a log.
bool IsRunDatabase(const std::string& db);

/// Tells the database of a job's new record at once; the collector will read it, too. Errors:
/// kFailedPrecondition when it was filled from another log.
Status PutJobIntoDatabase(const std::string& db, storage::MessageLog& log, const JobRecord& job);

/// A job's log and database, and its accounts.
struct JobBooks {
  std::unique_ptr<storage::MessageLog> log;
  std::unique_ptr<storage::ResultReader> reader;
  producer::Audit audit;
};

Result<JobBooks> OpenJobBooks(const std::string& job_id, const std::string& db,
                              const Settings& settings, std::stop_token stop);

}  // namespace trawl::ops
