#pragma once
// A model by what a person typed, or by what a message says; fetched when it is not here.

#include <memory>
#include <stop_token>
#include <string>

#include "config/settings.h"
#include "config/status.h"
#include "engine/model.h"
#include "worker/models/model_folder.h"
#include "worker/models/remote_model.h"

namespace trawl::worker {

/// How to know that it is the very one. What is empty is not known.
struct ModelIdentity {
  std::string digest, preprocess_digest;  // of the package, hex
  std::string file_sha256;                // of the model.yaml or .onnx itself, hex
};

/// kFailedPrecondition when the package is another one than a job was created with.
Status CheckDigests(const engine::ModelPackage& package, const ModelIdentity& expected);

/// Models from elsewhere. Stateless: what was fetched is on the disk. Thread-safe.
class RemoteModels {
 public:
  /// `settings` must outlive it.
  explicit RemoteModels(const Settings& settings) : settings_(settings) {}

  /// From the folder that keeps fetched models when it is there whole, else from where it lies.
  /// While that serves nobody it waits, at most settings.outage_patience_ms (over http(s): ten
  /// minutes). Over http(s) a part of `expected` has to be known. Errors: kInvalidArgument (no such
  /// URI; no digest), kNotFound, kPermissionDenied, kDataLoss or kFailedPrecondition (not the bytes
  /// that were meant), kResourceExhausted (over max-model-bytes), kUnavailable, kCancelled,
  /// and those of OpenModelPackage and Model::Load.
  Result<std::shared_ptr<const engine::Model>> Load(const RemoteModel& where,
                                                    const ModelIdentity& expected,
                                                    const std::stop_token& stop) const;

 private:
  Result<std::shared_ptr<const engine::Model>> LoadKept(const ModelFolder& folder,
                                                        const std::string& name,
                                                        const ModelIdentity& expected) const;
  Status Fetch(const RemoteModel& where, const ModelIdentity& expected,
               const std::filesystem::path& into, const std::stop_token& stop) const;

  const Settings& settings_;
};

/// A model and the URI under which workers find it.
struct NamedModel {
  std::string uri;
  std::shared_ptr<const engine::Model> model;
};

/// `reference`: a path of this machine (see OpenModelPackage), or one of RemoteModel's URIs, which
/// is not waited for beyond settings.download_attempts. `sha256`: of the file that it names, or of
/// the model.yaml in the folder that it names; that has to say the digests of its files then. May
/// be empty but over http(s). Errors: those of RemoteModels::Load.
Result<NamedModel> LoadNamedModel(const std::string& reference, const std::string& sha256,
                                  const Settings& settings, const std::stop_token& stop);

}  // namespace trawl::worker
