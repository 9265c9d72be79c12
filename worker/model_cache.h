#pragma once
// The models that messages ask for, each loaded once per process and only when it is the very one
// that the job meant.

#include <chrono>
#include <memory>
#include <stop_token>
#include <vector>

#include "config/clock.h"
#include "config/records.h"
#include "config/settings.h"
#include "config/status.h"
#include "engine/model.h"
#include "worker/allowed_roots.h"
#include "worker/models/model_source.h"

namespace trawl::worker {

/// Not thread-safe: belongs to the dispatcher, because loading takes seconds. Keeps kModels; what
/// sessions still use lives on until they let go.
class ModelCache {
 public:
  /// `settings` must outlive it.
  ModelCache(const Settings& settings, Clock& clock)
      : settings_(settings), roots_(settings.allow_root), remote_(settings), clock_(clock) {}

  /// May wait long for a model that has to be fetched, until `stop`. Errors: kPermissionDenied
  /// (outside of allow-root or allow-bucket), kFailedPrecondition (another digest), kUnimplemented
  /// (neither file:// nor fetched), kCancelled, and those of OpenModelPackage, Model::Load and
  /// RemoteModels. A refusal is remembered for kRetryAfter, so that a job with a broken model does
  /// not read it for each message.
  Result<std::shared_ptr<const engine::Model>> Get(const ModelRef& ref,
                                                   const std::stop_token& stop);

  static constexpr std::chrono::seconds kRetryAfter{15};

 private:
  struct Entry {
    ModelRef ref;
    Result<std::shared_ptr<const engine::Model>> model;
    std::chrono::steady_clock::time_point loaded_at;
  };

  Result<std::shared_ptr<const engine::Model>> Load(const ModelRef& ref,
                                                    const std::stop_token& stop) const;
  Result<std::shared_ptr<const engine::Model>> LoadLocal(const ModelRef& ref) const;
  Status PermitRemote(const RemoteModel& where) const;

  const Settings& settings_;
  const AllowedRoots roots_;
  const RemoteModels remote_;
  Clock& clock_;
  std::vector<Entry> entries_;  // the most recently used last
};

}  // namespace trawl::worker
