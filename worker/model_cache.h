#pragma once
// The models that messages ask for, each loaded once per process and only when it is the very one
// that the job meant.

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/clock.h"
#include "config/records.h"
#include "config/status.h"
#include "engine/model.h"
#include "worker/allowed_roots.h"

namespace trawl::worker {

/// Not thread-safe: belongs to the dispatcher, because loading takes seconds. Keeps kModels; what
/// sessions still use lives on until they let go.
class ModelCache {
 public:
  ModelCache(const std::vector<std::string>& allow_root, Clock& clock)
      : roots_(allow_root), clock_(clock) {}

  /// Errors: kPermissionDenied (outside of allow-root), kFailedPrecondition (another digest),
  /// kUnimplemented (not a file:// URI), and those of OpenModelPackage and Model::Load. A refusal
  /// is remembered for kRetryAfter, so that a job with a broken model does not read it for each
  /// message.
  Result<std::shared_ptr<const engine::Model>> Get(const ModelRef& ref);

  static constexpr std::chrono::seconds kRetryAfter{15};

 private:
  struct Entry {
    ModelRef ref;
    Result<std::shared_ptr<const engine::Model>> model;
    std::chrono::steady_clock::time_point loaded_at;
  };

  Result<std::shared_ptr<const engine::Model>> Load(const ModelRef& ref) const;

  const AllowedRoots roots_;
  Clock& clock_;
  std::vector<Entry> entries_;  // the most recently used last
};

}  // namespace trawl::worker
