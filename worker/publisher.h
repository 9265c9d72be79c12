#pragma once
// Writes the outcomes of finished batches to trawl.results, in one transaction with the offsets
// that they stand for.

#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "config/status.h"
#include "storage/message_log/message_log.h"
#include "worker/offset_tracker.h"
#include "worker/work_item.h"

namespace trawl::worker {

using BatchTracker = OffsetTracker<std::shared_ptr<BatchInFlight>>;

/// What the worker spent since its last transaction.
struct Usage {
  WorkerTimes times;
  DownloadTraffic downloads;
};

struct PublishReport {
  uint64_t batches = 0, succeeded = 0, failed = 0;
};

/// How long a transaction may take; none: as long as the log lets it.
using Patience = std::optional<std::chrono::milliseconds>;

/// Not thread-safe: belongs to the log thread.
class Publisher {
 public:
  explicit Publisher(std::unique_ptr<storage::TransactionalProducer> producer)
      : producer_(std::move(producer)) {}

  /// Takes the batches' records. One record of each job tells that job's share of `usage`. A result
  /// that the log refuses for its size becomes a failure, so that one object cannot hold up its
  /// partition. `patience`: of the transaction. Errors: as TransactionalProducer::Commit.
  Result<PublishReport> Commit(const BatchTracker::Ready& ready, storage::LogConsumer& consumer,
                               const Usage& usage, Patience patience = {});

  /// Records without offsets, in a transaction of their own. Errors: as Commit.
  Status Put(std::vector<storage::OutgoingRecord> records, Patience patience = {});

 private:
  const std::unique_ptr<storage::TransactionalProducer> producer_;
};

}  // namespace trawl::worker
