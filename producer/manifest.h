#pragma once
// Manifests: lists of keys or URIs, one a line, packed by gzip or not. Plain text takes the line as
// it stands (a key may begin with '#' or hold blanks); JSONL takes {"uri": …} or {"key": …} with
// optional "size" and "etag". Which of the two it is, the first line says. When a column is named,
// it is CSV, whose first line names the columns; "size" and "etag" are taken, too, if it has them.
// A bucket's own lists, which say what they are in a manifest.json, are inventory.h's.

#include <cstdint>
#include <istream>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "config/records.h"
#include "config/settings.h"
#include "config/status.h"
#include "producer/line_reader.h"

namespace trawl::producer {

/// Reads one manifest from front to back. Not thread-safe.
class ManifestReader {
 public:
  /// `location`: a file, s3://…, or "-", standard input. `source` says what absolute paths mean.
  /// `column`: of a CSV file, where the keys or URIs are; empty for other kinds. Errors: kNotFound,
  /// and those of DocumentStore::Read.
  static Result<std::unique_ptr<ManifestReader>> Open(const std::string& location,
                                                      const std::string& source,
                                                      const std::string& column,
                                                      const Settings& settings = {},
                                                      std::stop_token stop = {});
  /// `stream` may end early once `stop` is requested.
  ManifestReader(std::unique_ptr<std::istream> stream, std::string name, std::string source,
                 std::string column = "", std::stop_token stop = {});
  ~ManifestReader();

  /// The next entry, or none at the end. Blank lines do not count. Errors: kInvalidArgument naming
  /// the line; kDataLoss when gzip's data is damaged or reading stops before the end; kCancelled.
  Result<std::optional<ObjectRef>> Next();

  /// Entries returned so far.
  uint64_t entries() const { return entries_; }
  /// Digest of the entries returned so far, in order: two manifests with the same prefix have the
  /// same.
  std::string DigestHex() const;

 private:
  struct Digest;

  /// Where a CSV file's cells are that count.
  struct Columns {
    size_t count = 0, key = 0;
    std::optional<size_t> size, etag;
  };

  Result<ObjectRef> Parse(const std::string& line);
  Result<Columns> ReadHeader(const std::string& line) const;
  Result<ObjectRef> FromCsv(const std::string& line) const;
  ObjectRef FromText(std::string text) const;
  Result<ObjectRef> FromJson(std::string_view line) const;

  LineReader lines_;
  const std::string source_;
  const std::string column_;
  std::optional<Columns> columns_;  // CSV, once its header was read
  bool is_jsonl_ = false;           // the first line decides
  uint64_t entries_ = 0;
  std::unique_ptr<Digest> digest_;
};

}  // namespace trawl::producer
