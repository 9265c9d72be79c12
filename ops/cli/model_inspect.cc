// `trawl model inspect`: what the engine makes of a model: the graph after its passes, the kernel
// of each node, memory and FLOPs.

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <set>
#include <stop_token>
#include <utility>

#include "config/json_writer.h"
#include "engine/compiled_graph.h"
#include "engine/flops.h"
#include "engine/kernels/kernel.h"
#include "engine/model.h"
#include "engine/ops/dims.h"
#include "engine/segments.h"
#include "ops/cli/commands.h"
#include "ops/cli/exit_code.h"
#include "ops/cli/text.h"
#include "ops/telemetry/log.h"
#include "worker/models/model_source.h"

namespace trawl::ops {
namespace {

using engine::CompiledGraph;
using engine::Graph;
using engine::Node;
using engine::Shape;
using engine::Value;
using engine::ValueId;

/// Everything that is printed, in either form.
struct Inspection {
  std::shared_ptr<const engine::Model> model;
  double load_seconds = 0;
  std::unique_ptr<engine::Execution> execution;  // planned, never run
  int64_t batch = 1;
  int threads = 1;
  size_t weight_tensors = 0, weight_bytes = 0;

  const CompiledGraph& compiled() const { return model->graph(); }
  const Graph& graph() const { return model->graph().graph(); }
  /// Images that node `i` works on at a time; 0: the whole batch.
  int64_t ImagesAtATime(size_t i) const {
    for (const engine::Segment& segment : execution->segments())
      if (i < segment.last) return segment.images;
    return 0;
  }
  /// Weights that its kernel has packed for itself, and what one call needs beside them.
  size_t PackedBytes(size_t i) const { return compiled().bound_kernels()[i]->PackedBytes(); }
  size_t ScratchBytes(size_t i) const {
    const int64_t images = ImagesAtATime(i);
    return images == 0 ? compiled().ScratchBytes(i, batch, threads)
                       : compiled().ScratchBytes(i, images, 1);
  }
};

Result<Inspection> Inspect(const ModelInspectArguments& arguments, const Settings& settings,
                           std::stop_token stop) {
  Inspection inspection;
  const auto start = std::chrono::steady_clock::now();
  TRAWL_ASSIGN(worker::NamedModel named,
               worker::LoadNamedModel(arguments.model, arguments.model_sha256, settings, stop));
  inspection.model = std::move(named.model);
  inspection.load_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  inspection.batch = arguments.batch;
  inspection.threads = arguments.threads;
  TRAWL_ASSIGN(inspection.execution, engine::Execution::Create(inspection.compiled(),
                                                               arguments.batch, arguments.threads));
  std::set<ValueId> weights;
  for (const Node& node : inspection.graph().nodes())
    for (const ValueId id : node.inputs)
      if (id != engine::kNoValue && inspection.graph().value(id).constant) weights.insert(id);
  inspection.weight_tensors = weights.size();
  for (const ValueId id : weights)
    inspection.weight_bytes += inspection.graph().value(id).constant->byte_size();
  return inspection;
}

JsonObject ValueJson(const Value& value, int64_t batch) {
  JsonObject json;
  PutText(json, "name", value.name);
  json["type"] = ToString(value.dtype);
  Shape shape(value.shape->size());
  engine::ConcreteShape(*value.shape, batch, shape);
  json["shape"] = shape;
  json["layout"] = ToString(value.layout);
  return json;
}

JsonObject ValuesJson(const Graph& graph, const std::vector<ValueId>& ids, int64_t batch) {
  JsonObject json = JsonObject::array();
  for (const ValueId id : ids)
    json.push_back(id == engine::kNoValue ? JsonObject() : ValueJson(graph.value(id), batch));
  return json;
}

JsonObject NodesJson(const Inspection& inspection) {
  const Graph& graph = inspection.graph();
  JsonObject nodes = JsonObject::array();
  for (size_t i = 0; i < graph.nodes().size(); ++i) {
    const Node& node = graph.nodes()[i];
    const engine::KernelChoice& choice = inspection.compiled().kernels()[i];
    JsonObject json;
    PutText(json, "node", node.name);
    json["op"] = node.op;
    json["inputs"] = ValuesJson(graph, node.inputs, inspection.batch);
    json["outputs"] = ValuesJson(graph, node.outputs, inspection.batch);
    json["flops"] = engine::NodeFlops(graph, node, inspection.batch);
    json["kernel"] = choice.kernel;
    json["why_no_better"] = choice.reason;
    json["images_at_a_time"] = inspection.ImagesAtATime(i);
    json["packed_bytes"] = inspection.PackedBytes(i);
    json["scratch_bytes"] = inspection.ScratchBytes(i);
    nodes.push_back(std::move(json));
  }
  return nodes;
}

JsonObject InspectionJson(const Inspection& inspection) {
  const engine::ModelPackage& package = inspection.model->package();
  const Graph& graph = inspection.graph();
  JsonObject json;
  PutText(json, "model", package.name);
  json["digest"] = package.digest;
  json["load_seconds"] = inspection.load_seconds;
  json["isa"] = ToString(inspection.compiled().isa());
  json["precision"] = package.precision == engine::Precision::kBf16 ? "bf16" : "f32";
  json["batch"] = inspection.batch;
  json["inputs"] = ValuesJson(graph, graph.inputs(), inspection.batch);
  json["outputs"] = ValuesJson(graph, graph.outputs(), inspection.batch);
  json["weight_bytes"] = inspection.weight_bytes;
  json["flops"] = engine::GraphFlops(graph, inspection.batch);
  json["arena_bytes"] = inspection.execution->arena_bytes();
  json["arena_lower_bound_bytes"] = inspection.execution->lower_bound_bytes();
  JsonObject& passes = json["passes"] = JsonObject::array();
  for (const engine::PassReport& pass : inspection.compiled().passes())
    passes.push_back({{"pass", pass.name},
                      {"enabled", pass.enabled},
                      {"changes", pass.changes},
                      {"milliseconds", pass.milliseconds}});
  json["nodes"] = NodesJson(inspection);
  return json;
}

std::string ValueLine(const Value& value) {
  return fmt::format("{} {} {}", EscapeForTerminal(value.name), ToString(value.dtype),
                     engine::ToString(*value.shape));
}

void PrintSummary(const Inspection& inspection) {
  const engine::ModelPackage& package = inspection.model->package();
  fmt::print("model    {} ({:.12}), loaded in {:.3f} s\n", EscapeForTerminal(package.name),
             package.digest, inspection.load_seconds);
  fmt::print("input    {}\n", ValueLine(inspection.compiled().input(0)));
  fmt::print("output   {}\n", ValueLine(inspection.compiled().output(0)));
  fmt::print("isa      {}{}\n", ToString(inspection.compiled().isa()),
             inspection.compiled().LacksIntegers()
                 ? ", without products of bytes: the quantised model computes in f32"
             : inspection.compiled().LacksBf16()
                 ? ", without products of bf16: the model computes in f32"
                 : "");
  fmt::print("weights  {} bytes in {}\n", inspection.weight_bytes,
             Count(inspection.weight_tensors, "tensor"));
  fmt::print("compute  {:.4g} GFLOP an image (2 a multiply-add of convolutions and products)\n",
             engine::GraphFlops(inspection.graph(), 1) / 1e9);
  fmt::print("memory   {} bytes of activations and scratch for a batch of {}; {} live at once\n",
             inspection.execution->arena_bytes(), inspection.batch,
             inspection.execution->lower_bound_bytes());
}

void PrintPasses(const Inspection& inspection) {
  std::vector<std::vector<std::string>> rows;
  for (const engine::PassReport& pass : inspection.compiled().passes())
    rows.push_back({pass.name, pass.enabled ? std::to_string(pass.changes) : "off",
                    fmt::format("{:.1f}", pass.milliseconds)});
  fmt::print("\n{}", FormatTable({"PASS", "NODES CHANGED", "MS"}, rows, {false, true, true}));
}

std::string Kibibytes(size_t bytes) {
  return fmt::format("{:.1f}", static_cast<double>(bytes) / 1024);
}

void PrintNodes(const Inspection& inspection) {
  const Graph& graph = inspection.graph();
  std::vector<std::vector<std::string>> rows;
  for (size_t i = 0; i < graph.nodes().size(); ++i) {
    const Node& node = graph.nodes()[i];
    const engine::KernelChoice& choice = inspection.compiled().kernels()[i];
    const Value& output = graph.value(
        *std::ranges::find_if(node.outputs, [](ValueId id) { return id != engine::kNoValue; }));
    rows.push_back({std::to_string(i), EscapeForTerminal(node.name), node.op,
                    engine::ToString(*output.shape), ToString(output.layout),
                    fmt::format("{:.1f}", engine::NodeFlops(graph, node, 1) / 1e6),
                    Kibibytes(inspection.PackedBytes(i)), Kibibytes(inspection.ScratchBytes(i)),
                    choice.kernel, choice.reason});
  }
  fmt::print("\n{}",
             FormatTable({"#", "NODE", "OP", "OUTPUT", "LAYOUT", "MFLOP", "PACKED KIB",
                          "SCRATCH KIB", "KERNEL", "WHY NO BETTER ONE"},
                         rows, {true, false, false, false, false, true, true, true, false, false}));
}

}  // namespace

int InspectModel(const ModelInspectArguments& arguments, const Settings& settings,
                 SignalStops& signals) {
  const auto inspection = Inspect(arguments, settings, signals.stops().drain);
  if (!inspection) return Fail(inspection.error());
  if (arguments.json) {
    fmt::print("{}\n", Dump(InspectionJson(*inspection)));
    return kExitDone;
  }
  PrintSummary(*inspection);
  PrintPasses(*inspection);
  PrintNodes(*inspection);
  return kExitDone;
}

}  // namespace trawl::ops
