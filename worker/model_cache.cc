#include "worker/model_cache.h"

#include <algorithm>

#include "engine/compiled_graph.h"
#include "engine/model_package.h"
#include "ops/telemetry/log.h"
#include "storage/object_store/uri.h"
#include "worker/limits.h"

namespace trawl::worker {
namespace {

bool SameModel(const ModelRef& a, const ModelRef& b) {
  return a.uri == b.uri && a.digest == b.digest && a.preprocess_digest == b.preprocess_digest;
}

ModelIdentity IdentityOf(const ModelRef& ref) { return {ref.digest, ref.preprocess_digest, ""}; }

}  // namespace

/// A session is made for it to be measured: its memory is not touched, and goes back at once.
Result<size_t> ModelBytes(const std::shared_ptr<const engine::Model>& model, size_t sessions,
                          int batch_size) {
  TRAWL_ASSIGN(const auto session, engine::Session::Create(model, batch_size));
  return model->graph().ResidentBytes() + sessions * session->arena_bytes();
}

Result<std::shared_ptr<const engine::Model>> ModelCache::Get(const ModelRef& ref,
                                                             const std::stop_token& stop) {
  auto found = std::find_if(entries_.begin(), entries_.end(),
                            [&ref](const Entry& entry) { return SameModel(entry.ref, ref); });
  if (found != entries_.end() && !found->model && clock_.Now() - found->loaded_at >= kRetryAfter) {
    entries_.erase(found);
    found = entries_.end();
  }
  if (found != entries_.end()) {
    std::rotate(found, found + 1, entries_.end());
    return entries_.back().model;
  }

  auto model = Load(ref, stop);
  if (!model && model.error().code() == Code::kCancelled) return model;
  return Remember(ref, std::move(model));
}

void ModelCache::Adopt(LoadedModel known) { Remember(known.ref, std::move(known.model)); }

const Result<std::shared_ptr<const engine::Model>>& ModelCache::Remember(
    const ModelRef& ref, Result<std::shared_ptr<const engine::Model>> model) {
  if (entries_.size() >= kModels) entries_.erase(entries_.begin());
  size_t bytes = 0;
  if (model) {
    if (const auto admitted = Admit(*model)) {
      bytes = *admitted;
    } else {
      model = tl::unexpected(admitted.error());
    }
  }
  if (model) {
    ops::Log(ops::LogLevel::kInfo, "model loaded",
             {{"name", ref.name}, {"digest", ref.digest}, {"bytes", bytes}});
    const engine::CompiledGraph& graph = (*model)->graph();
    const auto warn = [&](std::string_view message) {
      ops::Log(ops::LogLevel::kWarn, message,
               {{"name", ref.name}, {"isa", engine::simd::ToString(graph.isa())}});
    };
    if (graph.LacksIntegers()) warn("a quantised model computes in f32 here: no products of bytes");
    if (graph.LacksBf16()) warn("a model for bf16 computes in f32 here: no AVX-512 BF16");
  } else {
    model = Annotate(model.error(), "loading model {}",
                     ref.name.empty() ? storage::Printable(ref.uri, 200) : ref.name);
    ops::Log(ops::LogLevel::kWarn, "model refused", {{"reason", model.error().message()}});
  }
  entries_.push_back({ref, std::move(model), clock_.Now(), bytes});
  Tell();
  return entries_.back().model;
}

/// What a model takes is known when it is there: until others have made room, both are.
Result<size_t> ModelCache::Admit(const std::shared_ptr<const engine::Model>& model) {
  TRAWL_ASSIGN(const size_t needed,
               ModelBytes(model, limits_.sessions, static_cast<int>(limits_.batch_size)));
  if (needed > limits_.bytes)
    return Error(
        Code::kResourceExhausted,
        "it takes {} MiB with {} sessions for batches of {}, and --memory leaves models {} MiB; "
        "give more memory, or fewer --sessions",
        needed >> 20, limits_.sessions, limits_.batch_size, limits_.bytes >> 20);
  MakeRoom(needed);
  return needed;
}

void ModelCache::MakeRoom(size_t bytes) {
  size_t held = 0;
  for (const Entry& entry : entries_) held += entry.bytes;
  bool changed = false;
  while (held > limits_.bytes - bytes) {
    const auto oldest =
        std::ranges::find_if(entries_, [](const Entry& entry) { return entry.bytes > 0; });
    ops::Log(ops::LogLevel::kInfo, "model makes room", {{"name", oldest->ref.name}});
    held -= oldest->bytes;
    entries_.erase(oldest);
    changed = true;
  }
  if (changed) Tell();
}

void ModelCache::Tell() const {
  if (!on_change_) return;
  Models kept;
  size_t bytes = 0;
  for (const Entry& entry : entries_) {
    if (entry.model) kept.push_back(*entry.model);
    bytes += entry.bytes;
  }
  on_change_(kept, bytes);
}

Result<std::shared_ptr<const engine::Model>> ModelCache::Load(const ModelRef& ref,
                                                              const std::stop_token& stop) const {
  if (ref.uri.starts_with("file://")) return LoadLocal(ref);
  if (!IsRemoteModel(ref.uri))
    return Error(Code::kUnimplemented, "{} is not file://, s3:// or http(s)://",
                 storage::Printable(ref.uri, 200));
  TRAWL_ASSIGN(const RemoteModel where, RemoteModel::Parse(ref.uri));
  TRAWL_TRY(PermitRemote(where));
  return remote_.Load(where, IdentityOf(ref), stop);
}

Result<std::shared_ptr<const engine::Model>> ModelCache::LoadLocal(const ModelRef& ref) const {
  TRAWL_ASSIGN(const std::string path, storage::ParseFileUri(ref.uri));
  const auto permit = [this](const std::string& file) -> Status {
    if (file.empty() || roots_.Contain(file)) return OkStatus();
    return Error(Code::kPermissionDenied, "{} is not below an --allow-root of this worker", file);
  };
  TRAWL_TRY(permit(path));
  TRAWL_ASSIGN(const engine::ModelPackage package, engine::OpenModelPackage(path));
  // A package may name files elsewhere.
  TRAWL_TRY(permit(package.graph_path));
  TRAWL_TRY(permit(package.params_path));
  TRAWL_TRY(permit(package.labels_path));
  // The job named a model by what it holds; a file that has changed since is another model.
  TRAWL_TRY(CheckDigests(package, IdentityOf(ref)));
  return engine::Model::Load(package);
}

/// Buckets are the object store's to permit. A web server has to be named by the operator, unless
/// the log is the embedded one: then whoever named the URL sits at this machine.
Status ModelCache::PermitRemote(const RemoteModel& where) const {
  if (!where.is_http() || settings_.brokers.empty()) return OkStatus();
  TRAWL_ASSIGN(const storage::HttpUrl url, storage::ParseHttpUrl(where.uri()));
  for (const std::string& root : settings_.allow_root) {
    const auto base = storage::ParseHttpUrl(root);
    if (base && storage::IsBelow(url, *base)) return OkStatus();
  }
  return Error(Code::kPermissionDenied, "{} is not below an --allow-root of this worker",
               where.ToPublicString());
}

}  // namespace trawl::worker
