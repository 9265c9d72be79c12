// `trawl plan`: what a job would take, from a sample of its source. Reads only.

#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "config/json_writer.h"
#include "ops/cli/commands.h"
#include "ops/cli/exit_code.h"
#include "ops/cli/forecast.h"
#include "ops/cli/job_setup.h"
#include "ops/cli/model_speed.h"
#include "ops/cli/sampling.h"
#include "ops/cli/text.h"
#include "ops/telemetry/log.h"
#include "worker/limits.h"
#include "worker/model_cache.h"

namespace trawl::ops {
namespace {

constexpr int64_t kPatienceMs = 60'000;  // a person waits
constexpr double kBatchSeconds = 0.5;
constexpr double kGoodEnough = 0.97;  // of the best rate: a smaller batch waits less and holds less

/// Everything that is printed.
struct PlanReport {
  std::string source, model;
  KeySample keys;
  SizeSummary sizes;
  uint64_t objects = 0;  // of the whole source, as far as is known
  uint64_t total_bytes = 0;
  SampleOutcome sample;
  ObjectCost cost;
  Fleet fleet;
  Forecast forecast;
  // None unless asked for, or when there is no such number.
  std::optional<double> price;
  std::optional<int> workers_for_deadline;
  int64_t batch_size = 0;
  int downloads = 0;
  int64_t memory = 0;
  size_t model_bytes = 0;

