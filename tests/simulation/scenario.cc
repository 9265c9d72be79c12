#include "tests/simulation/scenario.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <utility>

#include "config/check.h"
#include "engine/model_package.h"
#include "ops/telemetry/log.h"
#include "producer/audit.h"
#include "producer/job_ledger.h"
#include "producer/producer.h"
#include "storage/collector/collector.h"
#include "storage/topics.h"
#include "tests/simulation/log.h"
#include "tests/simulation/oracle.h"
#include "tests/simulation/stores.h"
#include "tests/support/mutant_log.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/engine/small_model.h"
#include "worker/log_loop.h"
#include "worker/pipeline.h"
#include "worker/sandbox/decoder_pool.h"

namespace trawl::simulation {
namespace {

constexpr const char* kJob = "job";
/// Simulated time after the last fault in which everything has to be done.
constexpr std::chrono::minutes kPatience{60};

/// Nobody cuts the power here, so waiting for a disk would show nothing, and be most of the time.
testing::TempDir InMemory() {
  if (std::filesystem::is_directory("/dev/shm")) setenv("TMPDIR", "/dev/shm", /*overwrite=*/0);
  return testing::TempDir("simulation");
}

/// What all histories share and none changes.
struct Stage {
  Stage() {
    ops::ConfigureLog("error", "text");
    engine::testing::WriteSmallModel(dir.path().string());
    dir.Write("model.yaml",
              "name: small\nformat: onnx\nfiles: {graph: small.onnx}\n"
              "input: {name: data, layout: NCHW, size: [8, 8], channels: rgb}\n"
              "preprocess: {resize: {exact: [8, 8]}}\noutput: {kind: logits}\n");
    const auto package = engine::OpenModelPackage(dir.path().string());
    CHECK(package);
    model = {"file://" + package->location, package->name, package->digest,
             package->preprocess_digest};
    settings.batch_keys = 4;
    settings.list_page_keys = 10;
    settings.list_concurrency = 0;  // all runs on one thread
    settings.batch_size = 4;
    settings.batch_delay_ms = 5;
    settings.allow_root = {dir.path().string()};
    pictures = std::move(*worker::DecoderPool::Start({.command = {}}));
  }

