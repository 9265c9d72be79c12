#pragma once
// The collector: reads trawl.results and trawl.jobs and writes both into the result store; rows and offsets in one
// transaction, so that a restart goes on exactly behind the last row.

#include <functional>

#include "config/settings.h"
#include "config/stop.h"
#include "storage/message_log/message_log.h"
#include "storage/result_store/result_store.h"

namespace trawl::storage {

struct CollectorStats {
  int64_t rows = 0, duplicates_suppressed = 0, malformed = 0, transactions = 0;
};

struct CollectorOptions {
  const Settings& settings;
  MessageLog& log;
  ResultStore& results;
  /// After each transaction, and when everything visible has been written (`caught_up`). May be empty.
  std::function<void(const CollectorStats&, bool caught_up)> on_progress;
};

/// Runs until a stop signal or a failure that no retry heals. A full disk or a locked database is waited out.
Status RunCollector(const CollectorOptions& options, StopSignals stop);

}  // namespace trawl::storage
