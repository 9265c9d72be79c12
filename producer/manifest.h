#pragma once
// Manifests: lists of keys or URIs, one a line, packed by gzip or not. Plain text takes the line as
// it stands (a key may begin with '#' or hold blanks); JSONL takes {"uri": …} or {"key": …} with
// optional "size" and "etag". Which of the two it is, the first line says. When a column is named,
// it is CSV, whose first line names the columns; "size" and "etag" are taken, too, if it has them.

#include <cstdint>
#include <istream>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "config/records.h"
#include "config/status.h"
#include "producer/gunzip_stream.h"

namespace trawl::producer {

/// Reads one manifest from front to back. Not thread-safe.
class ManifestReader {
 public:
  /// "-" is standard input. `source` says what absolute paths mean. `column`: of a CSV file, where
  /// the keys or URIs are; empty for other kinds. Errors: kNotFound.
  static Result<std::unique_ptr<ManifestReader>> Open(const std::string& path,
                                                      const std::string& source,
                                                      const std::string& column,
                                                      std::stop_token stop = {});
  /// Reads from `stream`, which outlives the reader and may end early once `stop` is requested.
  ManifestReader(std::istream& stream, std::string name, std::string source,
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

  Result<std::optional<std::string>> NextLine();
  /// How unpacking goes, if the manifest is packed.
  Status Unpacked() const;
  /// One line without its end, or as much of it as is too much.
  bool ReadLine(std::string& line);
  Result<ObjectRef> Parse(const std::string& line);
  Result<Columns> ReadHeader(const std::string& line) const;
  Result<ObjectRef> FromCsv(const std::string& line) const;
  ObjectRef FromText(std::string text) const;
  Result<ObjectRef> FromJson(std::string_view line) const;

  std::unique_ptr<std::istream> owned_;
  const GunzipStream* gunzip_ = nullptr;  // `stream_`, when it unpacks
  std::istream& stream_;
  const std::string name_;
  const std::string source_;
  const std::string column_;
  const std::stop_token stop_;
  std::optional<Columns> columns_;  // CSV, once its header was read
  bool is_jsonl_ = false;           // the first line decides
  uint64_t line_ = 0;
  uint64_t entries_ = 0;
  std::unique_ptr<Digest> digest_;
};

}  // namespace trawl::producer
