#pragma once
// The collector: reads trawl.results and trawl.jobs and writes both into the result store; rows and
// offsets in one transaction, so that a restart goes on exactly behind the last row.

#include <functional>

#include "config/clock.h"
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
  /// After each transaction, and when everything visible has been written (`caught_up`). May be
  /// empty.
  std::function<void(const CollectorStats&, bool caught_up)> on_progress;
  Clock& clock = SystemClock();
};

/// Runs until a stop signal or a failure that no retry heals. A full disk or a locked database is
/// waited out. Malformed records are counted, logged and passed over. Drain writes what is buffered
/// and returns OK; abort drops it (the log still has it) and returns kCancelled. Errors:
/// kFailedPrecondition (another collector, another log, an offset that the log no longer has),
/// kUnimplemented (a record from a newer version; what came before it is written),
/// kPermissionDenied, kDataLoss; after a drain also the reason why the last write was refused.
Status RunCollector(const CollectorOptions& options, StopSignals stop);

}  // namespace trawl::storage
