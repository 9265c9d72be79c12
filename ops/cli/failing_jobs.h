#pragma once
// Jobs of which too much fails: a wrong model, a store that refuses, a source that holds no
// pictures. Such a job is held back until a person has looked, before all of it has failed.

#include <cstdint>
#include <map>
#include <stop_token>
#include <string>
#include <thread>

#include "storage/message_log/message_log.h"
#include "storage/result_store/result_store.h"

namespace trawl::ops {

/// More than so many percent of what has ended are failures that nobody asked for, of enough
/// objects that a few bad ones at the start are no reason.
bool MostlyFails(const storage::JobStatus& job, int64_t percent = 50);

/// Pauses each job of a database, once, when it comes to fail mostly. What failed as much when the
/// watch began was resumed by somebody, or has ended, and is left alone, as is whatever is resumed
/// later. A thread of its own until it is destroyed; a log that does not let it write is told of,
/// and nothing else happens.
class FailingJobs {
 public:
  /// `log` outlives it.
  FailingJobs(std::string db, int64_t percent, storage::MessageLog& log);

 private:
  void Watch(std::stop_token stop);
  void Pause(const storage::JobStatus& job, std::stop_token stop);

  const std::string db_;
  const int64_t percent_;
  storage::MessageLog& log_;
  std::map<std::string, bool> fails_;  // each job that was seen, and whether it failed mostly
  std::jthread thread_;                // last: it uses all of the above
};

}  // namespace trawl::ops
