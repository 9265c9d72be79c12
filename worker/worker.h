#pragma once
// The worker: consume work batches, download, decode, infer, publish. Stateless: kill -9 loses
// nothing but time.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/clock.h"
#include "config/records.h"
#include "config/settings.h"
#include "config/stop.h"
#include "storage/message_log/message_log.h"
#include "storage/object_store/object_store.h"
#include "worker/model_cache.h"

namespace trawl::worker {

/// Counts so far and where the time went, for progress lines. A snapshot; fields only grow.
struct WorkerStats {
  uint64_t batches = 0, succeeded = 0, failed = 0, transactions = 0, aborted_transactions = 0;
  WorkerTimes times;
};

struct WorkerOptions {
  const Settings& settings;
  storage::MessageLog& log;
  storage::ObjectStore& objects;
  std::string name;              // in every record; <host>-<pid> or a slot's name
  std::string transactional_id;  // never shared by two live workers
  /// Model packages are loaded only from below settings.allow_root.
  std::function<void(const WorkerStats&)> on_progress;  // about once a second; may be empty
  /// What becomes a sandboxed decoder when it is run (sandbox/child.h); empty: decode in this
  /// process.
  std::vector<std::string> decoder_command = {};
  Clock& clock = SystemClock();
};

/// Runs until a stop signal, or a failure that no retry heals. Drain returns OK. `known`: a model
/// that whoever calls has loaded already, or none; the worker lets it go like any other.
Status RunWorker(const WorkerOptions& options, StopSignals stop, LoadedModel known = {});

}  // namespace trawl::worker