  testing::TempDir dir = InMemory();
  ModelRef model;
  Settings settings;
  std::unique_ptr<worker::DecoderPool> pictures;
  int histories = 0;
};

Stage& TheStage() {
  static Stage stage;
  return stage;
}

/// Ends what a worker has on the wire before its pipeline waits for it.
struct HangUp {
  SimulatedObjects& objects;
  Process& process;
  ~HangUp() {
    process.SetBackground(nullptr);
    while (objects.EndOne()) continue;
  }
};

class Scenario {
 public:
  explicit Scenario(const ScenarioOptions& options)
      : options_(options),
        simulator_(options.seed, options.print),
        cluster_(simulator_),
        settings_(TheStage().settings),
        database_(TheStage().dir / fmt::format("{}.sqlite", TheStage().histories++)) {
    settings_.work_partitions = static_cast<int>(simulator_.Pick(1, 6));
    settings_.results_partitions = static_cast<int>(simulator_.Pick(1, 3));
    settings_.commit_results = simulator_.Pick(4, 40);
    settings_.commit_interval_ms = simulator_.Pick(10, 1'000);
    settings_.collect_rows = simulator_.Pick(1, 30);
    FillBucket();
    SetFaults();
    malformed_left_ = simulator_.Pick(0, 3);
    bug_.name = options.bug;
  }

  ~Scenario() {
    for (const char* suffix : {"", "-wal", "-shm"})
      std::filesystem::remove(database_.string() + suffix);
  }

  ScenarioOutcome Run() {
    AddRole("producer", [this](Process& self) { Produce(self); });
    AddRole("collector", [this](Process& self) { Collect(self); });
    for (int64_t i = simulator_.Pick(1, 3); i > 0; --i)
      AddRole(fmt::format("worker-{}", i), [this](Process& self) { Work(self); });
    const TimePoint quiet = simulator_.now() + Duration(simulator_.Pick(10'000, 180'000));
    while (!Settled() && simulator_.now() < quiet + kPatience) {
      if (simulator_.now() < quiet) {
        Disturb();
      } else {
        simulator_.faults = {};
      }
      simulator_.RunOne([this](const Process& process) { Ended(process); });
    }
    outcome_.problem = Settled() ? "" : "it never comes to an end";
    stopping_ = true;
    for (const auto& process : simulator_.processes()) process->Drain();
    while (simulator_.RunOne([this](const Process& process) { Ended(process); })) continue;
    simulator_.faults = {};
    if (outcome_.problem.empty()) outcome_.problem = Judge();
    if (outcome_.problem.empty()) outcome_.problem = Audit();
    outcome_.history = simulator_.history();
    outcome_.keys = bucket_.keys.size();
    return outcome_;
  }

 private:
  void FillBucket() {
    const int64_t count = simulator_.Pick(1, 70);
    bucket_.picture = testing::ReadFile(std::filesystem::path(TRAWL_SOURCE_DIR) /
                                        "ops/sample/bucket/archive/box-1/scan0116.webp");
    for (int64_t i = 0; i < count; ++i) {
      bucket_.keys.push_back(fmt::format("{:04}{}", i, simulator_.Chance(0.5) ? "-" : ""));
      if (simulator_.Chance(0.3)) bucket_.pictures.insert(bucket_.keys.back());
    }
    if (simulator_.Chance(0.2)) bucket_.deadly.insert(bucket_.keys[bucket_.keys.size() / 2]);
  }

  void SetFaults() {
    const auto rate = [this](double most) {
      return most * static_cast<double>(simulator_.Pick(0, 100)) / 100;
    };
    if (simulator_.Chance(0.1)) return;  // nothing breaks
    simulator_.faults = {.crash = rate(0.01),
                         .stall = rate(0.002),
                         .commit = rate(0.2),
                         .poll = rate(0.02),
                         .rebalance = rate(0.01),
                         .database = rate(0.2),
                         .store = rate(0.1)};
    refusals_ = simulator_.faults.store > 0;
  }

  // The roles, as the executable runs them.

  void Produce(Process& self) {
    SimulatedLog log(simulator_, cluster_, self);
    SimulatedObjects objects(simulator_, bucket_, self);
    const producer::ProducerOptions options{.settings = settings_,
                                            .log = log,
                                            .objects = objects,
                                            .job_id = kJob,
                                            .spec = {"s3://bucket/", TheStage().model, 2},
                                            .prefix = "",
                                            .manifest_path = "",
                                            .on_progress = {},
                                            .clock = self};
    const auto report = producer::RunProducer(options, self.signals());
    enqueued_ = enqueued_ || (report && !self.dead());
  }

  void Work(Process& self) {
    testing::Bug bug = Bug(self);
    SimulatedLog simulated(simulator_, cluster_, self);
    testing::MutantLog log(simulated, bug, self.name());
    SimulatedObjects objects(simulator_, bucket_, self);
    const worker::WorkerOptions options{.settings = settings_,
                                        .log = log,
                                        .objects = objects,
                                        .name = self.name(),
                                        .transactional_id = self.name(),
                                        .on_progress = {},
                                        .clock = self};
    const worker::WorkerLimits limits = Limits();
    worker::Pipeline pipeline(settings_, limits, objects, *TheStage().pictures, self,
                              worker::Pipeline::Mode::kSteps);
    const HangUp hang_up{objects, self};
    self.SetBackground([&] {
      if (!simulator_.Chance(0.5) || !objects.EndOne()) pipeline.Step();
    });
    if (!log.EnsureTopics(storage::TopicSpecs(settings_)).ok()) return;
    const Status ended = worker::LogLoop(options, limits, pipeline, self.signals()).Run();
    if (!ended.ok()) simulator_.Tell(self.name(), ToString(ended.code()));
  }

  void Collect(Process& self) {
    testing::Bug bug = Bug(self);
    SimulatedLog simulated(simulator_, cluster_, self);
    testing::MutantLog log(simulated, bug, self.name());
    if (!log.EnsureTopics(storage::TopicSpecs(settings_)).ok()) return;
    const auto store = storage::OpenResultStore(database_.string());
    CHECK(store);
    const auto written = [this](const storage::CollectedBatch& batch) {
      for (const storage::OffsetStep& step : batch.steps) collected_[step.at] = step.next;
    };
    SimulatedResults results(simulator_, **store, self, written, bug_.name == "rows-apart");
    const Status ended = storage::RunCollector(
        {.settings = settings_, .log = log, .results = results, .on_progress = {}, .clock = self},
        self.signals());
    if (!ended.ok()) simulator_.Tell(self.name(), ToString(ended.code()));
  }

  /// Budgets are what threads wait for, so nobody may ever have to; intake pauses instead.
  worker::WorkerLimits Limits() {
    worker::WorkerLimits limits = worker::WorkerLimits::From(settings_, 2);
    limits.download_slots = limits.download_bytes = limits.memory = size_t{1} << 40U;
    limits.in_flight_objects = static_cast<size_t>(simulator_.Pick(8, 100));
    limits.resume_objects = limits.in_flight_objects * 3 / 4;
    return limits;
  }

  testing::Bug Bug(Process& self) const {
    return {bug_.name, [this, &self] {
              if (simulator_.faults.crash > 0 && self.Now().time_since_epoch().count() % 3 == 0)
                self.Die();
            }};
  }

  // The supervisor, and those who disturb.

  void AddRole(const std::string& name, Process::Main main) {
    roles_[name] = main;
    simulator_.Start(name, std::move(main), Duration(simulator_.Pick(0, 3'000)));
  }

  void Ended(const Process& process) {
    ++(process.dead() ? outcome_.deaths : outcome_.drains);
    const auto runs = [&](const auto& each) { return each->name() == process.name(); };
    if (stopping_ || std::ranges::any_of(simulator_.processes(), runs)) return;
    if (process.name() == "producer" && enqueued_) return;
    simulator_.Start(process.name(), roles_.at(process.name()),
                     Duration(simulator_.Pick(0, 3'000)));
  }

  void Disturb() {
    if (simulator_.Chance(0.001)) cluster_.Compact();
    SendMalformed();
    if (simulator_.faults.crash <= 0 || !simulator_.Chance(0.001)) return;
    const auto& all = simulator_.processes();
    Process& process =
        *all[static_cast<size_t>(simulator_.Pick(0, static_cast<int64_t>(all.size()) - 1))];
    if (simulator_.Chance(0.5)) {
      process.Drain();
    } else if (all.size() < roles_.size() + 3) {
      // Somebody starts a second one, with the same name.
      simulator_.Start(process.name(), roles_.at(process.name()), Duration(0));
    }
  }

  void SendMalformed() {
    const TopicPartition at{storage::WorkTopic(settings_.queue), 0};
    Cluster::Partition* const partition = cluster_.Find(at);
    if (malformed_left_ == 0 || partition == nullptr || !simulator_.Chance(0.01)) return;
    --malformed_left_;
    malformed_.insert(fmt::format("{}/{}/{}", at.topic, at.partition, partition->next));
    cluster_.Commit({{{at.topic, at.partition, "", simulator_.Chance(0.5) ? "{}" : "\x01"}}},
                    nullptr, 0);
  }

  /// Everything is enqueued, worked on and collected.
  bool Settled() {
    if (!enqueued_) return false;
    const auto& committed = cluster_.groups[settings_.group].committed;
    for (const auto& [name, topic] : cluster_.topics) {
      if (name == storage::kAttemptsTopic) continue;
      const auto& done = name == storage::WorkTopic(settings_.queue) ? committed : collected_;
      for (size_t i = 0; i < topic.partitions.size(); ++i) {
        if (topic.partitions[i].records.empty()) continue;
        const auto found = done.find({name, static_cast<int32_t>(i)});
        if (found == done.end() || found->second <= topic.partitions[i].records.back().offset)
          return false;
      }
    }
    return true;
  }

  std::string Judge() {
    const auto reader = storage::OpenResultReader(database_.string());
    if (!reader) return reader.error().message();
    const Truth truth{bucket_, kJob, storage::WorkTopic(settings_.queue), malformed_, refusals_};
    return FindProblem(truth, cluster_, **reader);
  }

  /// Trawl's own judgement has to be the same.
  std::string Audit() {
    std::string problem = "the audit did not run";
    simulator_.Start(
        "auditor",
        [this, &problem](Process& self) {
          SimulatedLog log(simulator_, cluster_, self);
          const auto reader = storage::OpenResultReader(database_.string()).value();
          const JobRecord job = producer::ReadJob(log, kJob, {}, self).value().value();
          const auto audit = producer::AuditJob({.log = log,
                                                 .reader = *reader,
                                                 .job = job,
                                                 .group = settings_.group,
                                                 .on_second_look = {}},
                                                {});
          problem = !audit ? audit.error().message()
                           : (audit->ended() && audit->agrees() ? "" : "the audit finds fault");
        },
        Duration(0));
    while (simulator_.RunOne([](const Process&) {})) continue;
    return problem;
  }

  const ScenarioOptions options_;
  Simulator simulator_;
  Cluster cluster_;
  Settings settings_;
  const std::filesystem::path database_;
  Bucket bucket_;
  testing::Bug bug_;
  bool refusals_ = false, enqueued_ = false, stopping_ = false;
  int64_t malformed_left_ = 0;
  std::set<std::string> malformed_;
  std::map<TopicPartition, int64_t> collected_;
  std::map<std::string, Process::Main> roles_;
  ScenarioOutcome outcome_;
};

}  // namespace

ScenarioOutcome Simulate(const ScenarioOptions& options) { return Scenario(options).Run(); }

}  // namespace trawl::simulation
