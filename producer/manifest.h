#pragma once
// Manifests: lists of keys or URIs, one a line. Plain text takes the line as it stands (a key may
// begin with '#' or hold blanks); JSONL takes {"uri": …} or {"key": …} with optional "size" and
// "etag". Which of the two it is, the first line says.

#include <cstdint>
#include <istream>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "config/records.h"
#include "config/status.h"

namespace trawl::producer {

/// Reads one manifest from front to back. Not thread-safe.
class ManifestReader {
 public:
  /// "-" is standard input. `source` says what absolute paths mean. Errors: kNotFound.
  static Result<std::unique_ptr<ManifestReader>> Open(const std::string& path,
                                                      const std::string& source,
                                                      std::stop_token stop = {});
  /// Reads from `stream`, which outlives the reader and may end early once `stop` is requested.
  ManifestReader(std::istream& stream, std::string name, std::string source,
                 std::stop_token stop = {});
  ~ManifestReader();

  /// The next entry, or none at the end. Blank lines do not count. Errors: kInvalidArgument naming
  /// the line; kDataLoss when reading stops before the end; kCancelled.
  Result<std::optional<ObjectRef>> Next();

  /// Entries returned so far.
  uint64_t entries() const { return entries_; }
  /// Digest of the entries returned so far, in order: two manifests with the same prefix have the
  /// same.
  std::string DigestHex() const;

 private:
  struct Digest;

  Result<std::optional<std::string>> NextLine();
  Result<ObjectRef> Parse(const std::string& line);
  ObjectRef FromText(std::string text) const;
  Result<ObjectRef> FromJson(std::string_view line) const;

  std::unique_ptr<std::istream> owned_;
  std::istream& stream_;
  const std::string name_;
  const std::string source_;
  const std::stop_token stop_;
  bool is_jsonl_ = false;  // the first line decides
  uint64_t line_ = 0;
  uint64_t entries_ = 0;
  std::unique_ptr<Digest> digest_;
};

}  // namespace trawl::producer
