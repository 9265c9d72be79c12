// `trawl model bench`: images/s of inference alone, a line for each batch size and number of
// threads.

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <thread>

#include "config/json_writer.h"
#include "engine/compiled_graph.h"
#include "engine/flops.h"
#include "ops/cli/commands.h"
#include "ops/cli/exit_code.h"
#include "ops/cli/model_speed.h"
#include "ops/cli/text.h"
#include "ops/telemetry/log.h"
#include "worker/models/model_source.h"

namespace trawl::ops {
namespace {

using engine::Model;

/// Of the whole graph at the measured rate.
double FlopsPerSecond(const Model& model, const ModelSpeed& speed) {
  return engine::GraphFlops(model.graph().graph(), 1) * speed.images_per_second;
}

JsonObject LayersJson(const Model& model, const SpeedSetup& setup, const ModelSpeed& speed) {
  const engine::Graph& graph = model.graph().graph();
  JsonObject layers = JsonObject::array();
  for (size_t i = 0; i < speed.layer_seconds.size(); ++i) {
    const engine::Node& node = graph.nodes()[i];
    JsonObject layer;
    PutText(layer, "node", node.name);
    layer["op"] = node.op;
    layer["kernel"] = model.graph().kernels()[i].kernel;
    layer["milliseconds"] = 1e3 * speed.layer_seconds[i];
    layer["gflops"] = engine::NodeFlops(graph, node, setup.batch) / 1e9 / speed.layer_seconds[i];
    layers.push_back(std::move(layer));
  }
  return layers;
}

std::string JsonLine(const Model& model, const SpeedSetup& setup, const ModelSpeed& speed) {
  const double flops = FlopsPerSecond(model, speed);
  JsonObject json;
  PutText(json, "model", model.package().name);
  json["batch"] = setup.batch;
  json["threads"] = setup.threads;
  json["mode"] = setup.latency ? "latency" : "throughput";
  json["isa"] = ToString(model.graph().isa());
  json["images_per_second"] = speed.images_per_second;
  json["images_per_second_min"] = speed.images_per_second_min;
  json["images_per_second_max"] = speed.images_per_second_max;
  json["milliseconds_per_run"] = 1e3 * speed.run_seconds;
  json["gflops"] = flops / 1e9;
  json["peak_gflops"] = speed.peak_flops / 1e9;
  json["share_of_peak"] = flops / speed.peak_flops;
  if (setup.layers) json["layers"] = LayersJson(model, setup, speed);
  return Dump(json);
}

void PrintHeader(const Model& model, const ModelBenchArguments& arguments, double load_seconds) {
  fmt::print("{} on {}, loaded in {:.3f} s: {}\n", EscapeForTerminal(model.package().name),
             ToString(model.graph().isa()), load_seconds,
             arguments.latency ? "one session, its runs shared by all threads"
                               : "one session a thread, each with its own batch");
  fmt::print("{:>5}  {:>7}  {:>8}  {:>17}  {:>8}  {:>7}  {:>6}\n", "BATCH", "THREADS", "IMAGES/S",
             "MIN–MAX", "MS/RUN", "GFLOP/S", "% PEAK");
}

void PrintLine(const Model& model, const SpeedSetup& setup, const ModelSpeed& speed) {
  const double flops = FlopsPerSecond(model, speed);
  fmt::print("{:>5}  {:>7}  {:>8.1f}  {:>17}  {:>8.2f}  {:>7.1f}  {:>6.1f}\n", setup.batch,
             setup.threads, speed.images_per_second,
             fmt::format("{:.1f}–{:.1f}", speed.images_per_second_min, speed.images_per_second_max),
             1e3 * speed.run_seconds, flops / 1e9, 100 * flops / speed.peak_flops);
}

void PrintLayers(const Model& model, const SpeedSetup& setup, const ModelSpeed& speed) {
  const engine::Graph& graph = model.graph().graph();
  double total = 0;
  for (const double seconds : speed.layer_seconds) total += seconds;
  std::vector<std::vector<std::string>> rows;
  for (size_t i = 0; i < speed.layer_seconds.size(); ++i) {
    const engine::Node& node = graph.nodes()[i];
    const double seconds = speed.layer_seconds[i];
    rows.push_back(
        {EscapeForTerminal(node.name), node.op, fmt::format("{:.3f}", 1e3 * seconds),
         fmt::format("{:.1f}", 100 * seconds / total),
         fmt::format("{:.1f}", engine::NodeFlops(graph, node, setup.batch) / 1e9 / seconds),
         model.graph().kernels()[i].kernel});
  }
  fmt::print("{}\n", FormatTable({"NODE", "OP", "MS/RUN", "%", "GFLOP/S", "KERNEL"}, rows,
                                 {false, false, true, true, true, false}));
}

void Print(const Model& model, const ModelBenchArguments& arguments, const SpeedSetup& setup,
           const ModelSpeed& speed) {
  if (arguments.json) {
    fmt::print("{}\n", JsonLine(model, setup, speed));
  } else {
    PrintLine(model, setup, speed);
    if (setup.layers) PrintLayers(model, setup, speed);
  }
  std::fflush(stdout);  // a line as soon as it is measured
}

std::vector<int> OneAndAllCores() {
  const int cores = static_cast<int>(std::thread::hardware_concurrency());
  return cores > 1 ? std::vector{1, cores} : std::vector{1};
}

}  // namespace

int BenchModel(const ModelBenchArguments& arguments, const Settings& settings,
               SignalStops& signals) {
  const auto start = std::chrono::steady_clock::now();
  const auto named = worker::LoadNamedModel(arguments.model, arguments.model_sha256, settings,
                                            signals.stops().drain);
  if (!named) return Fail(named.error());
  const Model& model = *named->model;
  const std::chrono::duration<double> load = std::chrono::steady_clock::now() - start;
  if (!arguments.json) PrintHeader(model, arguments, load.count());
  const auto all_threads = arguments.threads.empty() ? OneAndAllCores() : arguments.threads;
  for (const int threads : all_threads) {
    for (const int64_t batch : arguments.batches) {
      const SpeedSetup setup{.batch = batch,
                             .threads = threads,
                             .latency = arguments.latency,
                             .layers = arguments.layers,
                             .seconds = arguments.seconds};
      const auto speed = MeasureSpeed(model, setup, [&] { return signals.interrupted(); });
      if (!speed) return Fail(speed.error());
      Print(model, arguments, setup, *speed);
    }
  }
  return kExitDone;
}

}  // namespace trawl::ops
