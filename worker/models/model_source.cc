#include "worker/models/model_source.h"

#include <algorithm>
#include <fstream>
#include <future>
#include <utility>

#include "engine/loaders/file.h"
#include "engine/model_package.h"
#include "ops/telemetry/log.h"
#include "storage/object_store/object_store.h"

namespace trawl::worker {
namespace {

namespace fs = std::filesystem;

using Model = std::shared_ptr<const engine::Model>;

std::string Short(const std::string& digest) { return digest.substr(0, 12); }

Code CodeOf(ObjectErrorCode code) {
  switch (code) {
    case ObjectErrorCode::kNotFound:
      return Code::kNotFound;
    case ObjectErrorCode::kForbidden:
      return Code::kPermissionDenied;
    case ObjectErrorCode::kTooLarge:
      return Code::kResourceExhausted;
    case ObjectErrorCode::kChecksumMismatch:
      return Code::kDataLoss;
    default:
      return Code::kUnavailable;
  }
}

/// A store for models: larger bodies, with the time that they take at 1 MiB/s, one after the other.
Settings ForModels(Settings settings) {
  settings.max_object_bytes = settings.max_model_bytes;
  settings.download_timeout_ms += settings.max_model_bytes / (1 << 20) * 1'000;
  settings.downloads_in_flight = 1;
  return settings;
}

/// Downloads files one after the other, all of them together within `bytes_left`.
class Fetcher {
 public:
  Fetcher(storage::ObjectStore& store, uint64_t bytes_max, std::stop_token stop)
      : store_(store), bytes_max_(bytes_max), bytes_left_(bytes_max), stop_(std::move(stop)) {}

  /// `sha256`: of the bytes, or empty.
  Status Fetch(const std::string& uri, const std::string& name, const std::string& sha256,
               const fs::path& path) {
    std::promise<ObjectResult<storage::Download>> promise;
    store_.Get(
        {.uri = uri, .expected_bytes = {}, .etag = {}, .patient = true}, stop_,
        [&promise](ObjectResult<storage::Download> got) { promise.set_value(std::move(got)); });
    const ObjectResult<storage::Download> download = promise.get_future().get();
    if (!download && stop_.stop_requested())
      return Error(Code::kCancelled, "fetching {}: cancelled", name);
    if (!download)
      return Error(CodeOf(download.error().code), "fetching {}", download.error().message);
    if (download->bytes.size() > bytes_left_)
      return Error(Code::kResourceExhausted, "fetching {}: the model has more than {} bytes", name,
                   bytes_max_);
    bytes_left_ -= download->bytes.size();
    const std::string_view bytes(reinterpret_cast<const char*>(download->bytes.data()),
                                 download->bytes.size());
    if (const std::string actual = sha256.empty() ? "" : engine::Sha256OfText(bytes);
        actual != sha256)
      return Error(Code::kDataLoss, "fetching {}: its sha256 is {}, not {}", name, actual, sha256);
    return Write(path, bytes);
  }

 private:
  static Status Write(const fs::path& path, std::string_view bytes) {
    std::error_code error;
    fs::create_directories(path.parent_path(), error);
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    file.close();
    if (!file) return Error(Code::kFailedPrecondition, "writing {}: no space left?", path.string());
    return OkStatus();
  }

