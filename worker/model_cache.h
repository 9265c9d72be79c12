#pragma once
// The models that messages ask for, each loaded once per process and only when it is the very one
// that the job meant.

#include <chrono>
#include <cstddef>
#include <functional>
#include <limits>
#include <memory>
#include <stop_token>
#include <utility>
#include <vector>

#include "config/clock.h"
#include "config/records.h"
#include "config/settings.h"
#include "config/status.h"
#include "engine/model.h"
#include "worker/allowed_roots.h"
#include "worker/models/model_source.h"

namespace trawl::worker {

using Models = std::vector<std::shared_ptr<const engine::Model>>;

/// What a model takes in memory with so many sessions. Errors: those of Session::Create.
Result<size_t> ModelBytes(const std::shared_ptr<const engine::Model>& model, size_t sessions,
                          int batch_size);

/// A model that is loaded already, and what messages call it.
struct LoadedModel {
  ModelRef ref;
  std::shared_ptr<const engine::Model> model;
};

/// What the models of a cache may take together: their weights, and a session of `batch_size` for
/// each of so many threads.
struct ModelLimits {
  size_t bytes = std::numeric_limits<size_t>::max();
  size_t sessions = 1;
  size_t batch_size = 1;
};

/// Not thread-safe: belongs to the dispatcher, because loading takes seconds. Keeps as many models
/// as its bytes allow; the one used longest ago goes first, and lives on until work that has begun
/// with it has ended.
class ModelCache {
 public:
  /// Hears of the models that are kept, and what they take, whenever that changes.
  using OnChange = std::function<void(const Models& kept, size_t bytes)>;

  /// `settings` must outlive it.
  ModelCache(const Settings& settings, Clock& clock, ModelLimits limits = {},
             OnChange on_change = {})
      : settings_(settings),
        roots_(settings.allow_root),
        remote_(settings),
        clock_(clock),
        limits_(limits),
        on_change_(std::move(on_change)) {}

  /// May wait long for a model that has to be fetched, until `stop`. Errors: kPermissionDenied
  /// (outside of allow-root or allow-bucket), kFailedPrecondition (another digest), kUnimplemented
  /// (neither file:// nor fetched), kResourceExhausted (more than all models may take), kCancelled,
  /// and those of OpenModelPackage, Model::Load and RemoteModels. A refusal is remembered for
  /// kRetryAfter, so that a job with a broken model does not read it for each message.
  Result<std::shared_ptr<const engine::Model>> Get(const ModelRef& ref,
                                                   const std::stop_token& stop);

  /// Whoever loaded it vouches for its being `known.ref`. The limits are those of what Get loads:
  /// of a model beyond them, Get says so.
  void Adopt(LoadedModel known);

  static constexpr std::chrono::seconds kRetryAfter{15};

 private:
  struct Entry {
    ModelRef ref;
    Result<std::shared_ptr<const engine::Model>> model;
    std::chrono::steady_clock::time_point loaded_at;
    size_t bytes = 0;
  };

  /// The bytes that it takes, for which others have made room.
  Result<size_t> Admit(const std::shared_ptr<const engine::Model>& model);
  /// What Get answers from now on: the model, or why there is none.
  const Result<std::shared_ptr<const engine::Model>>& Remember(
      const ModelRef& ref, Result<std::shared_ptr<const engine::Model>> model);
  /// Lets models go until so many more bytes fit.
  void MakeRoom(size_t bytes);
  void Tell() const;

  Result<std::shared_ptr<const engine::Model>> Load(const ModelRef& ref,
                                                    const std::stop_token& stop) const;
  Result<std::shared_ptr<const engine::Model>> LoadLocal(const ModelRef& ref) const;
  Status PermitRemote(const RemoteModel& where) const;

  const Settings& settings_;
  const AllowedRoots roots_;
  const RemoteModels remote_;
  Clock& clock_;
  const ModelLimits limits_;
  const OnChange on_change_;
  std::vector<Entry> entries_;  // the most recently used last
};

}  // namespace trawl::worker
