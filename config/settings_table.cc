// The table of all settings. To add one: a member with its default in settings.h, a row here, and
// run `trawl settings --markdown > config/SETTINGS.md`.

#include "config/settings.h"

namespace trawl {
namespace {

using Section = SettingSection;

constexpr int64_t kGiB = 1LL << 30;
constexpr int64_t kDayMs = 86'400'000;

SettingDef Text(std::string name, std::string Settings::*member, Section section, std::string doc,
                std::vector<std::string> choices = {}) {
  return {std::move(name), member, section, "", 0, 0, std::move(choices), std::move(doc)};
}

SettingDef List(std::string name, std::vector<std::string> Settings::*member, Section section,
                std::string doc) {
  return {std::move(name), member, section, "", 0, 0, {}, std::move(doc)};
}

SettingDef Flag(std::string name, bool Settings::*member, Section section, std::string doc) {
  return {std::move(name), member, section, "", 0, 0, {}, std::move(doc)};
}

template <class T>
SettingDef Number(std::string name, T Settings::*member, Section section, std::string unit,
                  int64_t min, int64_t max, std::string doc) {
  return {std::move(name), member, section, std::move(unit), min, max, {}, std::move(doc)};
}

void AddLog(std::vector<SettingDef>& table) {
  const Section section = Section::kLog;
  table.push_back(Text("brokers", &Settings::brokers, section, "Kafka brokers, host:port,…"));
  table.push_back(Text("queue", &Settings::queue, section,
                       "Work queue: batches travel on the topic trawl.work.<queue>."));
  table.push_back(Number(
      "work-partitions", &Settings::work_partitions, section, "", 1, 10'000,
      "Partitions of a work topic when trawl creates it; the most workers that can share it."));
  table.push_back(Number("results-partitions", &Settings::results_partitions, section, "", 1,
                         10'000, "Partitions of trawl.results when trawl creates it."));
  table.push_back(Number("replication", &Settings::replication, section, "", 1, 100,
                         "Replicas of each topic that trawl creates; 3 in production."));
  table.push_back(
      Number("retention-hours", &Settings::retention_hours, section, "", 1, 1'000'000,
             "How long the topics keep work and results; longer than the longest job."));
  table.push_back(
      Text("group", &Settings::group, section, "Consumer group that the workers share."));
  table.push_back(Number(
      "transaction-timeout-ms", &Settings::transaction_timeout_ms, section, "ms", 10'000, 900'000,
      "A dead worker's open transaction is aborted by the broker after this time."));
  table.push_back(Number("session-timeout-ms", &Settings::session_timeout_ms, section, "ms", 6'000,
                         300'000, "A silent worker's partitions go to others after this time."));
}

void AddProducing(std::vector<SettingDef>& table) {
  const Section section = Section::kProducing;
  table.push_back(Number("batch-keys", &Settings::batch_keys, section, "", 1, 1'000,
                         "Object keys per work message."));
  table.push_back(Number("list-page-keys", &Settings::list_page_keys, section, "", 1, 1'000,
                         "Keys per listing page; a page is one transaction."));
  table.push_back(Number("list-concurrency", &Settings::list_concurrency, section, "", 0, 64,
                         "Pages of a bucket that are listed at the same time, in as many places of "
                         "it; other sources: pages listed ahead. 0: none ahead."));
  table.push_back(
      Number("top-k", &Settings::top_k, section, "", 1, 100, "Predictions kept per object."));
}

void AddObjects(std::vector<SettingDef>& table) {
  const Section section = Section::kObjects;
  table.push_back(
      Text("s3-endpoint", &Settings::s3_endpoint, section,
           "S3 endpoint URL; AWS_ENDPOINT_URL_S3 and AWS_ENDPOINT_URL count too; AWS when empty."));
  table.push_back(
      Text("s3-region", &Settings::s3_region, section,
           "Region to sign for; AWS_REGION and AWS_DEFAULT_REGION count too; else us-east-1."));
  table.push_back(
      Text("s3-addressing", &Settings::s3_addressing, section,
           "Where the bucket's name goes; auto: virtual for AWS, path for other endpoints.",
           {"auto", "path", "virtual"}));
  table.push_back(Flag("anonymous", &Settings::anonymous, section, "Send S3 requests unsigned."));
  table.push_back(Text("ca-bundle", &Settings::ca_bundle, section,
                       "File of trusted certificates (PEM); the system's when empty."));
  table.push_back(Number("max-object-bytes", &Settings::max_object_bytes, section, "bytes", 1,
                         4 * kGiB, "A larger object is a failure (too_large)."));
  table.push_back(Number("downloads-in-flight", &Settings::downloads_in_flight, section, "", 1,
                         4'096, "Downloads that run at the same time in one process."));
  table.push_back(Number("download-bytes-in-flight", &Settings::download_bytes_in_flight, section,
                         "bytes", 1 << 20, 64 * kGiB,
                         "Bytes that running downloads may hold together."));
  table.push_back(Number("download-attempts", &Settings::download_attempts, section, "", 1, 100,
                         "Attempts per object before a passing fault becomes its failure."));
  table.push_back(Number("connect-timeout-ms", &Settings::connect_timeout_ms, section, "ms", 1,
                         kDayMs, "Limit for connecting to a store."));
  table.push_back(Number("first-byte-timeout-ms", &Settings::first_byte_timeout_ms, section, "ms",
                         1, kDayMs, "Limit for the first byte of an answer."));
  table.push_back(Number("download-timeout-ms", &Settings::download_timeout_ms, section, "ms", 1,
                         kDayMs, "Limit for one attempt as a whole."));
  table.push_back(Number("outage-patience-ms", &Settings::outage_patience_ms, section, "ms", 0,
                         30 * kDayMs,
                         "How long objects wait for a store that serves nobody (an outage, "
                         "throttling, refused credentials) before they are failures; plain HTTP "
                         "and a listing that has begun: at most 10 minutes."));
  table.push_back(
      List("allow-root", &Settings::allow_root, section,
           "Local folder that a worker may read images and models from, or an http(s):// base that "
           "it may fetch models from, and images on this machine's loopback; repeatable."));
  table.push_back(
      List("allow-bucket", &Settings::allow_bucket, section,
           "Bucket that a worker may read; repeatable; any bucket of the endpoint when left out."));
  table.push_back(Text("model-cache", &Settings::model_cache, section,
                       "Folder that keeps models fetched from s3:// and http(s)://; "
                       "$XDG_CACHE_HOME/trawl/models or ~/.cache/trawl/models when empty."));
  table.push_back(Number("model-cache-bytes", &Settings::model_cache_bytes, section, "bytes", 0,
                         1'024 * kGiB,
                         "What that folder may hold; beyond it the models used longest ago go, but "
                         "never the newest."));
  table.push_back(Number("max-model-bytes", &Settings::max_model_bytes, section, "bytes", 1,
                         64 * kGiB, "A model with more bytes than this is not fetched."));
}

void AddImages(std::vector<SettingDef>& table) {
  const Section section = Section::kImages;
  table.push_back(Number("max-image-side", &Settings::max_image_side, section, "", 1, 65'535,
                         "Pixels; a longer side is a failure (too_large), seen in the header."));
  table.push_back(Number("max-image-pixels", &Settings::max_image_pixels, section, "", 1,
                         1'000'000'000,
                         "Pixels; a larger picture is a failure (too_large), seen in the header."));
  table.push_back(Number("max-jpeg-scans", &Settings::max_jpeg_scans, section, "", 1, 10'000,
                         "A progressive JPEG with more scans is a failure (too_many_scans)."));
  table.push_back(Flag("decode-full-size", &Settings::decode_full_size, section,
                       "Decode large JPEGs at their full size, not at 1/2, 1/4 or 1/8 where that "
                       "leaves twice what the model wants."));
  table.push_back(
      Text("sandbox", &Settings::sandbox, section,
           "Where pictures are decoded; auto: in processes that can do nothing else, as "
           "far as the host allows; off: in the worker's own.",
           {"auto", "off"}));
  table.push_back(Flag("require-sandbox", &Settings::require_sandbox, section,
                       "Do not start where a layer of the decoders' sandbox is missing."));
  table.push_back(Number("decode-timeout-ms", &Settings::decode_timeout_ms, section, "ms", 1,
                         3'600'000,
                         "A picture whose decoding takes longer is a failure (timeout)."));
}

void AddWorking(std::vector<SettingDef>& table) {
  const Section section = Section::kWorking;
  table.push_back(
      Number("memory", &Settings::memory, section, "bytes", 64 << 20, 1'024 * kGiB,
             "What downloads, pictures being decoded, and models with their sessions may "
             "hold together: at most three quarters of it models, and of the rest a third "
             "downloads. The default is 60 % of what control groups (memory.max, "
             "memory.high, memory.limit_in_bytes) or RLIMIT_AS allow, where that is less."));
  table.push_back(Number("sessions", &Settings::sessions, section, "", 0, 1'024,
                         "Threads that infer at the same time, at most; 0: one per core."));
  table.push_back(Number("decode-threads", &Settings::decode_threads, section, "", 0, 1'024,
                         "Threads that decode at the same time, at most; 0: one per core."));
  table.push_back(
      Number("batch-size", &Settings::batch_size, section, "", 1, 1'024, "Images per inference."));
  table.push_back(
      Number("batch-delay-ms", &Settings::batch_delay_ms, section, "ms", 0, 60'000,
             "An inference batch that is not full waits this long, and up to ten times as "
             "long while there is something to decode."));
  table.push_back(
      Number("commit-results", &Settings::commit_results, section, "", 1, 100'000,
             "Results per transaction, at most; more while transactions take longer than "
             "200 ms, as those of distant brokers do."));
  table.push_back(Number("commit-interval-ms", &Settings::commit_interval_ms, section, "ms", 0,
                         60'000, "A finished batch waits this long at most for its transaction."));
  table.push_back(Number("drain-timeout-ms", &Settings::drain_timeout_ms, section, "ms", 0,
                         3'600'000, "After SIGTERM: the time to finish what was accepted."));
  table.push_back(
      Text("spot-notice", &Settings::spot_notice, section,
           "Whose notice that this machine is about to be taken back is taken for a SIGTERM; ec2: "
           "a Spot instance's metadata service, asked every 2 s (version 2; "
           "AWS_EC2_METADATA_SERVICE_ENDPOINT counts).",
           {"off", "ec2"}));
  table.push_back(Text("worker-slot", &Settings::worker_slot, section,
                       "A name of this worker that survives restarts (a StatefulSet's ordinal); "
                       "never shared by two."));
}

void AddResults(std::vector<SettingDef>& table) {
  const Section section = Section::kResults;
  table.push_back(Number("collect-rows", &Settings::collect_rows, section, "", 1, 1'000'000,
                         "Rows per SQLite transaction, at most."));
  table.push_back(Number("collect-interval-ms", &Settings::collect_interval_ms, section, "ms", 1,
                         60'000, "A result waits this long at most for its SQLite transaction."));
  table.push_back(Number("failed-percent-max", &Settings::failed_percent_max, section, "%", 0, 100,
                         "The collector pauses a job, once, when more than this share of its "
                         "results, of a thousand or more, are failures; 100: never."));
}

void AddProcess(std::vector<SettingDef>& table) {
  const Section section = Section::kProcess;
  table.push_back(Text("log-level", &Settings::log_level, section,
                       "The least severe events to log.", {"debug", "info", "warn", "error"}));
  table.push_back(Text("log-format", &Settings::log_format, section,
                       "How events look on standard error.", {"text", "json"}));
  table.push_back(
      Flag("core-dumps", &Settings::core_dumps, section,
           "Leave a core file after a crash, and let debuggers of the same user in: the "
           "process's memory, with its credentials."));
}

}  // namespace

const std::vector<SettingDef>& SettingTable() {
  static const std::vector<SettingDef> table = [] {
    std::vector<SettingDef> rows;
    AddLog(rows);
    AddProducing(rows);
    AddObjects(rows);
    AddImages(rows);
    AddWorking(rows);
    AddResults(rows);
    AddProcess(rows);
    return rows;
  }();
  return table;
}

std::string_view Title(SettingSection section) {
  switch (section) {
    case Section::kLog:
      return "The log";
    case Section::kProducing:
      return "Producing";
    case Section::kObjects:
      return "Objects";
    case Section::kImages:
      return "Images";
    case Section::kWorking:
      return "Working";
    case Section::kResults:
      return "Results";
    case Section::kProcess:
      return "The process";
  }
  return "";
}

}  // namespace trawl
