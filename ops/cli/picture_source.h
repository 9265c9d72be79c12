#pragma once
// Pictures of a source in a fixed order that is fair to all of its parts, ready for a model.

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "config/records.h"
#include "config/settings.h"
#include "config/status.h"
#include "engine/model_package.h"
#include "ops/cli/signals.h"
#include "storage/object_store/object_store.h"
#include "worker/sandbox/decoder_pool.h"

namespace trawl::ops {

/// One that could be read.
struct PreparedPicture {
  std::string uri;
  std::string key;
  std::string content_digest;  // of the file's bytes
  std::vector<float> input;
};

/// Not thread-safe.
class PictureSource {
 public:
  /// `source`: a folder, s3://bucket/prefix, or a file that lists keys or URIs (a manifest).
  /// Objects come in the order of their keys' hashes, so that a few of them are spread over the
  /// whole source, and are the same each time. Errors: the store's; kResourceExhausted beyond a
  /// million.
  static Result<std::unique_ptr<PictureSource>> Open(const std::string& source,
                                                     storage::ObjectStore& store,
                                                     worker::DecoderPool& decoders,
                                                     const SignalStops& signals);

  /// Leaves out what is in `uris`.
  void Skip(const std::set<std::string>& uris);
  /// Up to `most` further pictures; fewer only at the end. Objects that are none, or cannot be
  /// read, are counted. Errors: kCancelled.
  Result<std::vector<PreparedPicture>> Next(size_t most, const engine::PreprocessSpec& spec,
                                            size_t floats);

  size_t unreadable() const { return unreadable_; }
  /// Why the last of them was.
  const std::string& last_problem() const { return last_problem_; }

 private:
  PictureSource(storage::ObjectStore& store, worker::DecoderPool& decoders,
                const SignalStops& signals)
      : store_(store), decoders_(decoders), signals_(signals) {}
  Status List(const std::string& source);
  Status ReadManifest(const std::string& path);
  Status Add(std::string source, ObjectRef object);
  std::vector<ObjectResult<storage::Download>> Fetch(size_t first, size_t count);

  struct Object {
    std::string uri;
    ObjectRef ref;
  };
  storage::ObjectStore& store_;
  worker::DecoderPool& decoders_;
  const SignalStops& signals_;
  std::vector<Object> objects_;
  size_t next_ = 0;
  size_t unreadable_ = 0;
  std::string last_problem_;
};

}  // namespace trawl::ops
