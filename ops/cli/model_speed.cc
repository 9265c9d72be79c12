#include "ops/cli/model_speed.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "engine/compiled_graph.h"
#include "engine/ops/dims.h"
#include "ops/cli/multiply_add_peak.h"

namespace trawl::ops {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kWindows = 5;
constexpr double kPeakSeconds = 0.05;  // between two windows, and at most a fifth of one

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Of a list that is not empty.
double Median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

/// One execution, its pictures, and what its thread measured in the current window.
class Runner {
 public:
  static Result<std::unique_ptr<Runner>> Create(const engine::CompiledGraph& compiled,
                                                const SpeedSetup& setup, uint32_t seed) {
    auto runner = std::unique_ptr<Runner>(new Runner);
    const int team = setup.latency ? setup.threads : 1;
    TRAWL_ASSIGN(runner->execution_, engine::Execution::Create(compiled, setup.batch, team));
    runner->batch_ = setup.batch;
    if (setup.layers) runner->nanoseconds_.resize(compiled.graph().nodes().size());
    const engine::Shape& declared = *compiled.input(0).shape;
    runner->shape_.resize(declared.size());
    engine::ConcreteShape(declared, setup.batch, runner->shape_);
    runner->images_.resize(static_cast<size_t>(engine::ElementCount(runner->shape_)));
    // As large as normalised pixels are, and so never denormal.
    std::mt19937 random(seed);
    std::uniform_real_distribution<float> pixel(-2, 2);
    for (float& value : runner->images_) value = pixel(random);
    return runner;
  }

  /// Runs until `seconds` have passed, once at least.
  void RunFor(double seconds) noexcept {
    runs_.clear();
    std::ranges::fill(nanoseconds_, 0);
    const auto start = Clock::now();
    double elapsed = 0;
    do {
      status_ = RunOnce();
      const double now = SecondsSince(start);
      runs_.push_back(now - elapsed);
      elapsed = now;
    } while (status_.ok() && elapsed < seconds);
    images_per_second_ = static_cast<double>(batch_) * static_cast<double>(runs_.size()) / elapsed;
  }

  const Status& status() const { return status_; }
  double images_per_second() const { return images_per_second_; }
  const std::vector<int64_t>& nanoseconds() const { return nanoseconds_; }
  const std::vector<double>& run_seconds() const { return runs_; }

 private:
  Runner() = default;
  Status RunOnce() {
    const engine::ConstTensorView view{engine::DType::kF32, shape_,
                                       reinterpret_cast<const std::byte*>(images_.data())};
    if (nanoseconds_.empty()) return execution_->Run(batch_, {&view, 1});
    return execution_->RunTimed(batch_, {&view, 1}, nanoseconds_);
  }

  std::unique_ptr<engine::Execution> execution_;
  int64_t batch_ = 1;
  engine::Shape shape_;
  std::vector<float> images_;
  Status status_;
  double images_per_second_ = 0;
  std::vector<double> runs_;
  std::vector<int64_t> nanoseconds_;  // of all runs, by node; empty unless asked for
};

using Runners = std::vector<std::unique_ptr<Runner>>;

/// All runners at once, each on a thread of its own.
Status RunWindow(const Runners& runners, double seconds) {
  {
    std::vector<std::jthread> threads;
    for (const auto& runner : runners)
      threads.emplace_back([&runner, seconds]() noexcept { runner->RunFor(seconds); });
  }
  for (const auto& runner : runners) TRAWL_TRY(runner->status());
  return OkStatus();
}

}  // namespace

Result<ModelSpeed> MeasureSpeed(const engine::Model& model, const SpeedSetup& setup,
                                const std::function<bool()>& stopped) {
  Runners runners;
  for (int i = 0; i < (setup.latency ? 1 : setup.threads); ++i) {
    TRAWL_ASSIGN(runners.emplace_back(),
                 Runner::Create(model.graph(), setup, static_cast<uint32_t>(i)));
  }
  const double window_seconds = setup.seconds / kWindows;
  std::vector<double> rates, peaks, runs,
      layers(setup.layers ? model.graph().graph().nodes().size() : 0);
  TRAWL_TRY(RunWindow(runners, window_seconds));  // warms up, and is not counted
  for (int window = 0; window < kWindows; ++window) {
    if (stopped()) return Error(Code::kCancelled, "interrupted");
    peaks.push_back(MeasureMultiplyAddPeak(model.graph().isa(), setup.threads,
                                           std::min(kPeakSeconds, window_seconds / 5)));
    TRAWL_TRY(RunWindow(runners, window_seconds));
    double rate = 0;
    for (const auto& runner : runners) {
      rate += runner->images_per_second();
      for (size_t i = 0; i < layers.size(); ++i)
        layers[i] += 1e-9 * static_cast<double>(runner->nanoseconds()[i]);
      runs.insert(runs.end(), runner->run_seconds().begin(), runner->run_seconds().end());
    }
    rates.push_back(rate);
  }
  for (double& seconds : layers) seconds /= static_cast<double>(runs.size());
  return ModelSpeed{.images_per_second = Median(rates),
                    .images_per_second_min = std::ranges::min(rates),
                    .images_per_second_max = std::ranges::max(rates),
                    .run_seconds = Median(runs),
                    .layer_seconds = std::move(layers),
                    .peak_flops = Median(peaks)};
}

}  // namespace trawl::ops
