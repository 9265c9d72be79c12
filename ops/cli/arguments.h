#pragma once
// The command line as data: one struct a subcommand, filled by Parse. CLI11 stays in arguments.cc.

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "config/records.h"
#include "config/settings.h"
#include "producer/key_filter.h"

namespace trawl::ops {

/// What makes a job; shared by `run` and `producer`.
struct JobArguments {
  std::string source;
  std::string manifest;
  std::string manifest_column;
  producer::KeyFilter filter;
  std::string model;
  std::string model_sha256;  // may be empty
  std::string job;           // empty: generated
};

struct RunArguments {
  JobArguments job;
  std::string db;
};

struct ProducerArguments {
  JobArguments job;
};

struct PlanArguments {
  JobArguments job;
  int64_t sample = 500;
  int64_t keys = 100'000;
  int64_t objects = 0;  // of the whole source; 0: those listed
  int workers = 1;
  int cores = 0;  // of a worker; 0: as many as here
  std::optional<double> price_per_hour;
  std::optional<double> deadline_s;
  bool json = false;
};

struct WorkerArguments {};

struct CollectorArguments {
  std::string db;
};

struct StatusArguments {
  std::string job;  // empty: all jobs
  std::string db;
  bool json = false;
  bool wait = false;
};

enum class ResultsFormat { kTable, kJson, kCsv };

struct ResultsArguments {
  std::string job;
  std::string db;
  ResultsFormat format = ResultsFormat::kTable;
  bool failed_only = false;
  int64_t limit = 0;  // 0: all
};

/// pause, resume, cancel.
struct ControlArguments {
  JobControl wanted = JobControl::kRun;
  std::string job;
  std::string db;  // empty: a fleet's job
  bool json = false;
};

struct VerifyArguments {
  std::string job;
  std::string db;
  bool json = false;
};

struct RepairArguments {
  std::string job;
  std::string db;
  bool json = false;
};

struct RetryArguments {
  std::string job;
  std::string db;
  bool failed = false;  // which objects; there is no other choice yet
  std::string code;     // empty: every failure
  bool json = false;
};

struct ClassifyArguments {
  std::string model;
  std::string model_sha256;  // may be empty
  std::vector<std::string> files;
  bool json = false;
};

struct ModelInspectArguments {
  std::string model;
  std::string model_sha256;  // may be empty
  int64_t batch = 8;
  int threads = 1;
  bool json = false;
};

struct ModelBenchArguments {
  std::string model;
  std::string model_sha256;  // may be empty
  std::vector<int64_t> batches = {1, 8, 32};
  std::vector<int> threads;  // empty: 1, and all cores
  double seconds = 5;
  bool latency = false;
  bool layers = false;
  bool json = false;
};

/// What `trawl model quantize` makes.
enum class LowerPrecision { kInt8, kBf16 };

struct ModelQuantizeArguments {
  std::string model;
  std::string model_sha256;  // may be empty
  LowerPrecision precision = LowerPrecision::kInt8;
  std::string calibrate;  // a source of pictures, for int8
  std::string validate;   // likewise; may be empty
  std::string labels;     // file; may be empty
  std::string out;
  int64_t calibration_pictures = 64;
  int64_t validation_pictures = 1000;
  double minimum_agreement = 95;  // percent
  double layer_error = 10;        // percent
};

struct SettingsArguments {
  bool markdown = false;
};

struct Arguments {
  std::variant<RunArguments, ProducerArguments, PlanArguments, WorkerArguments, CollectorArguments,
               StatusArguments, ResultsArguments, ClassifyArguments, ControlArguments,
               VerifyArguments, RepairArguments, RetryArguments, ModelInspectArguments,
               ModelBenchArguments, ModelQuantizeArguments, SettingsArguments>
      command;
  Settings settings;
  SettingsLoader loader;  // knows where each setting came from
};

/// Parses the command line, the environment and the --config file. Either the arguments, or the
/// exit code of a process that has already said all there is to say (help, version, usage errors).
std::variant<Arguments, int> Parse(int argc, const char* const* argv);

}  // namespace trawl::ops
