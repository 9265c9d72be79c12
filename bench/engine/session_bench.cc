// Inference alone: images/s of model packages named on the command line, at several batch sizes, on
// one thread and on one session per core. items_per_second is images per second over all threads
// together.
//
//   session_bench MODEL… [--benchmark_repetitions=5 --benchmark_report_aggregates_only=true]

#include <benchmark/benchmark.h>

#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "engine/model.h"

namespace {

using trawl::engine::Model;
using trawl::engine::Session;

/// One session a thread; the model is shared, as in a worker.
void RunSession(benchmark::State& state, const std::shared_ptr<const Model>& model) {
  const auto batch = static_cast<int>(state.range(0));
  auto session = Session::Create(model, batch);
  if (!session) {
    state.SkipWithError(session.error().message().c_str());
    return;
  }
  const std::vector<float> images(static_cast<size_t>(batch) * model->input_size(), 0.25f);
  std::vector<float> probabilities(static_cast<size_t>(batch) *
                                   static_cast<size_t>(model->classes()));
  for (auto _ : state) {
    if (const auto status = (*session)->Run(images, batch, probabilities); !status.ok())
      state.SkipWithError(status.message().c_str());
  }
  state.SetItemsProcessed(state.iterations() * batch);
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (argc < 2) {
    std::fprintf(stderr, "usage: session_bench MODEL…\n");
    return 2;
  }
  const auto cores = static_cast<int>(std::thread::hardware_concurrency());
  for (int i = 1; i < argc; ++i) {
    const auto package = trawl::engine::OpenModelPackage(argv[i]);
    const auto model = package ? Model::Load(*package) : tl::unexpected(package.error());
    if (!model) {
      std::fprintf(stderr, "%s: %s\n", argv[i], model.error().message().c_str());
      return 2;
    }
    benchmark::RegisterBenchmark(
        (*package).name.c_str(),
        [model = *model](benchmark::State& state) { RunSession(state, model); })
        ->Arg(1)
        ->Arg(8)
        ->Arg(32)
        ->ThreadRange(1, cores)
        ->UseRealTime();
  }
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
