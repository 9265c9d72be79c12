#pragma once
// S3 Inventory: a bucket's own listing, made once a day or a week, as a manifest.json and packed
// CSV files without headers. It costs no list request, and a billion keys take no longer to start
// than ten.
// Format: docs.aws.amazon.com, "Amazon S3 Inventory", "Inventory list" and "Inventory manifest".

#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "config/records.h"
#include "config/settings.h"
#include "config/status.h"
#include "producer/document.h"
#include "producer/line_reader.h"

namespace trawl::producer {

/// What a manifest.json says.
struct Inventory {
  struct DataFile {
    std::string uri;
    uint64_t size_bytes = 0;
    std::string md5;  // hex
  };
  std::string name;                  // of the manifest, for messages
  std::string bucket;                // of the objects
  std::vector<std::string> columns;  // "Bucket", "Key", "Size", …
  std::vector<DataFile> files;
  /// Over the bytes of manifest.json. They hold the data files' digests, which are checked: the
  /// same digest means the same rows.
  std::string digest_hex;
};

/// Reads `location`, a file or s3://…; none when its name does not end in .json or it is no
/// inventory's manifest. The data files of a local one lie beside it, or where S3 puts them, in
/// ../data. A manifest.checksum beside it is held against it. Errors: kInvalidArgument (a broken
/// one, no column of keys), kUnimplemented (ORC, Parquet), kNotFound, kDataLoss (another checksum),
/// and those of DocumentStore::Read.
Result<std::optional<Inventory>> ReadInventory(const std::string& location,
                                               const Settings& settings, std::stop_token stop);

/// Reads the rows of one data file after the other. Not thread-safe.
class InventoryReader {
 public:
  InventoryReader(Inventory inventory, std::unique_ptr<DocumentStore> documents,
                  std::stop_token stop);

  /// Where the next row is: data files read to the end, and rows of the next one.
  struct Position {
    uint64_t files = 0, rows = 0;
  };

  /// Goes to where an earlier reader of the same inventory was. Files before it are not read again.
  /// Errors: those of Next.
  Status GoTo(Position position);
  Position position() const { return position_; }

  /// The next object that is there, or none at the end: older versions of objects, marks that they
  /// were deleted, and S3's empty folder/ markers are passed over. Errors: kDataLoss (a data file
  /// is not the one that the manifest means, or is damaged), kInvalidArgument naming the row, and
  /// those of DocumentStore::Read.
  Result<std::optional<ObjectRef>> Next();

 private:
  /// Where the cells are that count.
  struct Columns {
    size_t count = 0, key = 0;
    std::optional<size_t> bucket, size, etag, is_latest, is_delete_marker;

    static Columns Of(const std::vector<std::string>& names);
  };

  /// The line of the next row; goes on to the next file. None at the end.
  Result<std::optional<std::string>> NextLine();
  Status OpenFile();
  /// None: the row is about nothing that is there.
  Result<std::optional<ObjectRef>> Parse(const std::string& line) const;

  const Inventory inventory_;
  const std::unique_ptr<DocumentStore> documents_;
  const std::stop_token stop_;
  const Columns columns_;
  std::unique_ptr<LineReader> lines_;  // of the file that is open
  Position position_;
};

}  // namespace trawl::producer
