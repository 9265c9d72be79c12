// `trawl model quantize`: a package in f32 and a few dozen pictures become a package in int8, or,
// without any, one in bf16.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <numeric>
#include <thread>

#include "config/set_digest.h"
#include "engine/loaders/package_writer.h"
#include "engine/model.h"
#include "engine/quantize/quantize.h"
#include "ops/cli/commands.h"
#include "ops/cli/exit_code.h"
#include "ops/cli/picture_source.h"
#include "ops/cli/text.h"
#include "ops/cli/truth.h"
#include "ops/telemetry/log.h"
#include "worker/models/model_source.h"
#include "worker/sandbox/child.h"

namespace trawl::ops {
namespace {

using engine::Graph;
using engine::Scores;

constexpr const char* kMethod =
    "static QDQ: s8 weights by channel, rounded so that results move least, u8 activations by "
    "tensor, channels of like ranges, ranges of least squared error, biases that take back mean "
    "errors";
constexpr const char* kRounding =
    "convolutions of kernel 1 and fully connected layers of numbers rounded to bf16, summed in f32";
constexpr size_t kLayerPictures = 16;       // that each layer's effect is measured on
constexpr size_t kValidationPictures = 64;  // in memory at once

/// Everything that pictures are read and run with.
struct Bench {
  engine::ModelPackage package;
  size_t floats = 0;  // of one picture
  std::unique_ptr<storage::ObjectStore> store;
  std::unique_ptr<worker::DecoderPool> decoders;
  engine::RunOptions run;
};

Result<Bench> OpenBench(const ModelQuantizeArguments& arguments, const Settings& settings,
                        const SignalStops& signals) {
  Bench bench;
  TRAWL_ASSIGN(const worker::NamedModel named,
               worker::LoadNamedModel(arguments.model, arguments.model_sha256, settings,
                                      signals.stops().drain));
  bench.package = named.model->package();
  const engine::PreprocessSpec& spec = bench.package.preprocess;
  bench.floats = static_cast<size_t>(spec.height) * static_cast<size_t>(spec.width) *
                 static_cast<size_t>(spec.channel_count());
  TRAWL_ASSIGN(bench.store, storage::OpenObjectStore(settings));
  TRAWL_ASSIGN(bench.decoders, worker::DecoderPool::Start(worker::DecoderOptions::From(
                                   settings, worker::DecoderCommand(), /*processes=*/1)));
  bench.run.threads = static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1U, 16U));
  bench.run.stopped = [&signals] { return signals.interrupted(); };
  return bench;
}

/// The pictures that ranges are taken from, and who they are.
struct Calibration {
  engine::Pictures pictures;
  std::set<std::string> uris;
  SetDigest digest;  // of keys and contents, in any order
};

Result<Calibration> ReadCalibration(const std::string& source, size_t count, const Bench& bench,
                                    const SignalStops& signals) {
  TRAWL_ASSIGN(const auto reader,
               PictureSource::Open(source, *bench.store, *bench.decoders, signals));
  TRAWL_ASSIGN(std::vector<PreparedPicture> read,
               reader->Next(count, bench.package.preprocess, bench.floats));
  Calibration calibration;
  for (PreparedPicture& picture : read) {
    calibration.uris.insert(picture.uri);
    calibration.digest.Add(picture.content_digest, 0, 0, picture.key);
    calibration.pictures.push_back(std::move(picture.input));
  }
  if (calibration.pictures.empty()) {
    return Error(Code::kInvalidArgument, "calibrating with {}: no picture in it{}{}", source,
                 reader->unreadable() > 0 ? "; the last that is none: " : "",
                 reader->last_problem());
  }
  return calibration;
}

/// What a package is written of.
struct Candidate {
  Graph graph;
  engine::RunOptions run;
  engine::QuantizationRecord record;
  std::set<std::string> calibrated_with;  // pictures
};

/// The quantised graph, and the layers that stay as they were.
struct Quantized {
  Graph graph;
  std::vector<std::string> layers_in_f32;
};

