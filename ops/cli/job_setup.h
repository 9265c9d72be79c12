#pragma once
// From a command line to a job: shared by `trawl run` and `trawl producer`.

#include <memory>
#include <stop_token>
#include <string>

#include "config/records.h"
#include "config/settings.h"
#include "engine/model.h"
#include "ops/cli/arguments.h"

namespace trawl::ops {

/// What is to be enqueued, checked as far as it can be without the log.
struct PreparedJob {
  JobSpec spec;
  std::string prefix;                          // of a listing
  std::shared_ptr<const engine::Model> model;  // the one that the spec names
};

/// Resolves the source and loads the model once, fetching it if need be (until `stop`), so that a
/// model that cannot run is an error here and not a failure row for every object.
Result<PreparedJob> PrepareJob(const JobArguments& arguments, const Settings& settings,
                               const std::stop_token& stop);

}  // namespace trawl::ops
