#include "ops/cli/job_setup.h"

#include "producer/producer.h"
#include "worker/models/model_source.h"

namespace trawl::ops {

Result<PreparedJob> PrepareJob(const JobArguments& arguments, const Settings& settings,
                               const std::stop_token& stop) {
  TRAWL_ASSIGN(producer::ResolvedSource source,
               producer::ResolveInput(arguments.source, arguments.manifest, settings, stop));
  TRAWL_ASSIGN(const worker::NamedModel named,
               worker::LoadNamedModel(arguments.model, arguments.model_sha256, settings, stop));
  const engine::ModelPackage& package = named.model->package();

  PreparedJob job;
  job.prefix = std::move(source.prefix);
  job.spec.source = std::move(source.source);
  job.spec.model = {named.uri, package.name, package.digest, package.preprocess_digest};
  job.spec.top_k = static_cast<int>(settings.top_k);
  job.model = named.model;
  return job;
}

}  // namespace trawl::ops
