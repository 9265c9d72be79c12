// The one executable: parse, set up logging and signals, hand over to a subcommand.

#include <malloc.h>
#include <sys/prctl.h>

#include <string_view>
#include <variant>

#include "ops/cli/arguments.h"
#include "ops/cli/commands.h"
#include "ops/cli/signals.h"
#include "ops/telemetry/log.h"
#include "worker/image/image.h"
#include "worker/sandbox/child.h"

namespace trawl::ops {
namespace {

template <class... Functions>
struct Overloaded : Functions... {
  using Functions::operator()...;
};

/// Servers tell what they do; a command that a person waits for shows progress, and logs only what
/// is wrong.
std::string LogLevelFor(const Arguments& arguments) {
  const bool serves = std::holds_alternative<WorkerArguments>(arguments.command) ||
                      std::holds_alternative<CollectorArguments>(arguments.command);
  const bool asked_for = arguments.loader.SourceOf("log-level") != "default";
  return serves || asked_for ? arguments.settings.log_level : "warn";
}

/// Lets what large objects took go back to the system with them. By itself, glibc raises its bound
/// for that to the largest block that was ever freed, up to 32 MiB, and the heaps of all threads
/// keep what downloads of that size left behind: a worker that may hold 300 MiB then takes 480.
void GiveLargeBlocksBack() {
  mallopt(M_MMAP_THRESHOLD, 1 << 20);
  // With the other one set, every freed tensor would be trimmed.
  mallopt(M_TRIM_THRESHOLD, 4 << 20);
}

/// Memory has credentials in it, and a core file may lie where many can read it.
void KeepMemoryPrivate() {
  // A kernel that does not know this knows no core files either.
  (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

int Dispatch(const Arguments& arguments) {
  const Settings& settings = arguments.settings;
  if (!settings.core_dumps) KeepMemoryPrivate();
  ConfigureLog(LogLevelFor(arguments), settings.log_format);
  SignalStops signals(settings.drain_timeout_ms);
  return std::visit(
      Overloaded{
          [&](const RunArguments& command) { return Run(command, settings, signals); },
          [&](const ProducerArguments& command) { return Produce(command, settings, signals); },
          [&](const PlanArguments& command) { return Plan(command, settings, signals); },
          [&](const WorkerArguments&) { return Work(settings, signals); },
          [&](const CollectorArguments& command) { return Collect(command, settings, signals); },
          [&](const StatusArguments& command) { return PrintStatus(command, signals); },
          [&](const ResultsArguments& command) { return PrintResults(command); },
          [&](const ControlArguments& command) { return ControlJob(command, settings, signals); },
          [&](const VerifyArguments& command) { return Verify(command, settings, signals); },
          [&](const RepairArguments& command) { return Repair(command, settings, signals); },
          [&](const RetryArguments& command) { return Retry(command, settings, signals); },
          [&](const ClassifyArguments& command) { return Classify(command, settings, signals); },
          [&](const ModelInspectArguments& command) {
            return InspectModel(command, settings, signals);
          },
          [&](const ModelBenchArguments& command) {
            return BenchModel(command, settings, signals);
          },
          [&](const ModelQuantizeArguments& command) {
            return QuantizeModel(command, settings, signals);
          },
          [&](const SettingsArguments& command) {
            return PrintSettings(command, settings, arguments.loader);
          },
      },
      arguments.command);
}

}  // namespace
}  // namespace trawl::ops

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == trawl::worker::kDecoderArgument)
    return trawl::worker::RunDecoder(trawl::worker::PrepareImage);
  trawl::ops::GiveLargeBlocksBack();
  const auto parsed = trawl::ops::Parse(argc, argv);
  if (const int* exit_code = std::get_if<int>(&parsed)) return *exit_code;
  const int exit_code = trawl::ops::Dispatch(std::get<trawl::ops::Arguments>(parsed));
  trawl::ops::LogSuppressed();
  return exit_code;
}