Result<Quantized> QuantizeLayers(const Graph& source, const Calibration& calibration,
                                 double layer_error, const engine::RunOptions& run) {
  std::vector<size_t> products = engine::QuantizableProducts(source);
  if (products.empty()) {
    return Error(Code::kInvalidArgument, "the model has no layer that can be quantised");
  }
  const auto whole = engine::PlanQuantization(source, products);
  fmt::print(stderr, "Calibrating {} on {}\n", Count(products.size(), "layer"),
             Count(calibration.pictures.size(), "picture"));
  TRAWL_ASSIGN(const Graph graph,
               engine::EqualizeChannels(source, whole, calibration.pictures, run));
  TRAWL_ASSIGN(const auto mappings, engine::Calibrate(graph, whole, calibration.pictures, run));
  engine::Pictures some = calibration.pictures;
  some.resize(std::min(some.size(), kLayerPictures));
  TRAWL_ASSIGN(const auto means,
               engine::MeasureMeans(graph, products, mappings, calibration.pictures, run));
  TRAWL_ASSIGN(const auto rounded,
               engine::RoundWeights(graph, products, mappings, calibration.pictures, run));
  TRAWL_ASSIGN(const auto errors,
               engine::MeasureLayers(graph, products, mappings, means, rounded, some, run));
  Quantized result;
  products.clear();
  for (const engine::LayerError& layer : errors) {
    if (layer.error <= layer_error) {
      products.push_back(layer.node);
      continue;
    }
    const std::string& name = graph.nodes()[layer.node].name;
    fmt::print(stderr, "Layer {} stays in f32: alone it changes the scores by {:.1f} %\n",
               EscapeForTerminal(name), 100 * layer.error);
    result.layers_in_f32.push_back(name);
  }
  auto plan = engine::PlanQuantization(graph, products);
  engine::LeaveUnrounded(graph, mappings, plan);
  result.graph = engine::QuantizeGraph(graph, plan, mappings, means, rounded);
  return result;
}

/// Sums over the pictures seen so far.
class Comparison {
 public:
  void Add(const Scores& scores, const Scores& reference,
           const std::vector<PreparedPicture>& pictures, const Truth* truth) {
    for (size_t i = 0; i < pictures.size(); ++i) {
      const auto ours = scores.Of(i), theirs = reference.Of(i);
      for (size_t c = 0; c < ours.size(); ++c) {
        error_ += std::pow(double{ours[c]} - theirs[c], 2);
        total_ += std::pow(double{theirs[c]}, 2);
      }
      const auto best = engine::TopK(ours, 5), reference_best = engine::TopK(theirs, 5);
      counts_.pictures += 1;
      counts_.agreement += best[0].class_index == reference_best[0].class_index ? 1 : 0;
      const auto known = truth == nullptr ? std::nullopt : truth->ClassOf(pictures[i].key);
      if (!known) continue;
      counts_.labelled += 1;
      const auto is_known = [&](const engine::ClassScore& score) {
        return score.class_index == *known;
      };
      counts_.top1 += is_known(best[0]) ? 1 : 0;
      counts_.top5 += std::ranges::any_of(best, is_known) ? 1 : 0;
      counts_.reference_top1 += is_known(reference_best[0]) ? 1 : 0;
      counts_.reference_top5 += std::ranges::any_of(reference_best, is_known) ? 1 : 0;
    }
  }

  engine::Validation Result() const {
    engine::Validation shares = counts_;
    shares.agreement /= std::max(1.0, static_cast<double>(counts_.pictures));
    const double labelled = std::max(1.0, static_cast<double>(counts_.labelled));
    for (double* share :
         {&shares.top1, &shares.top5, &shares.reference_top1, &shares.reference_top5}) {
      *share /= labelled;
    }
    shares.relative_error = total_ > 0 ? std::sqrt(error_ / total_) : 0;
    return shares;
  }

 private:
  engine::Validation counts_;  // of pictures, not shares yet
  double error_ = 0, total_ = 0;
};

Result<engine::Validation> Validate(const Graph& reference, const Candidate& candidate,
                                    const ModelQuantizeArguments& arguments, const Bench& bench,
                                    const SignalStops& signals) {
  std::optional<Truth> truth;
  if (!arguments.labels.empty()) {
    TRAWL_ASSIGN(truth, Truth::Read(arguments.labels, bench.package.labels));
  }
  TRAWL_ASSIGN(const auto reader,
               PictureSource::Open(arguments.validate, *bench.store, *bench.decoders, signals));
  reader->Skip(candidate.calibrated_with);
  TRAWL_ASSIGN(const auto exact, engine::ScoresRunner(reference, bench.run));
  TRAWL_ASSIGN(const auto rounded, engine::ScoresRunner(candidate.graph, candidate.run));
  Comparison comparison;
  size_t left = static_cast<size_t>(arguments.validation_pictures);
  while (left > 0) {
    TRAWL_ASSIGN(
        std::vector<PreparedPicture> pictures,
        reader->Next(std::min(left, kValidationPictures), bench.package.preprocess, bench.floats));
    if (pictures.empty()) break;
    left -= pictures.size();
    engine::Pictures inputs;
    for (PreparedPicture& picture : pictures) inputs.push_back(std::move(picture.input));
    TRAWL_ASSIGN(const Scores expected, engine::ComputeScores(*exact, inputs));
    TRAWL_ASSIGN(const Scores scores, engine::ComputeScores(*rounded, inputs));
    comparison.Add(scores, expected, pictures, truth ? &*truth : nullptr);
  }
  const engine::Validation validation = comparison.Result();
  if (validation.pictures == 0) {
    return Error(Code::kInvalidArgument,
                 "validating with {}: no picture in it that was not calibrated with",
                 arguments.validate);
  }
  return validation;
}

