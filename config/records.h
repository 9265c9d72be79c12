#pragma once
// What travels on the topics, and its JSON. Every record carries a version; a record of a newer
// version is refused, never misread. Identity is derived from data: a batch is (job, seq), an
// object (job, seq, index).

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/object_error.h"
#include "config/status.h"

namespace trawl {

inline constexpr int kRecordVersion = 1;

/// One object of a job, as the listing or the manifest named it.
struct ObjectRef {
  std::string key;                     // its name in the job; any bytes
  std::string uri;                     // set only when it does not lie below the batch's source
  std::optional<uint64_t> size_bytes;  // as listed
  std::string etag;                    // as listed, without quotes; may be empty
};

/// Which model, and how to know that it is the very one.
struct ModelRef {
  std::string uri;  // file:///abs/path of the package (folder, model.yaml or bare graph file)
  std::string name;
  std::string digest;             // sha-256, hex, over graph, weights and labels
  std::string preprocess_digest;  // sha-256, hex, over the effective preprocessing
};

/// What a job is: fixed when it is created, carried in every batch, so that a worker needs nothing
/// else.
struct JobSpec {
  /// s3://bucket/ | http(s)://host/base/ | file:///abs/folder/ : keys are appended to it.
  std::string source;
  ModelRef model;
  int top_k = 5;
};

/// One message on trawl.work.<queue>.
struct WorkBatch {
  std::string job_id;  // one line of text, 1 to 255 bytes
  uint64_t seq = 0;    // 0, 1, 2, … within the job
  int attempt = 1;
  JobSpec spec;
  std::vector<ObjectRef> objects;
  /// Where the objects stand in the batch as it was first enqueued, rising. Empty: 0, 1, 2, …, this
  /// is that batch; a later attempt takes up some of its objects and says which.
  std::vector<uint32_t> indices = {};

  uint32_t IndexOf(size_t object) const {
    return indices.empty() ? static_cast<uint32_t>(object) : indices[object];
  }
};

struct Prediction {
  int class_index = 0;
  std::string label;      // empty when the model has no labels
  float probability = 0;  // finite: JSON has no other numbers, and readers refuse the record
};

/// Where the time of one object went, in milliseconds of wall time in each stage.
struct StageTimings {
  double download_ms = 0;
  double decode_ms = 0;
  double infer_ms = 0;  // this object's share of its inference batch
};

/// Where a worker's time went while it had work, in seconds. Threads: those that decode and infer.
struct WorkerTimes {
  double wall_s = 0;
  double cpu_s = 0;             // of all threads together; the next four add up to it
  double decode_s = 0;          // decoding
  double infer_s = 0;           // inferring
  double await_download_s = 0;  // idle while objects were on the wire
  double await_work_s = 0;      // idle while none were
  double decode_waits_s = 0;    // of wall_s: nothing was there to decode
  double infer_waits_s = 0;     // of wall_s: nothing was there to infer
  double publish_s = 0;         // of wall_s: a transaction was under way

  WorkerTimes operator+(const WorkerTimes& more) const;
  WorkerTimes operator-(const WorkerTimes& before) const;
  WorkerTimes operator*(double share) const;
};

/// What a worker asked its object stores for, and what they made of it. Throttling is no error.
struct DownloadTraffic {
  uint64_t requests = 0;
  uint64_t retries = 0;    // of them, beyond an object's first
  uint64_t throttled = 0;  // answers that asked to slow down
  uint64_t hedges = 0;     // second requests for late answers
  uint64_t outages = 0;    // times that a store served nobody, and was waited for
  uint64_t bytes = 0;      // of bodies, those of answers that were of no use among them

