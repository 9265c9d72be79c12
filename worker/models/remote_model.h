#pragma once
// Which URIs name a model, and which URI each of its files has.

#include <string>
#include <string_view>

#include "config/status.h"

namespace trawl::worker {

/// True for s3:// and http(s)://: anything else is a path of this machine.
bool IsRemoteModel(std::string_view reference);

/// A model that lies elsewhere: one .onnx file, or a model.yaml and the files that it names beside
/// it. Immutable.
class RemoteModel {
 public:
  /// `reference`: s3://bucket/….onnx or ….yaml; s3://bucket/prefix, which is a folder with a
  /// model.yaml; http(s)://host/….onnx, ….yaml, or a folder with `/` at its end. A query stays with
  /// every file. Errors: kInvalidArgument.
  static Result<RemoteModel> Parse(std::string_view reference);

  bool is_http() const { return http_; }
  bool is_yaml() const;
  /// Of the model.yaml or the .onnx, as messages carry it.
  std::string uri() const { return base_ + file_ + query_; }
  /// The same without the query, on one line: for people.
  std::string ToPublicString() const;

  /// The last part of uri()'s path.
  const std::string& file() const { return file_; }
  /// What the folder that the model lies in is called: the name of a package that gives itself
  /// none.
  const std::string& folder() const { return folder_; }

  /// Of a file that model.yaml calls `name`. Errors: kInvalidArgument unless it lies below the
  /// model.yaml's folder.
  Result<std::string> UriOf(std::string_view name) const;

 private:
  RemoteModel() = default;

  bool http_ = false;
  std::string base_;  // everything before the file, with `/` at its end
  std::string file_, folder_;
  std::string query_;  // with its `?`, or empty
};

}  // namespace trawl::worker
