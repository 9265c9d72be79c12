#include "worker/models/remote_model.h"

#include "engine/model_package.h"
#include "storage/object_store/uri.h"

namespace trawl::worker {
namespace {

constexpr std::string_view kDefaultFile = "model.yaml";

bool IsHttp(std::string_view text) {
  return text.starts_with("http://") || text.starts_with("https://");
}

/// A name that is a file's own: it must not be another place on the disk that keeps it.
bool IsFileName(std::string_view name) {
  return !name.empty() && name != "." && name != ".." &&
         name.find('\0') == std::string_view::npos && name.size() <= 255;
}

/// The last part of a path that ends in `/`, or "".
std::string LastFolder(std::string_view path) {
  path.remove_suffix(1);
  const size_t slash = path.rfind('/');
  return std::string(path.substr(slash == std::string_view::npos ? 0 : slash + 1));
}

}  // namespace

bool IsRemoteModel(std::string_view reference) {
  return reference.starts_with("s3://") || IsHttp(reference);
}

Result<RemoteModel> RemoteModel::Parse(std::string_view reference) {
  RemoteModel model;
  model.http_ = IsHttp(reference);
  std::string path;  // everything but the query
  std::string root;  // what a model in the topmost folder is called after
  if (model.http_) {
    TRAWL_ASSIGN(const storage::HttpUrl url, storage::ParseHttpUrl(reference));
    path = url.ToPublicString();
    root = url.host;
    if (!url.query.empty()) model.query_ = "?" + url.query;
  } else {
    TRAWL_ASSIGN(const storage::S3Uri uri, storage::ParseS3Uri(reference));
    path = "s3://" + uri.bucket + "/" + uri.key;
    root = uri.bucket;
  }
  if (!path.ends_with(".onnx") && !engine::IsModelYaml(path)) {
    if (model.http_ && !path.ends_with('/'))
      return Error(Code::kInvalidArgument,
                   "{} is no model: give an .onnx, a model.yaml, or a folder with / at its end",
                   storage::Printable(path, 200));
    if (path.ends_with("-symbol.json") || path.ends_with(".params"))
      return Error(Code::kInvalidArgument, "{}: give the model.yaml that names both of its files",
                   storage::Printable(path, 200));
    if (!path.ends_with('/')) path += '/';
    path += kDefaultFile;
  }
  const size_t slash = path.rfind('/');
  model.base_ = path.substr(0, slash + 1);
  model.file_ = path.substr(slash + 1);
  const size_t top = path.find('/', path.find("://") + 3);
  model.folder_ = top == slash ? root : LastFolder(model.base_);
  if (!IsFileName(model.file_) || !IsFileName(model.folder_))
    return Error(Code::kInvalidArgument, "{} names no file", model.ToPublicString());
  return model;
}

bool RemoteModel::is_yaml() const { return engine::IsModelYaml(file_); }

std::string RemoteModel::ToPublicString() const { return storage::Printable(base_ + file_, 300); }

Result<std::string> RemoteModel::UriOf(std::string_view name) const {
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('/', begin), name.size());
    if (!IsFileName(name.substr(begin, end - begin)))
      return Error(Code::kInvalidArgument, "'{}' does not lie below the folder of {}",
                   storage::Printable(name, 200), file_);
    begin = end + 1;
  }
  return base_ + (http_ ? storage::PercentEncodePath(name) : std::string(name)) + query_;
}

}  // namespace trawl::worker
