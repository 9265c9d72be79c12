#pragma once
// The producer: lists a source (or reads a manifest) page by page and enqueues batches of keys.
// Each page's batches and the listing cursor are one transaction, so a killed producer goes on
// where it was and enqueues nothing twice.

#include <functional>
#include <string>

#include "config/clock.h"
#include "config/records.h"
#include "config/settings.h"
#include "config/stop.h"
#include "producer/key_filter.h"
#include "storage/message_log/message_log.h"
#include "storage/object_store/object_store.h"

namespace trawl::producer {

struct ProducerOptions {
  const Settings& settings;
  storage::MessageLog& log;
  storage::ObjectStore& objects;
  std::string job_id;
  JobSpec spec;                      // spec.source: normalised by ResolveSource
  std::string prefix;                // listings and inventories only
  std::string manifest_path;         // empty: list the source; "-": stdin; s3://…
  std::string manifest_column = "";  // CSV: where the keys are
  KeyFilter filter = {};
  std::function<void(const JobRecord&)> on_progress;  // after each page; may be empty
  Clock& clock = SystemClock();
};

/// What SOURCE on the command line means.
struct ResolvedSource {
  std::string source;  // as in JobSpec
  std::string prefix;  // s3://bucket/prefix lists below it; keys stay whole
};

/// `source`: a folder, file:///…, s3://bucket/prefix, or an http(s):// base. Empty with a manifest:
/// the current folder.
/// Errors: kInvalidArgument, kNotFound (no such folder).
Result<ResolvedSource> ResolveSource(const std::string& source, bool has_manifest);

/// As ResolveSource. `manifest` may be empty; when it is an inventory, `source` may be empty, or
/// select a prefix of the inventory's bucket. Errors: those of ReadInventory, too.
Result<ResolvedSource> ResolveInput(const std::string& source, const std::string& manifest,
                                    const Settings& settings, std::stop_token stop);

/// JobRecord::input of a job: "prefix <prefix>", or "manifest <path>" when there is one, and what
/// is taken of it.
std::string InputName(const std::string& prefix, const std::string& manifest_path,
                      const std::string& manifest_column, const KeyFilter& filter);

/// A readable name that no other job has: date, time and a few random letters.
std::string GenerateJobId();

/// Errors: kInvalidArgument unless `job_id` is 1 to 100 of [A-Za-z0-9._-].
Status CheckJobId(const std::string& job_id);

/// Calls `visit` with the newest record of every job in the log, in no particular order.
Status ForEachJob(storage::MessageLog& log, const std::function<void(const JobRecord&)>& visit,
                  std::stop_token stop = {});

struct ProducerReport {
  JobRecord job;
  uint64_t objects_before = 0;  // enqueued by earlier runs
  bool was_sealed = false;      // there was nothing to do
};

/// Enqueues what the job still lacks and seals it; a sealed job returns at once. While the job is
/// paused, it waits.
/// Errors: kFailedPrecondition (the job exists with another spec, or is cancelled; a second
/// producer of the job took over; the manifest changed), kNotFound, kPermissionDenied,
/// kUnavailable, kInvalidArgument (a manifest line), kCancelled.
Result<ProducerReport> RunProducer(const ProducerOptions& options, StopSignals stop);

}  // namespace trawl::producer