void Print(const engine::Validation& validation) {
  fmt::print("agreement  {:.2f} % of {} (best class, with the model in f32)\n",
             100 * validation.agreement, Count(validation.pictures, "picture"));
  fmt::print("scores     {:.2f} % root mean square of the difference\n",
             100 * validation.relative_error);
  if (validation.labelled == 0) return;
  fmt::print("accuracy   top-1 {:.2f} % (f32: {:.2f} %), top-5 {:.2f} % (f32: {:.2f} %) of {}\n",
             100 * validation.top1, 100 * validation.reference_top1, 100 * validation.top5,
             100 * validation.reference_top5, Count(validation.labelled, "picture"));
}

Status CheckAgreement(const engine::Validation& validation, double minimum_percent) {
  if (100 * validation.agreement >= minimum_percent) return OkStatus();
  return Error(
      Code::kFailedPrecondition,
      "the model of lower precision agrees with the one in f32 on {:.2f} % of the pictures, less "
      "than the {:g} % asked for; nothing was written (--minimum-agreement, or a smaller "
      "--layer-error)",
      100 * validation.agreement, minimum_percent);
}

Status CheckNew(const std::string& folder) {
  std::error_code ignored;
  if (!std::filesystem::exists(std::filesystem::symlink_status(folder, ignored))) {
    return OkStatus();
  }
  return Error(Code::kAlreadyExists, "{} exists; --out names a folder to be made", folder);
}

Result<Candidate> InIntegers(const Graph& graph, const ModelQuantizeArguments& arguments,
                             const Bench& bench, const SignalStops& signals) {
  TRAWL_ASSIGN(
      Calibration calibration,
      ReadCalibration(arguments.calibrate, static_cast<size_t>(arguments.calibration_pictures),
                      bench, signals));
  TRAWL_ASSIGN(Quantized quantized,
               QuantizeLayers(graph, calibration, arguments.layer_error / 100, bench.run));
  Candidate candidate;
  candidate.graph = std::move(quantized.graph);
  candidate.run = bench.run;
  candidate.record.method = kMethod;
  candidate.record.calibration = {.pictures = calibration.pictures.size(),
                                  .digest = calibration.digest.Hex(),
                                  .layers_in_f32 = std::move(quantized.layers_in_f32)};
  candidate.calibrated_with = std::move(calibration.uris);
  return candidate;
}

/// The graph stays as it is; kernels round.
Candidate InBf16(Graph graph, const Bench& bench) {
  Candidate candidate;
  candidate.graph = std::move(graph);
  candidate.run = bench.run;
  candidate.run.bf16 = true;
  candidate.record.method = kRounding;
  return candidate;
}

Status Quantize(const ModelQuantizeArguments& arguments, const Settings& settings,
                const SignalStops& signals) {
  TRAWL_TRY(CheckNew(arguments.out));
  TRAWL_ASSIGN(Bench bench, OpenBench(arguments, settings, signals));
  TRAWL_ASSIGN(const Graph graph, engine::LoadForQuantization(bench.package));
  Candidate candidate;
  if (arguments.precision == LowerPrecision::kBf16) {
    candidate = InBf16(graph, bench);
    bench.package.precision = engine::Precision::kBf16;
  } else {
    TRAWL_ASSIGN(candidate, InIntegers(graph, arguments, bench, signals));
  }
  engine::QuantizationRecord& record = candidate.record;
  record.source_digest = bench.package.digest;
  if (!arguments.validate.empty()) {
    TRAWL_ASSIGN(record.validation, Validate(graph, candidate, arguments, bench, signals));
    Print(*record.validation);
    TRAWL_TRY(CheckAgreement(*record.validation, arguments.minimum_agreement));
  }
  TRAWL_TRY(engine::WritePackage(arguments.out, candidate.graph, bench.package, record));
  TRAWL_ASSIGN(const engine::ModelPackage written, engine::OpenModelPackage(arguments.out));
  fmt::print("model      {} ({:.12})\n", EscapeForTerminal(written.location), written.digest);
  return OkStatus();
}

}  // namespace

int QuantizeModel(const ModelQuantizeArguments& arguments, Settings settings,
                  SignalStops& signals) {
  // Whoever typed the command may read what it names.
  if (settings.allow_root.empty()) settings.allow_root = {"/"};
  if (const Status status = Quantize(arguments, settings, signals); !status.ok()) {
    return Fail(status);
  }
  return kExitDone;
}

}  // namespace trawl::ops
