#include "ops/cli/arguments.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <functional>
#include <map>
#include <optional>

#include "config/suggest.h"
#include "engine/limits.h"
#include "ops/cli/exit_code.h"
#include "ops/telemetry/log.h"
#include "worker/memory_limit.h"

namespace trawl::ops {
namespace {

using Section = SettingSection;

constexpr const char* kDescription =
    "Trawl draws a neural network through a bucket of images: every object gets exactly one "
    "answer.\n"
    "On one machine: trawl run. As a fleet on Kafka: trawl producer, worker, collector.";

constexpr const char* kModelDoc = "Model package: folder, model.yaml, .onnx or -symbol.json";

constexpr const char* kExitCodes =
    "Exit codes:\n"
    "  0 done    1 done, but some objects failed    2 usage, settings or input    4 no such job\n"
    "  69 a service is unreachable    70 internal error    130 interrupted\n"
    "All settings: trawl settings";

/// The settings' flags of one subcommand, as typed; handed to the SettingsLoader after the
/// environment.
struct SettingFlags {
  std::map<std::string, std::vector<std::string>>
      values;  // CLI11 writes here: the addresses must not move
  std::vector<std::string> kafka;
  std::string config;
};

void AddSetting(CLI::App& command, SettingFlags& flags, const SettingDef& def) {
  std::vector<std::string>& values = flags.values[def.name];
  std::string doc = def.doc;
  if (const std::string fallback = FormatSetting(def, Settings{}); !fallback.empty())
    doc += fmt::format(" [{}{}{}]", fallback, def.unit.empty() ? "" : " ", def.unit);
  CLI::Option* option = nullptr;
  if (std::holds_alternative<bool Settings::*>(def.member))
    option = command.add_flag_callback(
        "--" + def.name, [&values] { values = {"true"}; }, doc);
  else if (std::holds_alternative<std::vector<std::string> Settings::*>(def.member))
    option = command.add_option("--" + def.name, values, doc)
                 ->type_name("TEXT …")
                 ->expected(1)
                 ->allow_extra_args(false)
                 ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  else
    option = command.add_option("--" + def.name, values, doc)
                 ->type_name("")
                 ->expected(1)
                 ->allow_extra_args(false)
                 ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  option->group(std::string(Title(def.section)));
}

void AddSettings(CLI::App& command, SettingFlags& flags, const std::vector<Section>& sections,
                 const std::vector<std::string>& others = {}) {
  for (const SettingDef& def : SettingTable())
    if (std::ranges::count(sections, def.section) + std::ranges::count(others, def.name) > 0)
      AddSetting(command, flags, def);
  command.add_option("--config", flags.config, "YAML file of settings")->envname("TRAWL_CONFIG");
  if (std::ranges::count(sections, Section::kLog) > 0)
    command.add_option("-X", flags.kafka, "librdkafka's own setting, name=value; repeatable")
        ->expected(1)
        ->allow_extra_args(false)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->group(std::string(Title(Section::kLog)));
}

/// One subcommand while it is being parsed.
struct Parser {
  CLI::App app{kDescription, "trawl"};
  SettingFlags flags;
  std::function<void(Arguments&)> fill;  // set by the subcommand that was chosen

