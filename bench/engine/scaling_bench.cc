// What a second core adds and what a busy neighbour takes: images/s of one session, of one session
// a core, and of one session whose team has all cores, the latter two also beside one busy thread
// more than there are cores. All in turn in every round, as ratios within a round; medians.
//
//   scaling_bench [--batch N] [--rounds N] MODEL…
//
// Beside each figure of the sessions stands that of a control in the same round: multiply-adds
// between registers, which need nothing of the machine but the cores themselves. CPUs that are not
// whole cores, and other processes, show there as well. "By CPU time" is work done for each second
// of processor time that the system counted, times the threads: it leaves out the time in which
// other processes had the CPU. On c cores, c threads beside a busy one have c / (c + 1) of the
// machine at best.
#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <ctime>
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

constexpr double kWindowSeconds = 0.6, kControlSeconds = 0.4;

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

/// Work a second of the clock, and a second of processor time of the process.
struct Speed {
  double by_clock = 0, by_cpu_time = 0;
};

double CpuSeconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/// `rate` works for a while and returns how much it did a second.
template <class Function>
Speed Measure(Function rate) {
  const auto start = Clock::now();
  const double cpu_start = CpuSeconds();
  const double by_clock = rate();
  const double cpu = CpuSeconds() - cpu_start;
  const double elapsed = std::chrono::duration<double>(Clock::now() - start).count();
  return {by_clock, by_clock * elapsed / cpu};
}

template <class Function>
double BesideBusyThread(Function rate) {
  const BusyThread busy;
  return rate();
}

double Median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

/// What one thing (sessions, or multiply-adds) gained by the cores, one number a round.
struct Gains {
  std::vector<double> by_clock, by_cpu_time, kept_beside_busy;

  void Add(const Speed& one, const Speed& all, double all_beside_busy, int cores) {
    by_clock.push_back(all.by_clock / one.by_clock);
    by_cpu_time.push_back(cores * all.by_cpu_time / one.by_cpu_time);
    kept_beside_busy.push_back(all_beside_busy / all.by_clock);
  }
};

void PrintRow(const std::shared_ptr<const Model>& model, const Options& options, int cores) {
  std::vector<Lane> one, all, team;
  one.emplace_back(model, options.batch, 1);
  for (int i = 0; i < cores; ++i) all.emplace_back(model, options.batch, 1);
  team.emplace_back(model, options.batch, cores);
  const auto multiply_adds = [&](int threads) {
    return trawl::ops::MeasureMultiplyAddPeak(model->graph().isa(), threads, kControlSeconds);
  };
  std::vector<double> rates, team_to_one, team_busy;
  Gains sessions, control;
  for (int round = -1; round < options.rounds; ++round) {  // the first warms up
    const Speed control_one = Measure([&] { return multiply_adds(1); });
    const Speed session = Measure([&] { return Rate(one); });
    const Speed each = Measure([&] { return Rate(all); });
    const Speed control_all = Measure([&] { return multiply_adds(cores); });
    const double control_busy = BesideBusyThread([&] { return multiply_adds(cores); });
    const double each_busy = BesideBusyThread([&] { return Rate(all); });
    const double together = Rate(team);
    const double together_busy = BesideBusyThread([&] { return Rate(team); });
    if (round < 0) continue;
    rates.push_back(session.by_clock);
    sessions.Add(session, each, each_busy, cores);
    control.Add(control_one, control_all, control_busy, cores);
    team_to_one.push_back(together / session.by_clock);
    team_busy.push_back(together_busy / together);
  }
  const auto pair = [](const auto& a, const auto& b) {
    return fmt::format("{:.2f} ({:.2f})", Median(a), Median(b));
  };
  fmt::print("| {} | {:.1f} | {} | {} | {} | {:.2f} | {:.2f} |\n", model->package().name,
             Median(rates), pair(sessions.by_clock, control.by_clock),
             pair(sessions.by_cpu_time, control.by_cpu_time),
             pair(sessions.kept_beside_busy, control.kept_beside_busy), Median(team_to_one),
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
  fmt::print(
      "In brackets: multiply-adds alone.\n\n"
      "| model, batch {} | images/s of one session | {} sessions | by CPU time |"
      " beside a busy thread | a team of {} | beside a busy thread "
      "|\n|---|---|---|---|---|---|---|\n",
      options.batch, cores, cores);
  for (const char* path : options.models) {
    const auto package = trawl::engine::OpenModelPackage(path);
    const auto model = package ? Model::Load(*package) : tl::unexpected(package.error());
    if (!model) {
      fmt::print(stderr, "{}: {}\n", path, model.error().message());
      return 2;
    }
    PrintRow(*model, options, cores);
  }
  return 0;
}
