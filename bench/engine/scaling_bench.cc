// What a second core adds and what a busy neighbour takes: images/s of one session, of one session
// a core, and of one session whose team has all cores, the latter two also beside one busy thread
// more than there are cores. All in turn in every round, as ratios within a round; medians.
//
//   scaling_bench [--batch N] [--rounds N] MODEL…
//
// On c cores, c threads beside a busy one have c / (c + 1) of the machine at best. A machine whose
// CPUs are not whole cores shows in the first line: what plain multiply-adds gain.
#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "engine/compiled_graph.h"
#include "engine/model.h"
#include "ops/cli/multiply_add_peak.h"

namespace {

using Clock = std::chrono::steady_clock;
using trawl::engine::Model;
using trawl::engine::Session;

constexpr double kWindowSeconds = 0.6;

struct Options {
  int batch = 8, rounds = 7;
  std::vector<const char*> models;
};

/// A session with pictures of its own.
class Lane {
 public:
  Lane(const std::shared_ptr<const Model>& model, int batch, int threads)
      : batch_(batch),
        session_(Session::Create(model, batch, threads).value()),
        images_(static_cast<size_t>(batch) * model->input_size(), 0.25f),
        scores_(static_cast<size_t>(batch) * static_cast<size_t>(model->classes())) {}

  /// Images a second, over about kWindowSeconds.
  double Rate() {
    const auto start = Clock::now();
    double elapsed = 0;
    int64_t images = 0;
    while (elapsed < kWindowSeconds) {
      if (!session_->Run(images_, batch_, scores_).ok()) std::abort();
      images += batch_;
      elapsed = std::chrono::duration<double>(Clock::now() - start).count();
    }
    return static_cast<double>(images) / elapsed;
  }

 private:
  int batch_;
  std::unique_ptr<Session> session_;
  std::vector<float> images_, scores_;
};

/// Takes a core for as long as it lives.
class BusyThread {
 public:
  ~BusyThread() { stop_ = true; }

 private:
  std::atomic<bool> stop_ = false;
  std::jthread thread_{[this] {
    while (!stop_) {
    }
  }};
};

/// Of all lanes at once, each on a thread of its own.
double Rate(std::vector<Lane>& lanes) {
  std::vector<double> rates(lanes.size());
  {
    std::vector<std::jthread> threads;
    for (size_t i = 0; i < lanes.size(); ++i) {
      threads.emplace_back([&, i] { rates[i] = lanes[i].Rate(); });
    }
  }
  double sum = 0;
  for (const double rate : rates) sum += rate;
  return sum;
}

double RateBesideBusyThread(std::vector<Lane>& lanes) {
  const BusyThread busy;
  return Rate(lanes);
}

double Median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

void Measure(const std::shared_ptr<const Model>& model, const Options& options, int cores) {
  std::vector<Lane> one, all, team;
  one.emplace_back(model, options.batch, 1);
  for (int i = 0; i < cores; ++i) all.emplace_back(model, options.batch, 1);
  team.emplace_back(model, options.batch, cores);
  std::vector<double> rates, all_to_one, all_busy, team_to_one, team_busy;
  for (int round = -1; round < options.rounds; ++round) {  // the first warms up
    const double single = Rate(one), each = Rate(all), each_busy = RateBesideBusyThread(all);
    const double together = Rate(team), together_busy = RateBesideBusyThread(team);
    if (round < 0) continue;
    rates.push_back(single);
    all_to_one.push_back(each / single);
    all_busy.push_back(each_busy / each);
    team_to_one.push_back(together / single);
    team_busy.push_back(together_busy / together);
  }
  fmt::print("| {} | {:.1f} | {:.2f} | {:.2f} | {:.2f} | {:.2f} |\n", model->package().name,
             Median(rates), Median(all_to_one), Median(all_busy), Median(team_to_one),
             Median(team_busy));
}

Options Parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    if (i + 1 < argc && std::strcmp(argv[i], "--batch") == 0) {
      options.batch = std::max(1, std::atoi(argv[++i]));
    } else if (i + 1 < argc && std::strcmp(argv[i], "--rounds") == 0) {
      options.rounds = std::max(1, std::atoi(argv[++i]));
    } else {
      options.models.push_back(argv[i]);
    }
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = Parse(argc, argv);
  if (options.models.empty()) {
    fmt::print(stderr, "usage: scaling_bench [--batch N] [--rounds N] MODEL…\n");
    return 2;
  }
  const auto cores = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  bool first = true;
  for (const char* path : options.models) {
    const auto package = trawl::engine::OpenModelPackage(path);
    const auto model = package ? Model::Load(*package) : tl::unexpected(package.error());
    if (!model) {
      fmt::print(stderr, "{}: {}\n", path, model.error().message());
      return 2;
    }
    if (first) {
      std::vector<double> gains;
      for (int i = 0; i < options.rounds; ++i) {
        const auto isa = (*model)->graph().isa();
        const double one = trawl::ops::MeasureMultiplyAddPeak(isa, 1, 0.2);
        gains.push_back(trawl::ops::MeasureMultiplyAddPeak(isa, cores, 0.2) / one);
      }
      fmt::print("multiply-adds on {} threads: {:.2f} times those on one\n\n", cores,
                 Median(gains));
      fmt::print(
          "| model, batch {} | images/s of one session | {} sessions | beside a busy thread |"
          " a team of {} | beside a busy thread |\n|---|---|---|---|---|---|\n",
          options.batch, cores, cores);
    }
    first = false;
    Measure(*model, options, cores);
  }
  return 0;
}