  bool operator==(const DownloadTraffic&) const = default;
  DownloadTraffic operator+(const DownloadTraffic& more) const;
  DownloadTraffic operator-(const DownloadTraffic& before) const;
  /// `part` of `whole`, rounded down. Precondition: part <= whole, whole > 0.
  DownloadTraffic Share(uint64_t part, uint64_t whole) const;
};

/// One message on trawl.results: the outcome of one object. Message key: see ResultMessageKey.
struct ResultRecord {
  std::string job_id;
  uint64_t batch_seq = 0;
  uint32_t index = 0;  // position in the batch
  int attempt = 1;
  std::string key;
  std::variant<std::vector<Prediction>, ObjectError> outcome;  // predictions by falling probability
  std::string model_name;
  std::string model_digest;
  std::string worker;
  uint64_t size_bytes = 0;  // bytes downloaded
  StageTimings timings;
  int64_t finished_at_ms = 0;  // Unix time
  /// In one record of each transaction and job: the worker's time since the transaction before.
  std::optional<WorkerTimes> worker_times = {};
  /// In the same record: its downloads since then, whatever object they were for.
  std::optional<DownloadTraffic> downloads = {};
};

enum class JobState { kListing, kSealed };  // sealed: everything is enqueued, totals are final

/// What a person wants of a job. Workers hold a paused job's work back, and end a cancelled job's
/// objects as failures.
enum class JobControl { kRun, kPaused, kCancelled };

/// Keys, in the order of their bytes.
struct KeyRange {
  std::string after;   // this one is not among them
  std::string before;  // neither is this one; empty: up to the end
};

/// How far the listing got; committed together with the batches up to it.
struct ListingCursor {
  std::vector<KeyRange> left;  // listings: what is still to be listed, in order; at first, nothing
  /// Listings: keys that were listed; manifests: entries that were read; inventories: of the next
  /// file.
  uint64_t entries = 0;
  std::string digest_hex;  // over the entries read, to notice a manifest that changed
  uint64_t files = 0;      // inventories: this many data files were read to the end
};

/// One message on trawl.jobs (compacted; message key = job id): the newest one is the truth.
struct JobRecord {
  std::string job_id;
  JobSpec spec;
  /// What is enqueued: "prefix <listing prefix>" or "manifest <path>"; part of what makes a job the
  /// same.
  std::string input;
  JobState state = JobState::kListing;
  ListingCursor cursor;
  uint64_t batches = 0;    // enqueued so far
  uint64_t objects = 0;    // enqueued so far
  std::string digest_hex;  // SetDigest over the enqueued objects' identities
  int64_t created_at_ms = 0;
  std::string queue = "default";  // its batches travel on trawl.work.<queue>
  JobControl control = JobControl::kRun;
  int attempt = 1;        // the newest one that was enqueued
  uint64_t requeued = 0;  // objects enqueued again, by all attempts behind the first
  uint64_t revision = 0;  // rises with each record of the job
};

/// True when `batch` was enqueued before the job was cancelled: what came later was wanted again.
bool IsCancelled(const JobRecord& job, const WorkBatch& batch);

/// JSON, one line. Bytes that are not UTF-8 travel in base64 under "<field>_base64".
std::string Encode(const WorkBatch& batch);
std::string Encode(const ResultRecord& record);
std::string Encode(const JobRecord& record);

/// Errors: kInvalidArgument naming what is wrong; kUnimplemented for a newer version.
Result<WorkBatch> DecodeWorkBatch(std::string_view json);
Result<ResultRecord> DecodeResultRecord(std::string_view json);
Result<JobRecord> DecodeJobRecord(std::string_view json);

/// "job/key": all outcomes of one object of one job share a partition.
std::string ResultMessageKey(const ResultRecord& record);

/// Where to download `object` of a job with this `source`: its own URI, or its key below the
/// source. Keys stand byte for byte in s3:// and file:// URIs, and percent-encoded in http(s)://
/// ones.
std::string ObjectUri(std::string_view source, const ObjectRef& object);

std::string_view ToString(JobState state);
std::string_view ToString(JobControl control);
std::optional<JobControl> ParseJobControl(std::string_view name);

}  // namespace trawl
