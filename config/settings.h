#pragma once
// All settings of all roles: one struct with its defaults, and one table (settings_table.cc) that
// gives each a name, a unit, a range and a sentence. The table feeds the parser, the validation,
// --help and config/SETTINGS.md. Precedence: flag > environment (TRAWL_…) > YAML file > default.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "config/status.h"

namespace trawl {

struct Settings {
  // The log.
  std::string brokers;            // host:port,…; empty: the embedded log
  std::string queue = "default";  // work topic: trawl.work.<queue>
  int work_partitions = 64;
  int results_partitions = 8;
  int replication = 1;
  int64_t retention_hours = 168;
  std::string group = "trawl-workers";  // consumer group of the workers
  int64_t transaction_timeout_ms = 30'000;
  int64_t session_timeout_ms = 45'000;
  std::map<std::string, std::string> kafka;  // librdkafka's own dotted names, passed through

  // Producing.
  int64_t batch_keys = 32;         // objects per work message
  int64_t list_page_keys = 1'000;  // objects per listing page, and per enqueueing transaction
  int64_t list_concurrency = 4;    // listing pages under way or waiting to be enqueued; 0: none

  // Objects.
  std::string s3_endpoint;             // empty: AWS
  std::string s3_region;               // empty: AWS_REGION, AWS_DEFAULT_REGION, then us-east-1
  std::string s3_addressing = "auto";  // auto | path | virtual
  bool anonymous = false;              // do not sign requests
  std::string ca_bundle;               // empty: the system's
  int64_t max_object_bytes = 32LL << 20;
  int64_t downloads_in_flight = 64;
  int64_t download_bytes_in_flight = 256LL << 20;
  int64_t download_attempts = 5;
  int64_t connect_timeout_ms = 3'000;
  int64_t first_byte_timeout_ms = 10'000;
  int64_t download_timeout_ms = 60'000;
  int64_t outage_patience_ms = 24 * 3'600'000LL;
  std::vector<std::string> allow_root;    // local folders that a worker may read
  std::vector<std::string> allow_bucket;  // empty: any bucket of the configured endpoint

  // Models that lie elsewhere.
  std::string model_cache;  // folder; empty: see worker/models/model_folder.h
  int64_t model_cache_bytes = 10LL << 30;
  int64_t max_model_bytes = 2LL << 30;

  // Images.
  int64_t max_image_side = 16'384;  // pixels
  int64_t max_image_pixels = 50'000'000;
  int64_t max_jpeg_scans = 100;
  bool decode_full_size = false;
  std::string sandbox = "auto";  // auto | off
  bool require_sandbox = false;
  int64_t decode_timeout_ms = 10'000;

  // Working.
  int64_t memory = 2LL << 30;
  int64_t sessions = 0;              // inference sessions; 0: one per core
  int64_t decode_threads = 0;        // 0: one per core
  int64_t batch_size = 8;            // images per inference
  int64_t batch_delay_ms = 20;       // a partial inference batch waits this long at most
  int64_t commit_results = 1'000;    // results per transaction, at most, while they are quick
  int64_t commit_interval_ms = 500;  // a finished batch waits this long at most for its transaction
  int64_t drain_timeout_ms = 25'000;
  std::string spot_notice = "off";  // off | ec2
  std::string worker_slot;  // a name that survives restarts; empty: host and a random suffix

  // Results.
  int64_t collect_rows = 5'000;  // rows per SQLite transaction, at most
  int64_t collect_interval_ms = 500;
  int64_t failed_percent_max = 50;  // of a fleet's job, or it is paused
  int64_t top_k = 5;

  // The process.
  std::string log_level = "info";   // debug | info | warn | error
  std::string log_format = "text";  // text | json
  bool core_dumps = false;
};

/// Which roles a setting concerns, and its heading in --help and SETTINGS.md.
enum class SettingSection { kLog, kProducing, kObjects, kImages, kWorking, kResults, kProcess };

/// One row of the table.
struct SettingDef {
  using Member = std::variant<std::string Settings::*, int Settings::*, int64_t Settings::*,
                              bool Settings::*, std::vector<std::string> Settings::*>;
  std::string
      name;  // kebab-case: the flag and the YAML key; TRAWL_<UPPER_SNAKE> in the environment
  Member member;
  SettingSection section;
  std::string
      unit;  // "ms" and "bytes" take suffixes (500ms, 30s; 32MiB); "" for plain numbers and text
  int64_t min = 0, max = 0;          // numbers only
  std::vector<std::string> choices;  // closed sets only
  std::string doc;                   // one sentence

  std::string EnvironmentName() const;
};

const std::vector<SettingDef>& SettingTable();
/// "The log", "Objects", …
std::string_view Title(SettingSection section);
/// The setting's value in `settings` as one would type it.
std::string FormatSetting(const SettingDef& def, const Settings& settings);

/// Layers the sources; call in this order. Not thread-safe; lives in main.
class SettingsLoader {
 public:
  /// A default that only the running process can tell, and where it has it from; before the others.
  void SetDefault(const std::string& name, const std::string& value, const std::string& source);
  /// Each records every problem that it meets; none stops at the first. A list replaces a list of a
  /// weaker source.
  void LoadYaml(const std::string& path);
  void LoadEnvironment(const char* const* entries);
  void SetFlag(const std::string& name, const std::vector<std::string>& values);
  /// `-X name=value`: one of librdkafka's own settings.
  void SetKafka(const std::string& assignment);

  /// Errors: kInvalidArgument with every problem, separated by newlines.
  Result<Settings> Finish();
  /// "flag --batch-size", "environment TRAWL_BATCH_SIZE", "trawl.yaml:3" or "default".
  std::string SourceOf(const std::string& name) const;

 private:
  void Set(const SettingDef& def, const std::vector<std::string>& values,
           const std::string& source);

  Settings settings_;
  std::map<std::string, std::string> sources_;
  std::vector<std::string> problems_;
};

/// The Markdown of config/SETTINGS.md; a test compares it with the file.
std::string SettingsMarkdown();

}  // namespace trawl