  bool has_forecast() const { return sample.succeeded > 0 && sample.measured > 0; }
};

ObjectCost CostOf(const SampleOutcome& sample) {
  const double objects = static_cast<double>(std::max<uint64_t>(1, sample.measured));
  return {.decode_s = sample.times.decode_s / objects,
          .infer_s = sample.times.infer_s / objects,
          .download_s = sample.download_s / objects};
}

/// The smallest batch that is about as fast as the fastest.
Result<int64_t> SuggestBatch(const std::shared_ptr<const engine::Model>& model,
                             const SignalStops& signals) {
  std::vector<std::pair<int64_t, double>> rates;
  double best = 0;
  for (const int64_t batch : {1, 2, 4, 8, 16}) {
    const SpeedSetup setup{.batch = batch, .seconds = kBatchSeconds};
    TRAWL_ASSIGN(const ModelSpeed speed,
                 MeasureSpeed(*model, setup, [&] { return signals.interrupted(); }));
    rates.emplace_back(batch, speed.images_per_second);
    best = std::max(best, speed.images_per_second);
  }
  const auto good = std::ranges::find_if(
      rates, [best](const auto& rate) { return rate.second >= kGoodEnough * best; });
  return good->first;
}

Result<KeySample> Sample(const PlanArguments& arguments, const PreparedJob& job,
                         const Settings& settings, storage::ObjectStore& store,
                         std::stop_token stop) {
  const producer::FeedSource source{.settings = settings,
                                    .objects = store,
                                    .source = job.spec.source,
                                    .prefix = job.prefix,
                                    .manifest_path = arguments.job.manifest,
                                    .manifest_column = arguments.job.manifest_column,
                                    .filter = arguments.job.filter};
  TRAWL_ASSIGN(const auto feed, producer::OpenFeed(source, {}, stop));
  auto sample = DrawSample(*feed, static_cast<uint64_t>(arguments.keys),
                           static_cast<size_t>(arguments.sample), stop);
  if (!sample) return Annotate(sample.error(), "listing {}", job.spec.source);
  return sample;
}

/// What follows from the sample.
void Conclude(const PlanArguments& arguments, PlanReport& report) {
  const KeySample& keys = report.keys;
  // Manifests may say no sizes; then those of the sample speak for all.
  const std::vector<uint64_t>& sizes = keys.sizes.empty() ? report.sample.sizes : keys.sizes;
  report.sizes = SizeSummary::Of(sizes);
  report.objects =
      keys.whole || arguments.objects == 0 ? keys.keys : static_cast<uint64_t>(arguments.objects);
  if (!sizes.empty())
    report.total_bytes = static_cast<uint64_t>(static_cast<double>(report.sizes.total) /
                                               static_cast<double>(sizes.size()) *
                                               static_cast<double>(report.objects));
  report.cost = CostOf(report.sample);
  if (!report.has_forecast()) return;
  report.downloads = SuggestDownloads(report.cost, report.fleet.cores);
  report.memory =
      SuggestMemory(report.sizes, report.downloads, report.fleet.cores, report.model_bytes);
  report.forecast = Predict(report.cost, report.objects, report.fleet);
  if (arguments.price_per_hour)
    report.price = Cost(report.forecast.seconds, report.fleet.workers, *arguments.price_per_hour);
  if (arguments.deadline_s)
    report.workers_for_deadline =
        WorkersFor(report.cost, report.objects, report.fleet, *arguments.deadline_s);
}

Result<PlanReport> MakePlan(const PlanArguments& arguments, const Settings& settings,
                            const SignalStops& signals) {
  const StopSignals stop = signals.stops();
  TRAWL_ASSIGN(const PreparedJob job, PrepareJob(arguments.job, settings, stop.drain));
  TRAWL_ASSIGN(const auto store, storage::OpenObjectStore(settings));
  PlanReport report{};
  report.source = job.spec.source + job.prefix;
  report.model = job.spec.model.name;
  TRAWL_ASSIGN(report.keys, Sample(arguments, job, settings, *store, stop.drain));
  report.fleet = {
      .workers = arguments.workers,
      .cores = arguments.cores > 0 ? arguments.cores : static_cast<int>(worker::AvailableCores()),
      .downloads_in_flight = static_cast<int>(settings.downloads_in_flight)};
  if (report.keys.keys == 0) return report;
  fmt::print(stderr, "Classifying {} of {}{}\n", report.keys.objects.size(), report.keys.keys,
             report.keys.whole ? "" : "+");
  TRAWL_ASSIGN(report.sample, RunSample(job, report.keys.objects, settings, *store, stop));
  TRAWL_ASSIGN(report.batch_size, SuggestBatch(job.model, signals));
  TRAWL_ASSIGN(report.model_bytes,
               worker::ModelBytes(job.model, static_cast<size_t>(report.fleet.cores),
                                  static_cast<int>(report.batch_size)));
  Conclude(arguments, report);
  return report;
}

std::string Bytes(uint64_t bytes) {
  double value = static_cast<double>(bytes);
  const char* unit = "B";
  for (const char* larger : {"KiB", "MiB", "GiB", "TiB", "PiB"}) {
    if (value < 1024) break;
    value /= 1024;
    unit = larger;
  }
  return fmt::format("{:.{}f} {}", value, bytes < 1024 || value >= 100 ? 0 : 1, unit);
}

std::string Counts(const std::map<std::string, uint64_t>& counts) {
  std::vector<std::string> parts;
  for (const auto& [name, count] : counts) parts.push_back(fmt::format("{} {}", name, count));
  return parts.empty() ? "none" : fmt::format("{}", fmt::join(parts, ", "));
}

void PrintForecast(const PlanArguments& arguments, const PlanReport& report) {
  const ObjectCost& cost = report.cost;
  const Fleet& fleet = report.fleet;
  const auto rate = [](double seconds) {
    return seconds > 0 ? fmt::format("{:.0f}/s", 1 / seconds) : std::string("at once");
  };
  fmt::print("an object    download {:.1f} ms, decode {:.2f} ms, inference {:.2f} ms\n",
             1e3 * cost.download_s, 1e3 * cost.decode_s, 1e3 * cost.infer_s);
  fmt::print("rates        decode {} a core, inference {} a core, download {} with {} in flight\n",
             rate(cost.decode_s), rate(cost.infer_s),
             rate(cost.download_s / fleet.downloads_in_flight), fleet.downloads_in_flight);
  fmt::print("forecast     {} with {} of {}: {:.0f}/s, {} (bound by {})\n",
             Count(report.objects, "object"), Count(static_cast<uint64_t>(fleet.workers), "worker"),
             Count(static_cast<uint64_t>(fleet.cores), "core"), report.forecast.objects_per_second,
             FormatDuration(report.forecast.seconds), report.forecast.limit);
  if (report.price)
    fmt::print("cost         {:.{}f}, at {} an hour and worker\n", *report.price,
               *report.price < 1 ? 4 : 2, *arguments.price_per_hour);
  else
    fmt::print("cost         not forecast: no --price-per-hour\n");
  fmt::print("suggested    --batch-size {} --downloads-in-flight {} --memory {}MiB\n",
             report.batch_size, report.downloads, report.memory >> 20);
  if (!arguments.deadline_s) return;
  if (report.workers_for_deadline)
    fmt::print("deadline     {}: {}\n", FormatDuration(*arguments.deadline_s),
               Count(static_cast<uint64_t>(*report.workers_for_deadline), "worker"));
  else
    fmt::print("deadline     {}: no number of workers would do\n",
               FormatDuration(*arguments.deadline_s));
}

void PrintTable(const PlanArguments& arguments, const PlanReport& report) {
  const SampleOutcome& sample = report.sample;
  fmt::print("source       {}\n", EscapeForTerminal(report.source));
  fmt::print("model        {}\n", EscapeForTerminal(report.model));
  fmt::print("keys         {}\n", report.keys.whole
                                      ? fmt::format("{}, all of them", report.keys.keys)
                                      : fmt::format("{} listed, and there are more (--keys, "
                                                    "--objects)",
                                                    report.keys.keys));
  if (report.keys.keys == 0) return;
  fmt::print("sizes        median {}, p95 {}, about {} in all\n", Bytes(report.sizes.median),
             Bytes(report.sizes.p95), Bytes(report.total_bytes));
  fmt::print("sample       {}: {} classified, {} failed\n",
             Count(sample.succeeded + sample.failed, "object"), sample.succeeded, sample.failed);
  fmt::print("formats      {}\n", Counts(sample.formats));
  fmt::print("errors       {}\n", Counts(sample.errors));
  if (report.has_forecast())
    PrintForecast(arguments, report);
  else
    fmt::print("forecast     none: nothing of the sample could be classified\n");
}

JsonObject ForecastJson(const PlanArguments& arguments, const PlanReport& report) {
  JsonObject json;
  json["objects"] = report.objects;
  json["workers"] = report.fleet.workers;
  json["cores"] = report.fleet.cores;
  json["downloads_in_flight"] = report.fleet.downloads_in_flight;
  json["objects_per_second"] = report.forecast.objects_per_second;
  json["seconds"] = report.forecast.seconds;
  json["bound_by"] = report.forecast.limit;
  json["price_per_hour"] =
      arguments.price_per_hour ? JsonObject(*arguments.price_per_hour) : JsonObject();
  json["cost"] = report.price ? JsonObject(*report.price) : JsonObject();
  return json;
}

JsonObject ToJson(const PlanArguments& arguments, const PlanReport& report) {
  JsonObject json;
  PutText(json, "source", report.source);
  PutText(json, "model", report.model);
  json["keys"] = {{"seen", report.keys.keys}, {"all", report.keys.whole}};
  json["size_bytes"] = {{"median", report.sizes.median},
                        {"p95", report.sizes.p95},
                        {"largest", report.sizes.largest},
                        {"total_estimate", report.total_bytes}};
  json["sample"] = {{"objects", report.sample.succeeded + report.sample.failed},
                    {"classified", report.sample.succeeded},
                    {"failed", report.sample.failed},
                    {"formats", JsonObject(report.sample.formats)},
                    {"errors", JsonObject(report.sample.errors)}};
  json["seconds_per_object"] = nullptr;
  json["forecast"] = nullptr;
  json["suggested"] = nullptr;
  if (!report.has_forecast()) return json;
  json["seconds_per_object"] = {{"download", report.cost.download_s},
                                {"decode", report.cost.decode_s},
                                {"inference", report.cost.infer_s}};
  json["forecast"] = ForecastJson(arguments, report);
  json["suggested"] = {
      {"batch_size", report.batch_size},
      {"downloads_in_flight", report.downloads},
      {"memory_bytes", report.memory},
      {"workers",
       report.workers_for_deadline ? JsonObject(*report.workers_for_deadline) : JsonObject()}};
  return json;
}

}  // namespace

int Plan(const PlanArguments& arguments, Settings settings, SignalStops& signals) {
  // Whoever typed the command may read what it names.
  if (settings.allow_root.empty()) settings.allow_root = {"/"};
  settings.outage_patience_ms = std::min(settings.outage_patience_ms, kPatienceMs);
  const auto report = MakePlan(arguments, settings, signals);
  if (!report) return Fail(report.error());
  if (arguments.json)
    fmt::print("{}\n", Dump(ToJson(arguments, *report)));
  else
    PrintTable(arguments, *report);
  return report->sample.failed > 0 ? kExitSomeFailed : kExitDone;
}

}  // namespace trawl::ops
