#include <filesystem>
#include <system_error>

#include "producer/inventory.h"
#include "producer/producer.h"

namespace trawl::producer {
namespace {

namespace fs = std::filesystem;

std::string WithSlash(std::string text) {
  if (!text.ends_with('/')) text += '/';
  return text;
}

Result<ResolvedSource> ResolveFolder(const std::string& path) {
  std::error_code error;
  const fs::path absolute = fs::canonical(path, error);
  if (error || !fs::is_directory(absolute, error))
    return Error(
        error ? Code::kNotFound : Code::kInvalidArgument, "source {}: {}", path,
        error ? "no such folder" : "not a folder; a single file goes through trawl classify");
  return ResolvedSource{"file://" + WithSlash(absolute.string()), ""};
}

Result<ResolvedSource> ResolveBucket(const std::string& uri, bool has_manifest) {
  const size_t begin = std::string_view("s3://").size();
  const size_t slash = uri.find('/', begin);
  const std::string bucket = uri.substr(begin, slash - begin);
  if (bucket.empty()) return Error(Code::kInvalidArgument, "source {}: names no bucket", uri);
  const std::string prefix = slash == std::string::npos ? "" : uri.substr(slash + 1);
  // A manifest's keys lie below the whole prefix; a listing's keys are whole, and the prefix only
  // selects.
  if (has_manifest)
    return ResolvedSource{prefix.empty() ? "s3://" + bucket + "/" : WithSlash(uri), ""};
  return ResolvedSource{"s3://" + bucket + "/", prefix};
}

}  // namespace

Result<ResolvedSource> ResolveSource(const std::string& source, bool has_manifest) {
  if (source.empty() && !has_manifest)
    return Error(Code::kInvalidArgument, "neither a source nor a manifest");
  if (source.empty()) return ResolveFolder(".");
  if (source.starts_with("s3://")) return ResolveBucket(source, has_manifest);
  if (source.starts_with("file://")) return ResolveFolder(source.substr(7));
  if (source.starts_with("http://") || source.starts_with("https://")) {
    if (!has_manifest)
      return Error(Code::kInvalidArgument,
                   "source {}: plain HTTP cannot be listed; give a --manifest", source);
    return ResolvedSource{WithSlash(source), ""};
  }
  if (const size_t scheme = source.find("://"); scheme != std::string::npos)
    return Error(Code::kInvalidArgument,
                 "source {}: unknown scheme '{}'; s3, http, https and file are known", source,
                 source.substr(0, scheme));
  return ResolveFolder(source);
}

Result<ResolvedSource> ResolveInput(const std::string& source, const std::string& manifest,
                                    const Settings& settings, std::stop_token stop) {
  TRAWL_ASSIGN(const std::optional<Inventory> inventory,
               ReadInventory(manifest, settings, std::move(stop)));
  if (!inventory) return ResolveSource(source, !manifest.empty());
  const std::string bucket = "s3://" + inventory->bucket + "/";
  TRAWL_ASSIGN(ResolvedSource resolved,
               ResolveSource(source.empty() ? bucket : source, /*has_manifest=*/false));
  if (resolved.source != bucket)
    return Error(Code::kInvalidArgument, "inventory {}: lists {}, the source is {}", manifest,
                 bucket, source);
  return resolved;
}

std::string InputName(const std::string& prefix, const std::string& manifest_path,
                      const std::string& manifest_column, const KeyFilter& filter) {
  std::string name = manifest_path.empty() ? "prefix " + prefix : "manifest " + manifest_path;
  if (!manifest_path.empty() && !prefix.empty()) name += " prefix " + prefix;
  if (!manifest_column.empty()) name += " column " + manifest_column;
  if (!filter.empty()) name += " " + filter.Text();
  return name;
}

}  // namespace trawl::producer
