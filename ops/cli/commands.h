#pragma once
// The subcommands, one a file. Each returns the process's exit code and has printed what there is
// to print: data on standard output, everything else on standard error.

#include "ops/cli/arguments.h"
#include "ops/cli/signals.h"

namespace trawl::ops {

int Run(const RunArguments& arguments, Settings settings, SignalStops& signals);
int Produce(const ProducerArguments& arguments, const Settings& settings, SignalStops& signals);
int Plan(const PlanArguments& arguments, Settings settings, SignalStops& signals);
int Work(const Settings& settings, SignalStops& signals);
int Collect(const CollectorArguments& arguments, const Settings& settings, SignalStops& signals);
int PrintStatus(const StatusArguments& arguments, SignalStops& signals);
int PrintResults(const ResultsArguments& arguments);
int ControlJob(const ControlArguments& arguments, const Settings& settings, SignalStops& signals);
int Verify(const VerifyArguments& arguments, const Settings& settings, SignalStops& signals);
int Repair(const RepairArguments& arguments, const Settings& settings, SignalStops& signals);
int Retry(const RetryArguments& arguments, const Settings& settings, SignalStops& signals);
int Classify(const ClassifyArguments& arguments, const Settings& settings, SignalStops& signals);
int InspectModel(const ModelInspectArguments& arguments, const Settings& settings,
                 SignalStops& signals);
int BenchModel(const ModelBenchArguments& arguments, const Settings& settings,
               SignalStops& signals);
int QuantizeModel(const ModelQuantizeArguments& arguments, Settings settings, SignalStops& signals);
int PrintSettings(const SettingsArguments& arguments, const Settings& settings,
                  const SettingsLoader& loader);

}  // namespace trawl::ops
