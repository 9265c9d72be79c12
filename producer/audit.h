#pragma once
// A job's accounts, compared: what the producer says it enqueued, what the work topic holds, what
// workers published, and what the database has. Every difference has a name: the objects that are
// missing, doubled, or that nobody enqueued.

#include <chrono>
#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "config/records.h"
#include "config/set_digest.h"
#include "producer/object_set.h"
#include "storage/message_log/message_log.h"
#include "storage/result_store/result_store.h"

namespace trawl::producer {

struct Tally {
  uint64_t objects = 0;
  SetDigest digest;
  friend bool operator==(const Tally&, const Tally&) = default;
};

struct NamedObject {
  uint64_t batch = 0;
  uint32_t index = 0;
  std::string key;
};

struct Audit {
  JobRecord job;
  Tally enqueued;            // as the job's record says
  Tally work;                // first attempts on the work topic; old ones may have expired
  Tally results;             // objects with an outcome on the results topic; likewise
  Tally database;            // rows
  storage::JobAccount kept;  // what the database keeps beside the rows

  ObjectSet pending;      // work that no worker has committed yet
  ObjectSet uncollected;  // outcomes that the database has not read yet
  ObjectSet missing;      // enqueued, not under way, and without a row
  ObjectSet unpublished;  // of these: those without an outcome on the results topic, either
  uint64_t unnamed = 0;   // missing, too, but their messages are no longer on the work topic
  uint64_t requeued_under_way = 0;  // of pending and uncollected: objects of later attempts
  std::vector<NamedObject> doubled_work, doubled_results, doubled_rows, unexpected;

  /// Everything is enqueued or the job was cancelled, and nothing is under way.
  bool ended() const;
  /// Rows, counters and topics say the same as the producer. Holds only of jobs that have ended.
  bool agrees() const;
  /// The database's counters are not those of its rows.
  bool counters_differ() const;
};

struct AuditOptions {
  storage::MessageLog& log;
  storage::ResultReader& reader;
  const JobRecord& job;
  std::string group;  // of the workers
  /// How long outcomes that are committed can be hidden behind another worker's open transaction.
  /// What has neither row nor outcome is looked at again after this time, and only what has none
  /// then, either, is missing.
  std::chrono::milliseconds settle{0};
  std::function<void(uint64_t objects)> on_second_look;  // before the wait; may be empty
};

/// Takes a pass or two over the job's queue, the results topic and the job's rows; memory: a few
/// dozen bytes an object. Errors: the log's and the database's; those of a message of the job that
/// cannot be read; kFailedPrecondition (the database was filled from another log); kCancelled.
Result<Audit> AuditJob(const AuditOptions& options, std::stop_token stop);

/// Calls `visit` with each of `wanted` as it was first enqueued, batch by batch; what is no longer
/// on the work topic is left out. Each object comes once, however often it was enqueued.
using WorkVisit = std::function<Status(const WorkBatch& batch, const std::vector<size_t>& wanted)>;
Status ForEachEnqueued(storage::MessageLog& log, const JobRecord& job, const ObjectSet& wanted,
                       const WorkVisit& visit, std::stop_token stop = {});

}  // namespace trawl::producer