  storage::ObjectStore& store_;
  const uint64_t bytes_max_;
  uint64_t bytes_left_;
  const std::stop_token stop_;
};

std::vector<std::string> NamesOf(const engine::PackageFiles& files) {
  std::vector<std::string> names = {files.graph};
  if (!files.params.empty()) names.push_back(files.params);
  if (!files.labels.empty()) names.push_back(files.labels);
  return names;
}

std::string DigestOf(const engine::PackageFiles& files, const std::string& name) {
  const auto found = files.sha256.find(name);
  return found == files.sha256.end() ? "" : found->second;
}

/// The digest of a model.yaml stands for its files only when it says theirs.
Status CheckPinsItsFiles(const engine::PackageFiles& files, const std::string& yaml) {
  for (const std::string& name : NamesOf(files))
    if (DigestOf(files, name).empty())
      return Error(Code::kInvalidArgument,
                   "{} has to say the sha256 of '{}', or its own digest says nothing about that",
                   yaml, name);
  return OkStatus();
}

/// That the model at `path` is the one with this digest, as LoadNamedModel says.
Status CheckFile(const fs::path& path, const std::string& sha256) {
  if (sha256.empty()) return OkStatus();
  TRAWL_ASSIGN(const std::string actual, engine::Sha256OfFile(path.string()));
  if (actual != sha256)
    return Error(Code::kDataLoss, "checking {}: its sha256 is {}, not {}", path.string(), actual,
                 sha256);
  if (!engine::IsModelYaml(path.string())) return OkStatus();
  TRAWL_ASSIGN(const engine::PackageFiles files, engine::ReadPackageFiles(path.string()));
  return CheckPinsItsFiles(files, path.string());
}

/// The name under which a package is kept.
std::string KeptName(const std::string& digest, const std::string& preprocess_digest) {
  return digest + "-" + preprocess_digest;
}

/// What can be looked for before anything is fetched; "" when too little is known.
std::string KeptName(const ModelIdentity& expected) {
  if (!expected.file_sha256.empty()) return "sha256-" + expected.file_sha256;
  if (expected.digest.empty() || expected.preprocess_digest.empty()) return "";
  return KeptName(expected.digest, expected.preprocess_digest);
}

/// Digests from people and messages become names of files.
bool IsSha256(const std::string& text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

Status CheckIdentity(const RemoteModel& where, const ModelIdentity& expected) {
  for (const std::string* digest :
       {&expected.digest, &expected.preprocess_digest, &expected.file_sha256})
    if (!digest->empty() && !IsSha256(*digest))
      return Error(Code::kInvalidArgument, "'{}' is no sha256 of 64 hex digits", *digest);
  if (where.is_http() && KeptName(expected).empty())
    return Error(Code::kInvalidArgument,
                 "{}: a model from a web server needs --model-sha256, what sha256sum says of {}",
                 where.ToPublicString(), where.file());
  return OkStatus();
}

Result<NamedModel> LoadLocal(const std::string& path, const std::string& sha256) {
  std::error_code error;
  const bool folder = fs::is_directory(path, error);
  TRAWL_TRY(CheckFile(folder ? fs::path(path) / "model.yaml" : fs::path(path), sha256));
  TRAWL_ASSIGN(const engine::ModelPackage package, engine::OpenModelPackage(path));
  auto model = engine::Model::Load(package);
  if (!model) return Annotate(model.error(), "loading model {}", path);
  return NamedModel{"file://" + package.location, std::move(*model)};
}

}  // namespace

Status CheckDigests(const engine::ModelPackage& package, const ModelIdentity& expected) {
  if (!expected.digest.empty() && package.digest != expected.digest)
    return Error(Code::kFailedPrecondition, "the files here are {}, the job was created with {}",
                 Short(package.digest), Short(expected.digest));
  if (!expected.preprocess_digest.empty() &&
      package.preprocess_digest != expected.preprocess_digest)
    return Error(Code::kFailedPrecondition,
                 "its preprocessing here is {}, the job was created with {}",
                 Short(package.preprocess_digest), Short(expected.preprocess_digest));
  return OkStatus();
}

Result<Model> RemoteModels::Load(const RemoteModel& where, const ModelIdentity& expected,
                                 const std::stop_token& stop) const {
  TRAWL_TRY(CheckIdentity(where, expected));
  TRAWL_ASSIGN(const ModelFolder folder, ModelFolder::Open(settings_));
  if (const std::string name = KeptName(expected); !name.empty()) {
    TRAWL_ASSIGN(Model kept, LoadKept(folder, name, expected));
    if (kept != nullptr) return kept;
  }

  TRAWL_ASSIGN(IncomingModel incoming, folder.Begin());
  const fs::path folder_name = fs::path("package") / where.folder();  // never the link's name
  const fs::path file = folder_name / where.file();
  TRAWL_TRY(Fetch(where, expected, incoming.path() / folder_name, stop));
  const auto package = engine::OpenModelPackage((incoming.path() / file).string());
  if (!package) return Annotate(package.error(), "fetched from {}", where.ToPublicString());
  TRAWL_TRY(CheckDigests(*package, expected));
  const std::string name = KeptName(package->digest, package->preprocess_digest);
  const std::string alias = expected.file_sha256.empty() ? "" : "sha256-" + expected.file_sha256;
  TRAWL_TRY(folder.Keep(std::move(incoming), file, name, alias));
  ops::Log(ops::LogLevel::kInfo, "model fetched",
           {{"from", where.ToPublicString()}, {"digest", package->digest}});
  TRAWL_ASSIGN(Model model, LoadKept(folder, name, expected));
  if (model == nullptr)
    return Error(Code::kAborted, "{}: fetched and lost again: is --model-cache-bytes too little?",
                 where.ToPublicString());
  return model;
}

/// Null when it is not there, or no longer whole: then it is removed.
Result<Model> RemoteModels::LoadKept(const ModelFolder& folder, const std::string& name,
                                     const ModelIdentity& expected) const {
  Status damage;
  {
    TRAWL_ASSIGN(const std::optional<KeptModel> kept, folder.Find(name));
    if (!kept) return nullptr;
    const auto package = engine::OpenModelPackage(kept->path.string());
    damage = package ? CheckDigests(*package, expected) : package.error();
    if (damage.ok()) damage = CheckFile(kept->path, expected.file_sha256);
    if (damage.ok()) return engine::Model::Load(*package);
  }
  ops::Log(ops::LogLevel::kWarn, "a kept model was damaged", {{"reason", damage.message()}});
  TRAWL_TRY(folder.Remove(name));
  return nullptr;
}

Status RemoteModels::Fetch(const RemoteModel& where, const ModelIdentity& expected,
                           const fs::path& into, const std::stop_token& stop) const {
  TRAWL_ASSIGN(const auto store, storage::OpenObjectStore(ForModels(settings_)));
  Fetcher fetcher(*store, static_cast<uint64_t>(settings_.max_model_bytes), stop);
  const fs::path entry = into / where.file();
  TRAWL_TRY(fetcher.Fetch(where.uri(), where.file(), expected.file_sha256, entry));
  if (!where.is_yaml()) return OkStatus();
  const auto files = engine::ReadPackageFiles(entry.string());
  if (!files) return Annotate(files.error(), "reading {}", where.ToPublicString());
  if (!expected.file_sha256.empty()) TRAWL_TRY(CheckPinsItsFiles(*files, where.ToPublicString()));
  for (const std::string& name : NamesOf(*files)) {
    TRAWL_ASSIGN(const std::string uri, where.UriOf(name));
    TRAWL_TRY(fetcher.Fetch(uri, name, DigestOf(*files, name), into / name));
  }
  return OkStatus();
}

Result<NamedModel> LoadNamedModel(const std::string& reference, const std::string& sha256,
                                  const Settings& settings, const std::stop_token& stop) {
  std::string lower = sha256;
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
  if (!lower.empty() && !IsSha256(lower))
    return Error(Code::kInvalidArgument, "--model-sha256: '{}' is not 64 hex digits", sha256);
  if (!IsRemoteModel(reference)) return LoadLocal(reference, lower);
  TRAWL_ASSIGN(const RemoteModel where, RemoteModel::Parse(reference));
  Settings impatient = settings;
  impatient.outage_patience_ms = 0;  // somebody is sitting there
  auto model = RemoteModels(impatient).Load(where, {{}, {}, lower}, stop);
  if (!model) return Annotate(model.error(), "loading model {}", where.ToPublicString());
  return NamedModel{where.uri(), std::move(*model)};
}

}  // namespace trawl::worker
