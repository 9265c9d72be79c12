#include "ops/cli/job_setup.h"

#include "engine/model.h"
#include "engine/model_package.h"
#include "producer/producer.h"

namespace trawl::ops {

Result<PreparedJob> PrepareJob(const JobArguments& arguments, const Settings& settings,
                               std::stop_token stop) {
  TRAWL_ASSIGN(
      producer::ResolvedSource source,
      producer::ResolveInput(arguments.source, arguments.manifest, settings, std::move(stop)));
  TRAWL_ASSIGN(const engine::ModelPackage package, engine::OpenModelPackage(arguments.model));
  if (const auto model = engine::Model::Load(package); !model)
    return Annotate(model.error(), "loading model {}", arguments.model);

  PreparedJob job;
  job.prefix = std::move(source.prefix);
  job.spec.source = std::move(source.source);
  job.spec.model = {"file://" + package.location, package.name, package.digest,
                    package.preprocess_digest};
  job.spec.top_k = static_cast<int>(settings.top_k);
  return job;
}

}  // namespace trawl::ops