  template <class T>
  CLI::App& Command(const std::string& name, const std::string& doc, T& arguments) {
    return Command(app, name, doc, arguments);
  }
  template <class T>
  CLI::App& Command(CLI::App& parent, const std::string& name, const std::string& doc,
                    T& arguments) {
    CLI::App* command = parent.add_subcommand(name, doc);
    command->callback(
        [this, &arguments] { fill = [&arguments](Arguments& all) { all.command = arguments; }; });
    return *command;
  }
};

/// `name`: of the option, or of the argument that stands by itself.
void AddModel(CLI::App& command, std::string& model, std::string& sha256,
              const std::string& name = "--model") {
  command
      .add_option(name, model,
                  std::string(kModelDoc) + "; or such a folder, model.yaml or .onnx by its s3:// " +
                      "or http(s):// URL")
      ->required();
  command.add_option("--model-sha256", sha256,
                     "What sha256sum says of the .onnx or model.yaml that " + name +
                         " names; needed with http(s)://");
}

/// What a job takes of which source, and its model.
void AddSourceOptions(CLI::App& command, JobArguments& job) {
  command.add_option("SOURCE", job.source,
                     "A folder, s3://bucket/prefix, or an http(s):// base (with --manifest)");
  command.add_option("--manifest", job.manifest,
                     "Keys or URIs, one a line: plain, JSONL or CSV, packed by gzip or not; or an "
                     "S3 Inventory's manifest.json. A file, s3://…, or - for standard input");
  command.add_option("--manifest-column", job.manifest_column,
                     "The manifest is CSV with a header; its keys or URIs are in this column");
  const auto add_patterns = [&command](const char* name, std::vector<std::string>& patterns,
                                       const char* doc) {
    command.add_option(name, patterns, doc)
        ->type_name("GLOB …")
        ->expected(1)
        ->allow_extra_args(false)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  };
  add_patterns("--include", job.filter.include,
               "Only keys that match (* and ? match / too); repeatable: any of them");
  add_patterns("--exclude", job.filter.exclude,
               "No keys that match, whatever --include says; repeatable");
  command.add_option("--start-after", job.filter.start_after,
                     "List only keys behind this one, in the order of their bytes");
  AddModel(command, job.model, job.model_sha256);
}

void AddJobOptions(CLI::App& command, JobArguments& job) {
  AddSourceOptions(command, job);
  command.add_option("--job", job.job, "Name of the job; the same name goes on with that job");
}

void AddDatabase(CLI::App& command, std::string& db) {
  command.add_option("--db", db, "SQLite database of results")->required();
}

/// By its name, packed by gzip or not.
bool IsCsv(std::string path) {
  std::ranges::transform(path, path.begin(), [](unsigned char c) { return std::tolower(c); });
  if (path.ends_with(".gz")) path.resize(path.size() - 3);
  return path.ends_with(".csv");
}

void Check(const JobArguments& job) {
  if (job.source.empty() && job.manifest.empty()) throw CLI::RequiredError("SOURCE or --manifest");
  if (!job.manifest_column.empty() && job.manifest.empty())
    throw CLI::RequiresError("--manifest-column", "--manifest");
  // Read as plain lines it would be a job of keys that nobody has.
  if (job.manifest_column.empty() && IsCsv(job.manifest))
    throw CLI::ValidationError("--manifest", job.manifest +
                                                 " is CSV: --manifest-column has to say which "
                                                 "column has the keys (a list without a header is "
                                                 "plain text, and not called .csv)");
  if (!job.filter.start_after.empty() && !job.manifest.empty())
    throw CLI::ExcludesError("--start-after", "--manifest");
}

void Check(const ModelQuantizeArguments& quantize) {
  const bool bf16 = quantize.precision == LowerPrecision::kBf16;
  if (bf16 && !quantize.calibrate.empty())
    throw CLI::ExcludesError("--precision bf16", "--calibrate");
  if (!bf16 && quantize.calibrate.empty()) throw CLI::RequiredError("--calibrate");
}

/// All subcommands' targets: CLI11 holds references into it while it parses.
struct Targets {
  RunArguments run;
  ProducerArguments producer;
  PlanArguments plan;
  WorkerArguments worker;
  CollectorArguments collector;
  StatusArguments status;
  ResultsArguments results;
  ControlArguments pause{JobControl::kPaused, "", "", false};
  ControlArguments resume{JobControl::kRun, "", "", false};
  ControlArguments cancel{JobControl::kCancelled, "", "", false};
  VerifyArguments verify;
  RepairArguments repair;
  RetryArguments retry;
  ClassifyArguments classify;
  ModelInspectArguments inspect;
  ModelBenchArguments bench;
  ModelQuantizeArguments quantize;
  SettingsArguments settings;
};

void AddPlanCommand(Parser& parser, PlanArguments& target,
                    std::function<SettingFlags&(CLI::App&)> flags_of) {
  CLI::App& plan = parser.Command(
      "plan", "What a job would take: classify a sample, forecast the rest, write nothing", target);
  AddSourceOptions(plan, target.job);
  plan.add_option("--sample", target.sample, "Objects to classify, at most")
      ->check(CLI::Range(int64_t{1}, int64_t{100'000}))
      ->capture_default_str();
  plan.add_option("--keys", target.keys, "Keys to list and draw the sample from, at most")
      ->check(CLI::Range(int64_t{1}, int64_t{100'000'000}))
      ->capture_default_str();
  plan.add_option("--objects", target.objects,
                  "Objects of the whole source, where you know it and --keys are not all")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 50));
  plan.add_option("--workers", target.workers, "Workers to forecast for")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  plan.add_option("--cores", target.cores, "Cores of each worker [as many as here]")
      ->check(CLI::Range(1, 1024));
  plan.add_option("--price-per-hour", target.price_per_hour,
                  "What a worker costs an hour, in your currency; without it, no cost is forecast")
      ->check(CLI::Range(0.0, 1e6));
  plan.add_option("--deadline", target.deadline_s,
                  "Suggest how many workers end within this time: 90min, 8h, 2d")
      ->transform(CLI::AsNumberWithUnit(
          std::map<std::string, double>{{"s", 1}, {"min", 60}, {"h", 3600}, {"d", 86'400}},
          CLI::AsNumberWithUnit::UNIT_REQUIRED, "TIME"))
      ->check(CLI::PositiveNumber);
  plan.add_flag("--json", target.json, "One JSON object");
  AddSettings(plan, flags_of(plan),
              {Section::kObjects, Section::kImages, Section::kWorking, Section::kProcess});
  plan.footer(
      "Example:\n  trawl plan s3://photos/2026/ --model resnet18/ --workers 4 --cores 8 "
      "--deadline 8h");
}

void AddMainCommands(Parser& parser, Targets& targets,
                     std::function<SettingFlags&(CLI::App&)> flags_of) {
  CLI::App& run =
      parser.Command("run", "The whole job on this machine: list, classify, store", targets.run);
  AddJobOptions(run, targets.run.job);
  AddDatabase(run, targets.run.db);
  AddSettings(run, flags_of(run),
              {Section::kProducing, Section::kObjects, Section::kImages, Section::kWorking,
               Section::kResults, Section::kProcess});
  run.footer("Example:\n  trawl run s3://photos/2026/ --model resnet18/ --db results.sqlite");

  CLI::App& producer =
      parser.Command("producer", "List a source and enqueue its keys on Kafka", targets.producer);
  AddJobOptions(producer, targets.producer.job);
  AddSettings(producer, flags_of(producer),
              {Section::kLog, Section::kProducing, Section::kObjects, Section::kProcess});
  producer.footer(
      "Example:\n  trawl producer s3://photos/2026/ --model resnet18/ --brokers kafka:9092 --job "
      "photos");

  CLI::App& worker = parser.Command(
      "worker", "Download and classify what is enqueued, until stopped", targets.worker);
  AddSettings(
      worker, flags_of(worker),
      {Section::kLog, Section::kObjects, Section::kImages, Section::kWorking, Section::kProcess});
  worker.footer("Example:\n  trawl worker --brokers kafka:9092 --allow-root /models");

  CLI::App& collector =
      parser.Command("collector", "Write results into SQLite, until stopped", targets.collector);
  AddDatabase(collector, targets.collector.db);
  AddSettings(collector, flags_of(collector),
              {Section::kLog, Section::kResults, Section::kProcess});
  collector.footer("Example:\n  trawl collector --brokers kafka:9092 --db results.sqlite");
}

void AddQueryCommands(Parser& parser, Targets& targets,
                      std::function<SettingFlags&(CLI::App&)> flags_of) {
  CLI::App& status =
      parser.Command("status", "How far a job is (all jobs when JOB is left out)", targets.status);
  status.add_option("JOB", targets.status.job, "Name of the job");
  AddDatabase(status, targets.status.db);
  status.add_flag("--json", targets.status.json, "One JSON object a job");
  status.add_flag("--wait", targets.status.wait, "Return when the job is complete");

  CLI::App& results =
      parser.Command("results", "The predictions and failures of a job", targets.results);
  results.add_option("JOB", targets.results.job, "Name of the job")->required();
  AddDatabase(results, targets.results.db);
  auto* json = results.add_flag_callback(
      "--json", [&] { targets.results.format = ResultsFormat::kJson; },
      "One JSON object an object");
  results
      .add_flag_callback(
          "--csv", [&] { targets.results.format = ResultsFormat::kCsv; },
          "Comma-separated, one line a prediction or failure")
      ->excludes(json);
  results.add_flag("--failed", targets.results.failed_only, "Failures only");
  results.add_option("--limit", targets.results.limit, "Objects to print at most; 0: all")
      ->check(CLI::NonNegativeNumber);

  CLI::App& classify =
      parser.Command("classify", "Classify image files here and now, no queue", targets.classify);
  AddModel(classify, targets.classify.model, targets.classify.model_sha256);
  classify.add_option("FILE", targets.classify.files, "Image files")->required();
  classify.add_flag("--json", targets.classify.json, "One JSON object a line");
  AddSettings(classify, flags_of(classify),
              {Section::kObjects, Section::kImages, Section::kProcess}, {"top-k"});

  CLI::App& settings = parser.Command(
      "settings", "Every setting with its value and where it came from", targets.settings);
  settings.add_flag("--markdown", targets.settings.markdown, "The manual page of all settings");
  AddSettings(settings, flags_of(settings),
              {Section::kLog, Section::kProducing, Section::kObjects, Section::kImages,
               Section::kWorking, Section::kResults, Section::kProcess});
}

void AddQuantizeCommand(Parser& parser, CLI::App& model, ModelQuantizeArguments& target,
                        std::function<SettingFlags&(CLI::App&)> flags_of) {
  CLI::App& quantize = parser.Command(
      model, "quantize", "Make a package of lower precision of a model: int8 or bf16", target);
  AddModel(quantize, target.model, target.model_sha256, "MODEL");
  quantize
      .add_option("--precision", target.precision,
                  "int8, or bf16: convolutions of kernel 1 and fully connected layers, on "
                  "processors with AVX-512 BF16 [int8]")
      ->transform(CLI::CheckedTransformer(std::map<std::string, LowerPrecision>{
          {"int8", LowerPrecision::kInt8}, {"bf16", LowerPrecision::kBf16}}))
      ->type_name("");
  quantize.add_option("--calibrate", target.calibrate,
                      "Pictures to take ranges from, which int8 needs: a folder, "
                      "s3://bucket/prefix, or a manifest");
  quantize.add_option("--out", target.out, "Folder to make: the package")->required();
  quantize.add_option("--pictures", target.calibration_pictures, "To calibrate with, at most")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  CLI::Option* validate =
      quantize.add_option("--validate", target.validate,
                          "Pictures to compare both models on; those calibrated with are left out");
  quantize.add_option("--labels", target.labels, "File of key, tab, class: measure accuracy, too")
      ->needs(validate);
  quantize
      .add_option("--validation-pictures", target.validation_pictures, "To compare on, at most")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  quantize
      .add_option("--minimum-agreement", target.minimum_agreement,
                  "Percent of the validation's pictures whose best class must not change")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  quantize
      .add_option("--layer-error", target.layer_error,
                  "Keep a layer in f32 that alone changes the scores by more percent than this")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  AddSettings(quantize, flags_of(quantize), {Section::kObjects, Section::kImages});
  quantize.parse_complete_callback([&target] { Check(target); });
  quantize.footer(
      "Example:\n  trawl model quantize resnet18/ --calibrate photos/ --validate photos/ --out "
      "resnet18-int8/\n  trawl model quantize resnet50/ --precision bf16 --validate photos/ --out "
      "resnet50-bf16/");
}

void AddModelCommands(Parser& parser, Targets& targets,
                      std::function<SettingFlags&(CLI::App&)> flags_of) {
  CLI::App& model = *parser.app.add_subcommand("model", "What a model is made of, how fast it is");
  model.require_subcommand(1);
  AddQuantizeCommand(parser, model, targets.quantize, flags_of);
  CLI::App& inspect = parser.Command(
      model, "inspect", "Graph, passes, chosen kernels, memory and FLOPs", targets.inspect);
  AddModel(inspect, targets.inspect.model, targets.inspect.model_sha256, "MODEL");
  inspect.add_option("--batch", targets.inspect.batch, "Images a run, for the memory plan")
      ->check(CLI::Range(int64_t{1}, engine::kMaxBatch))
      ->capture_default_str();
  inspect.add_option("--threads", targets.inspect.threads, "Threads a run, for the memory plan")
      ->check(CLI::Range(1, engine::kMaxThreads))
      ->capture_default_str();
  inspect.add_flag("--json", targets.inspect.json, "One JSON object");
  AddSettings(inspect, flags_of(inspect), {Section::kObjects});

  CLI::App& bench = parser.Command(model, "bench", "Images/s of inference alone", targets.bench);
  AddModel(bench, targets.bench.model, targets.bench.model_sha256, "MODEL");
  const auto list = [](CLI::Option* option, auto most) {
    option->delimiter(',')->allow_extra_args(false)->type_name("N,N,…");
    option->check(CLI::Range(decltype(most){1}, most).description(""));
  };
  list(bench.add_option("--batch", targets.bench.batches, "Images a run [1,8,32]"),
       engine::kMaxBatch);
  list(bench.add_option("--threads", targets.bench.threads,
                        "Sessions at once, one a thread [1, and all cores]"),
       engine::kMaxThreads);
  bench.add_flag("--latency", targets.bench.latency,
                 "One session whose runs all threads share, not one session a thread");
  bench.add_option("--seconds", targets.bench.seconds, "Measured time of each line")
      ->check(CLI::Range(0.01, 3600.0))
      ->capture_default_str();
  bench.add_flag("--layers", targets.bench.layers, "Time of each node, too");
  bench.add_flag("--json", targets.bench.json, "One JSON object a line");
  AddSettings(bench, flags_of(bench), {Section::kObjects});
  bench.footer("Example:\n  trawl model bench resnet18/ --batch 1,8,32 --threads 1,2");
}

/// What looks after jobs that exist: of `trawl run` (--db) and of the fleet (--brokers).
void AddJobCommands(Parser& parser, Targets& targets,
                    std::function<SettingFlags&(CLI::App&)> flags_of) {
  const auto add = [&](const char* name, const char* doc, auto& target) -> CLI::App& {
    CLI::App& command = parser.Command(name, doc, target);
    command.add_option("JOB", target.job, "Name of the job")->required();
    command.add_flag("--json", target.json, "JSON, one object a line");
    AddSettings(command, flags_of(command), {Section::kLog, Section::kProcess});
    return command;
  };
  const auto control = [&](const char* name, const char* doc, ControlArguments& target) {
    add(name, doc, target)
        .add_option("--db", target.db, "SQLite database of results: needed for a job of trawl run");
  };
  control("pause", "Hold a job back until it is resumed", targets.pause);
  control("resume", "Let a paused job go on", targets.resume);
  control("cancel", "End a job: what was not begun ends as failures", targets.cancel);

  AddDatabase(add("verify", "Whether each enqueued object has exactly one outcome; names the rest",
                  targets.verify),
              targets.verify.db);
  AddDatabase(add("repair", "Enqueue again what is missing", targets.repair), targets.repair.db);
  CLI::App& retry = add("retry", "Enqueue failed objects again, as a new attempt", targets.retry);
  AddDatabase(retry, targets.retry.db);
  retry.add_flag("--failed", targets.retry.failed, "Objects whose last attempt failed")->required();
  retry.add_option("--code", targets.retry.code, "Only failures with this error code");
  retry.footer("Example:\n  trawl retry photos --failed --code timeout --db results.sqlite");
}

/// What to say when a word is no subcommand; CLI11 would only say that one is required.
std::string UnknownCommand(const CLI::App& app, int argc, const char* const* argv) {
  const CLI::App* parent = &app;
  for (int i = 1; i < argc && argv[i][0] != '-'; ++i) {
    std::vector<std::string> known;
    const CLI::App* found = nullptr;
    for (const CLI::App* command : parent->get_subcommands({})) {
      known.push_back(command->get_name());
      if (known.back() == argv[i]) found = command;
    }
    if (known.empty()) return "";
    if (found == nullptr)
      return fmt::format("unknown subcommand '{}'{} (see --help)", EscapeForTerminal(argv[i]),
                         DidYouMean(argv[i], known));
    parent = found;
  }
  return "";
}

/// A container that may have less than the usual default needs has another one.
void SetMemoryDefault(SettingsLoader& loader) {
  const auto limit = worker::TightestMemoryLimit();
  if (!limit) return;
  const auto memory = worker::MemoryWithin(*limit);
  if (memory >= Settings{}.memory) return;
  loader.SetDefault("memory", fmt::format("{}", memory),
                    fmt::format("{} ({} bytes)", limit->source, limit->bytes));
}

}  // namespace

std::variant<Arguments, int> Parse(int argc, const char* const* argv) {
  Parser parser;
  Targets targets;
  std::map<const CLI::App*, SettingFlags> flags;
  const auto flags_of = [&](CLI::App& command) -> SettingFlags& { return flags[&command]; };
  parser.app.set_version_flag("--version", "trawl " TRAWL_VERSION);
  parser.app.require_subcommand(1);
  parser.app.footer(kExitCodes);
  AddMainCommands(parser, targets, flags_of);
  AddPlanCommand(parser, targets.plan, flags_of);
  AddQueryCommands(parser, targets, flags_of);
  AddJobCommands(parser, targets, flags_of);
  AddModelCommands(parser, targets, flags_of);

  if (const std::string problem = UnknownCommand(parser.app, argc, argv); !problem.empty()) {
    std::fprintf(stderr, "trawl: %s\n", problem.c_str());
    return kExitUsage;
  }
  try {
    parser.app.parse(argc, argv);
    if (parser.app.got_subcommand("run")) Check(targets.run.job);
    if (parser.app.got_subcommand("plan")) Check(targets.plan.job);
    if (parser.app.got_subcommand("producer")) Check(targets.producer.job);
  } catch (const CLI::ParseError& error) {
    const bool asked = error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success);
    if (asked) return parser.app.exit(error);
    std::fprintf(stderr, "trawl: %s (see --help)\n", error.what());
    return kExitUsage;
  }

  Arguments arguments;
  const CLI::App* command = &parser.app;
  while (!command->get_subcommands().empty()) command = command->get_subcommands().front();
  const SettingFlags& typed = flags[command];
  SetMemoryDefault(arguments.loader);
  if (!typed.config.empty()) arguments.loader.LoadYaml(typed.config);
  arguments.loader.LoadEnvironment(environ);
  for (const auto& [name, values] : typed.values)
    if (!values.empty()) arguments.loader.SetFlag(name, values);
  for (const std::string& assignment : typed.kafka) arguments.loader.SetKafka(assignment);
  Result<Settings> settings = arguments.loader.Finish();
  if (!settings) return Fail(settings.error());
  arguments.settings = std::move(*settings);
  parser.fill(arguments);
  return arguments;
}

}  // namespace trawl::ops
