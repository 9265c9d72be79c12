#pragma once
// What `trawl plan` measures: some of a source's objects, drawn fairly, on their way through the
// pipeline of a worker, and nothing written.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "config/records.h"
#include "config/settings.h"
#include "config/status.h"
#include "config/stop.h"
#include "ops/cli/job_setup.h"
#include "producer/feed.h"
#include "storage/object_store/object_store.h"

namespace trawl::ops {

/// The first keys of a source, and some of them.
struct KeySample {
  uint64_t keys = 0;            // seen
  bool whole = false;           // these are all
  std::vector<uint64_t> sizes;  // of those whose size is listed
  std::vector<ObjectRef> objects;
};

/// Lists up to `most_keys` and draws `count` of them, each as likely as any other, and the same
/// ones each time. Memory: 8 bytes a key, and the sample. Errors: the feed's; kCancelled.
Result<KeySample> DrawSample(producer::Feed& feed, uint64_t most_keys, size_t count,
                             std::stop_token stop);

/// What became of the sample.
struct SampleOutcome {
  uint64_t succeeded = 0, failed = 0;
  std::map<std::string, uint64_t> formats;  // by the first bytes: "jpeg", "png", "webp", "other"
  std::map<std::string, uint64_t> errors;   // by code
  std::vector<uint64_t> sizes;              // downloaded bytes
  double download_s = 0;                    // summed over the objects measured
  uint64_t measured = 0;                    // objects that the times are of
  WorkerTimes times;                        // while all of them were on their way
};

/// Downloads, decodes and classifies the objects as a worker does, with its limits. A few that come
/// first are not measured: they wait for connections and for the model. Errors: those of starting
/// decoders; kCancelled.
Result<SampleOutcome> RunSample(const PreparedJob& job, std::vector<ObjectRef> objects,
                                const Settings& settings, storage::ObjectStore& store,
                                const StopSignals& stop);

}  // namespace trawl::ops
