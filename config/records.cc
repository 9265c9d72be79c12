// The JSON of the records. Written for people too: `kcat … | jq` is how a topic is looked at, so
// fields come in a telling order, times are readable and numbers are as short as they can be
// without losing a bit.
#include "config/records.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "config/json_reader.h"
#include "config/json_writer.h"
#include "config/set_digest.h"
#include "config/text.h"
#include "config/utc_time.h"

namespace trawl {
namespace {

using nlohmann::json;

constexpr size_t kMaxRecordBytes = 16 << 20;  // 1 000 keys with their URIs stay far below
constexpr int kMaxDepth = 8;                  // ours nest three deep
constexpr size_t kMaxObjects = 100'000;
constexpr size_t kMaxJobIdBytes = 255;
constexpr size_t kMaxPredictions = 10'000;
constexpr uint64_t kMaxCount = 1ULL << 53;  // beyond it, jq and JavaScript would round
constexpr size_t kMaxRanges = 1'000;        // of a listing; far more than are ever listed at once
constexpr int kMaxSmall = 1'000'000;        // attempts, top_k
constexpr double kMaxStageMs = 1e12;
constexpr double kMaxSeconds = 1e12;
constexpr double kMaxFloat = std::numeric_limits<float>::max();

double RoundToMicroseconds(double ms) {
  return std::isfinite(ms) && ms > 0 ? std::round(std::min(ms, kMaxStageMs) * 1e3) / 1e3 : 0;
}

/// Parses and checks the version; `what` names the kind of record in messages.
Result<json> ParseRecord(std::string_view text, const char* what) {
  Result<json> record = ParseJsonObject(text, kMaxRecordBytes, kMaxDepth);
  if (!record) return Annotate(record.error(), "decoding a {}", what);
  Status status;
  const uint64_t version =
      JsonReader(*record, status).Whole("version", 1, std::numeric_limits<int32_t>::max());
  if (!status.ok()) return Annotate(status, "decoding a {}", what);
  if (version > kRecordVersion) {
    return Error(Code::kUnimplemented,
                 "decoding a {}: record version {} is newer than this trawl understands ({})", what,
                 version, kRecordVersion);
  }
  return record;
}

/// People type job ids, and tools print them: one line of text, and not a long one.
std::string ReadJobId(JsonReader& reader) {
  std::string job_id = reader.Text("job");
  const auto is_control = [](unsigned char c) { return c < 0x20 || c == 0x7F; };
  if (job_id.empty() || job_id.size() > kMaxJobIdBytes || !IsUtf8(job_id) ||
      std::any_of(job_id.begin(), job_id.end(), is_control))
    reader.Fail("job", "not a line of 1 to 255 bytes");
  return job_id;
}

std::string ReadDigest(JsonReader& reader, const char* name) {
  std::string digest = reader.Text(name);
  if (!digest.empty() && !SetDigest::FromHex(digest)) reader.Fail(name, "not 32 hex digits");
  return digest;
}

void PutSpec(JsonObject& object, const JobSpec& spec) {
  PutText(object, "source", spec.source);
  JsonObject model;
  PutText(model, "uri", spec.model.uri);
  PutText(model, "name", spec.model.name);
  PutText(model, "digest", spec.model.digest);
  PutText(model, "preprocess_digest", spec.model.preprocess_digest);
  object["model"] = std::move(model);
  object["top_k"] = spec.top_k;
}

JobSpec ReadSpec(JsonReader& reader) {
  JobSpec spec;
  spec.source = reader.Text("source");
  JsonReader model = reader.Object("model");
  spec.model.uri = model.Text("uri");
  spec.model.name = model.Text("name");
  spec.model.digest = model.Text("digest");
  spec.model.preprocess_digest = model.Text("preprocess_digest");
  spec.top_k = static_cast<int>(reader.Whole("top_k", 1, kMaxPredictions));
  return spec;
}

JsonObject ToJson(const ObjectRef& ref) {
  JsonObject object;
  PutText(object, "key", ref.key);
  PutTextUnlessEmpty(object, "uri", ref.uri);
  if (ref.size_bytes) object["size"] = *ref.size_bytes;
  PutTextUnlessEmpty(object, "etag", ref.etag);
  return object;
}

ObjectRef ReadObjectRef(JsonReader reader) {
  ObjectRef ref;
  ref.key = reader.Text("key");
  ref.uri = reader.TextOr("uri", "");
  if (reader.Has("size")) ref.size_bytes = reader.Whole("size", 0, kMaxCount);
  ref.etag = reader.TextOr("etag", "");
  if (ref.key.empty()) reader.Fail("key", "empty");
  return ref;
}

void ReadObject(JsonReader item, WorkBatch& batch) {
  batch.objects.push_back(ReadObjectRef(item));
  if (!item.Has("index")) return;
  const uint64_t first = batch.indices.empty() ? 0 : batch.indices.back() + uint64_t{1};
  const uint64_t index = item.Whole("index", 0, std::numeric_limits<uint32_t>::max());
  if (index < first) item.Fail("index", "not above the one before");
  batch.indices.push_back(static_cast<uint32_t>(index));
}

void PutOutcome(JsonObject& object, const std::vector<Prediction>& predictions) {
  object["status"] = "ok";
  object["predictions"] = ToJson(predictions);
}

void PutOutcome(JsonObject& object, const ObjectError& error) {
  object["status"] = "failed";
  object["error"] = ToJson(error);
}

std::vector<Prediction> ReadPredictions(JsonReader& reader) {
  std::vector<Prediction> predictions;
  reader.ForEach("predictions", kMaxPredictions, [&](JsonReader item) {
    Prediction prediction;
    prediction.class_index =
        static_cast<int>(item.Whole("class", 0, std::numeric_limits<int32_t>::max()));
    prediction.label = item.TextOr("label", "");
    prediction.probability = static_cast<float>(item.Number("probability", -kMaxFloat, kMaxFloat));
    predictions.push_back(std::move(prediction));
  });
  return predictions;
}

ObjectError ReadError(JsonReader reader) {
  ObjectError error;
  const std::optional<ObjectErrorCode> code = ParseObjectErrorCode(reader.Text("code"));
  if (!code) reader.Fail("code", "not an error code of this version");
  error.code = code.value_or(ObjectErrorCode::kInternal);
  error.message = reader.Text("message");
  error.attempts = static_cast<int>(reader.Whole("attempts", 0, kMaxSmall));
  return error;
}

void ReadOutcome(JsonReader& reader, ResultRecord& record) {
  const std::string status = reader.Text("status");
  if (status == "ok") {
    record.outcome = ReadPredictions(reader);
  } else if (status == "failed") {
    record.outcome = ReadError(reader.Object("error"));
  } else {
    reader.Fail("status", "neither ok nor failed");
  }
}

JsonObject ToJson(const StageTimings& timings) {
  JsonObject object;
  object["download"] = RoundToMicroseconds(timings.download_ms);
  object["decode"] = RoundToMicroseconds(timings.decode_ms);
  object["infer"] = RoundToMicroseconds(timings.infer_ms);
  return object;
}

StageTimings ReadTimings(JsonReader reader) {
  StageTimings timings;
  timings.download_ms = reader.Number("download", 0, kMaxStageMs);
  timings.decode_ms = reader.Number("decode", 0, kMaxStageMs);
  timings.infer_ms = reader.Number("infer", 0, kMaxStageMs);
  return timings;
}

JsonObject ToJson(const ListingCursor& cursor) {
  JsonObject object;
  if (!cursor.left.empty()) object["left"] = JsonObject::array();
  for (const KeyRange& range : cursor.left) {
    JsonObject left;
    PutText(left, "after", range.after);
    PutTextUnlessEmpty(left, "before", range.before);
    object["left"].push_back(std::move(left));
  }
  object["entries"] = cursor.entries;
  PutText(object, "digest", cursor.digest_hex);
  if (cursor.files > 0) object["files"] = cursor.files;
  return object;
}

ListingCursor ReadCursor(JsonReader reader) {
  ListingCursor cursor;
  if (reader.Has("left"))
    reader.ForEach("left", kMaxRanges, [&](JsonReader left) {
      cursor.left.push_back({left.Text("after"), left.TextOr("before", "")});
    });
  cursor.entries = reader.Whole("entries", 0, kMaxCount);
  cursor.digest_hex = reader.Text("digest");
  if (reader.Has("files")) cursor.files = reader.Whole("files", 0, kMaxCount);
  return cursor;
}

/// Each member under its name, for everything that treats them alike.
constexpr std::pair<const char*, double WorkerTimes::*> kWorkerTimes[] = {
    {"wall", &WorkerTimes::wall_s},
    {"cpu", &WorkerTimes::cpu_s},
    {"decode", &WorkerTimes::decode_s},
    {"infer", &WorkerTimes::infer_s},
    {"await_download", &WorkerTimes::await_download_s},
    {"await_work", &WorkerTimes::await_work_s},
    {"decode_waits", &WorkerTimes::decode_waits_s},
    {"infer_waits", &WorkerTimes::infer_waits_s},
    {"publish", &WorkerTimes::publish_s}};

WorkerTimes ReadWorkerTimes(JsonReader reader) {
  WorkerTimes times;
  for (const auto& [name, member] : kWorkerTimes)
    times.*member = reader.Number(name, 0, kMaxSeconds);
  return times;
}

constexpr std::pair<const char*, uint64_t DownloadTraffic::*> kDownloadTraffic[] = {
    {"requests", &DownloadTraffic::requests},   {"retries", &DownloadTraffic::retries},
    {"throttled", &DownloadTraffic::throttled}, {"hedges", &DownloadTraffic::hedges},
    {"outages", &DownloadTraffic::outages},     {"bytes", &DownloadTraffic::bytes}};

DownloadTraffic ReadDownloadTraffic(JsonReader reader) {
  DownloadTraffic traffic;
  for (const auto& [name, member] : kDownloadTraffic)
    traffic.*member = reader.Whole(name, 0, kMaxCount);
  return traffic;
}

JobState ReadState(JsonReader& reader) {
  const std::string state = reader.Text("state");
  if (state == ToString(JobState::kListing)) return JobState::kListing;
  if (state != ToString(JobState::kSealed)) reader.Fail("state", "neither listing nor sealed");
  return JobState::kSealed;
}

JobControl ReadControl(JsonReader& reader) {
  const std::optional<JobControl> control = ParseJobControl(reader.Text("control"));
  if (!control) reader.Fail("control", "neither run nor paused nor cancelled");
  return control.value_or(JobControl::kRun);
}

}  // namespace

JsonObject ToJson(const WorkerTimes& times) {
  JsonObject object;
  for (const auto& [name, member] : kWorkerTimes)
    object[name] = RoundToMicroseconds(times.*member * 1e3) / 1e3;
  return object;
}

WorkerTimes WorkerTimes::operator+(const WorkerTimes& more) const {
  WorkerTimes sum;
  for (const auto& [name, member] : kWorkerTimes) sum.*member = this->*member + more.*member;
  return sum;
}

WorkerTimes WorkerTimes::operator-(const WorkerTimes& before) const {
  WorkerTimes passed;
  for (const auto& [name, member] : kWorkerTimes) passed.*member = this->*member - before.*member;
  return passed;
}

WorkerTimes WorkerTimes::operator*(double share) const {
  WorkerTimes scaled;
  for (const auto& [name, member] : kWorkerTimes) scaled.*member = this->*member * share;
  return scaled;
}

JsonObject ToJson(const DownloadTraffic& traffic) {
  JsonObject object;
  for (const auto& [name, member] : kDownloadTraffic) object[name] = traffic.*member;
  return object;
}

DownloadTraffic DownloadTraffic::operator+(const DownloadTraffic& more) const {
  DownloadTraffic sum;
  for (const auto& [name, member] : kDownloadTraffic) sum.*member = this->*member + more.*member;
  return sum;
}

DownloadTraffic DownloadTraffic::operator-(const DownloadTraffic& before) const {
  DownloadTraffic more;
  for (const auto& [name, member] : kDownloadTraffic) more.*member = this->*member - before.*member;
  return more;
}

DownloadTraffic DownloadTraffic::Share(uint64_t part, uint64_t whole) const {
  DownloadTraffic share;
  // In this order no product overflows: counts stay far below 2^63.
  for (const auto& [name, member] : kDownloadTraffic)
    share.*member = this->*member / whole * part + this->*member % whole * part / whole;
  return share;
}

std::string Encode(const WorkBatch& batch) {
  JsonObject object;
  object["version"] = kRecordVersion;
  PutText(object, "job", batch.job_id);
  object["batch"] = batch.seq;
  object["attempt"] = batch.attempt;
  PutSpec(object, batch.spec);
  JsonObject list = JsonObject::array();
  for (size_t i = 0; i < batch.objects.size(); ++i) {
    list.push_back(ToJson(batch.objects[i]));
    if (!batch.indices.empty()) list.back()["index"] = batch.indices[i];
  }
  object["objects"] = std::move(list);
  return Dump(object);
}

std::string Encode(const ResultRecord& record) {
  JsonObject object;
  object["version"] = kRecordVersion;
  PutText(object, "job", record.job_id);
  object["batch"] = record.batch_seq;
  object["index"] = record.index;
  object["attempt"] = record.attempt;
  PutText(object, "key", record.key);
  std::visit([&](const auto& outcome) { PutOutcome(object, outcome); }, record.outcome);
  PutText(object, "model", record.model_name);
  PutText(object, "model_digest", record.model_digest);
  PutText(object, "worker", record.worker);
  object["bytes"] = record.size_bytes;
  object["timings_ms"] = ToJson(record.timings);
  object["finished_at"] = FormatUtc(record.finished_at_ms);
  if (record.worker_times) object["worker_times_s"] = ToJson(*record.worker_times);
  if (record.downloads) object["downloads"] = ToJson(*record.downloads);
  return Dump(object);
}

std::string Encode(const JobRecord& record) {
  JsonObject object;
  object["version"] = kRecordVersion;
  PutText(object, "job", record.job_id);
  object["state"] = ToString(record.state);
  PutText(object, "input", record.input);
  PutSpec(object, record.spec);
  object["cursor"] = ToJson(record.cursor);
  object["batches"] = record.batches;
  object["objects"] = record.objects;
  PutText(object, "digest", record.digest_hex);
  object["created_at"] = FormatUtc(record.created_at_ms);
  PutText(object, "queue", record.queue);
  object["control"] = ToString(record.control);
  object["attempt"] = record.attempt;
  object["requeued"] = record.requeued;
  object["revision"] = record.revision;
  return Dump(object);
}

Result<WorkBatch> DecodeWorkBatch(std::string_view text) {
  TRAWL_ASSIGN(const json parsed, ParseRecord(text, "work batch"));
  Status status;
  JsonReader reader(parsed, status);
  WorkBatch batch;
  batch.job_id = ReadJobId(reader);
  batch.seq = reader.Whole("batch", 0, kMaxCount);
  batch.attempt = static_cast<int>(reader.Whole("attempt", 1, kMaxSmall));
  batch.spec = ReadSpec(reader);
  reader.ForEach("objects", kMaxObjects, [&](JsonReader item) { ReadObject(item, batch); });
  if (batch.objects.empty()) reader.Fail("objects", "empty");
  if (!batch.indices.empty() && batch.indices.size() != batch.objects.size())
    reader.Fail("objects", "some have an index and some have none");
  if (!status.ok()) return Annotate(status, "decoding a work batch");
  return batch;
}

Result<ResultRecord> DecodeResultRecord(std::string_view text) {
  TRAWL_ASSIGN(const json parsed, ParseRecord(text, "result record"));
  Status status;
  JsonReader reader(parsed, status);
  ResultRecord record;
  record.job_id = ReadJobId(reader);
  record.batch_seq = reader.Whole("batch", 0, kMaxCount);
  record.index =
      static_cast<uint32_t>(reader.Whole("index", 0, std::numeric_limits<uint32_t>::max()));
  record.attempt = static_cast<int>(reader.Whole("attempt", 1, kMaxSmall));
  record.key = reader.Text("key");
  if (record.key.empty()) reader.Fail("key", "empty");
  ReadOutcome(reader, record);
  record.model_name = reader.Text("model");
  record.model_digest = reader.Text("model_digest");
  record.worker = reader.Text("worker");
  record.size_bytes = reader.Whole("bytes", 0, kMaxCount);
  record.timings = ReadTimings(reader.Object("timings_ms"));
  record.finished_at_ms = reader.Time("finished_at");
  if (reader.Has("worker_times_s"))
    record.worker_times = ReadWorkerTimes(reader.Object("worker_times_s"));
  if (reader.Has("downloads")) record.downloads = ReadDownloadTraffic(reader.Object("downloads"));
  if (!status.ok()) return Annotate(status, "decoding a result record");
  return record;
}

Result<JobRecord> DecodeJobRecord(std::string_view text) {
  TRAWL_ASSIGN(const json parsed, ParseRecord(text, "job record"));
  Status status;
  JsonReader reader(parsed, status);
  JobRecord record;
  record.job_id = ReadJobId(reader);
  record.state = ReadState(reader);
  record.input = reader.Text("input");
  record.spec = ReadSpec(reader);
  record.cursor = ReadCursor(reader.Object("cursor"));
  record.batches = reader.Whole("batches", 0, kMaxCount);
  record.objects = reader.Whole("objects", 0, kMaxCount);
  record.digest_hex = ReadDigest(reader, "digest");
  record.created_at_ms = reader.Time("created_at");
  record.queue = reader.Text("queue");
  record.control = ReadControl(reader);
  record.attempt = static_cast<int>(reader.Whole("attempt", 1, kMaxSmall));
  record.requeued = reader.Whole("requeued", 0, kMaxCount);
  record.revision = reader.Whole("revision", 0, kMaxCount);
  if (!status.ok()) return Annotate(status, "decoding a job record");
  return record;
}

std::string ResultMessageKey(const ResultRecord& record) {
  return record.job_id + "/" + record.key;
}

std::string ObjectUri(std::string_view source, const ObjectRef& object) {
  if (!object.uri.empty()) return object.uri;
  // One slash belongs to the source, every other one to the key: "/a" is another object than "a".
  std::string uri(source);
  if (!uri.ends_with('/')) uri += '/';
  if (!source.starts_with("http://") && !source.starts_with("https://")) return uri + object.key;
  constexpr std::string_view kUnreserved =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";
  for (const char c : object.key) {
    if (kUnreserved.find(c) != std::string_view::npos)
      uri += c;
    else
      uri += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return uri;
}

std::string_view ToString(JobState state) {
  return state == JobState::kListing ? "listing" : "sealed";
}

std::string_view ToString(JobControl control) {
  switch (control) {
    case JobControl::kRun:
      return "run";
    case JobControl::kPaused:
      return "paused";
    case JobControl::kCancelled:
      return "cancelled";
  }
  return "run";
}

std::optional<JobControl> ParseJobControl(std::string_view name) {
  for (const JobControl control : {JobControl::kRun, JobControl::kPaused, JobControl::kCancelled})
    if (name == ToString(control)) return control;
  return std::nullopt;
}

bool IsCancelled(const JobRecord& job, const WorkBatch& batch) {
  return job.control == JobControl::kCancelled && batch.attempt <= job.attempt &&
         batch.seq < job.batches;
}

}  // namespace trawl
