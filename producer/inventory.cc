#include "producer/inventory.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <xxhash.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "config/json_reader.h"
#include "producer/csv_row.h"
#include "storage/object_store/uri.h"

namespace trawl::producer {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxManifestBytes = 64 << 20;  // 200 bytes a data file, each of up to 10^6 keys
constexpr size_t kMaxFiles = 300'000;
constexpr size_t kMaxChecksumBytes = 100;  // an MD5 and a line's end
constexpr int kMaxDepth = 4;

/// "Bucket, Key, Size" as its names.
std::vector<std::string> SplitSchema(std::string_view schema) {
  std::vector<std::string> names;
  while (!schema.empty()) {
    const size_t end = std::min(schema.find(','), schema.size());
    std::string_view name = schema.substr(0, end);
    while (name.starts_with(' ')) name.remove_prefix(1);
    while (name.ends_with(' ')) name.remove_suffix(1);
    names.emplace_back(name);
    schema.remove_prefix(std::min(end + 1, schema.size()));
  }
  return names;
}

std::string Md5Hex(const std::vector<std::byte>& bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest, &length, EVP_md5(), nullptr) != 1) return {};
  return fmt::format("{:02x}", fmt::join(digest, digest + length, ""));
}

std::string DigestHex(const std::vector<std::byte>& bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

/// Where the data file with this key is to be read. Of a local one the name alone counts: a key
/// must not be a path that leads elsewhere.
Result<std::string> DataFileUri(const std::string& manifest, const std::string& key) {
  if (IsRemote(manifest)) {
    TRAWL_ASSIGN(const storage::S3Uri uri, storage::ParseS3Uri(manifest));
    return "s3://" + uri.bucket + "/" + key;
  }
  std::error_code error;
  const fs::path folder = fs::absolute(manifest, error).parent_path();
  const fs::path name = fs::path(key).filename();
  for (const fs::path& place : {folder / name, folder.parent_path() / "data" / name})
    if (fs::is_regular_file(place, error)) return "file://" + place.string();
  return Error(Code::kNotFound, "its data file {} lies neither beside it nor in ../data",
               name.string());
}

Status CheckFormat(const Inventory& inventory, const std::string& format) {
  if (format != "CSV")
    return Error(Code::kUnimplemented,
                 "its data files are {}; CSV can be read, which the inventory's configuration sets",
                 format);
  const auto has = [&](const char* name) {
    return std::ranges::find(inventory.columns, name) != inventory.columns.end();
  };
  if (!has("Key")) return Error(Code::kInvalidArgument, "fileSchema names no column Key");
  // An inventory of all versions always says which is the latest. Without, a key would be many.
  if (has("VersionId") && !has("IsLatest"))
    return Error(Code::kInvalidArgument, "fileSchema has VersionId and no IsLatest");
  return OkStatus();
}

Result<Inventory> Interpret(const std::string& location, const nlohmann::json& manifest) {
  Status status;
  JsonReader reader(manifest, status);
  Inventory inventory;
  inventory.name = "inventory " + location;
  inventory.bucket = reader.Text("sourceBucket");
  inventory.columns = SplitSchema(reader.Text("fileSchema"));
  const std::string format = reader.Text("fileFormat");
  std::set<std::string> keys;
  reader.ForEach("files", kMaxFiles, [&](JsonReader file) {
    std::string key = file.Text("key");
    if (!keys.insert(key).second) file.Fail("key", "named twice");
    inventory.files.push_back(
        {std::move(key), file.Whole("size", 0, kMaxObjectBytes), file.Text("MD5checksum")});
  });
  if (!status.ok()) return tl::unexpected(status);
  TRAWL_TRY(CheckFormat(inventory, format));
  for (Inventory::DataFile& file : inventory.files) {
    TRAWL_ASSIGN(file.uri, DataFileUri(location, file.uri));
  }
  return inventory;
}

Result<std::string> DocumentUri(const std::string& location) {
  if (IsRemote(location)) return location;
  std::error_code error;
  const fs::path path = fs::absolute(location, error);
  if (error) return Error(Code::kNotFound, "{}", error.message());
  return "file://" + path.string();
}

/// S3 lays the MD5 of manifest.json beside it, as the last file of an inventory: by then the
/// inventory is whole. One that was copied here may have come without.
Status CheckManifest(const std::string& uri, const std::vector<std::byte>& bytes,
                     DocumentStore& documents, const std::stop_token& stop) {
  constexpr std::string_view kName = "/manifest.json";
  if (!uri.ends_with(kName)) return OkStatus();
  const std::string beside = uri.substr(0, uri.size() - kName.size()) + "/manifest.checksum";
  const Result<std::vector<std::byte>> read = documents.Read(beside, std::nullopt, stop);
  if (!read && read.error().code() == Code::kNotFound) return OkStatus();
  if (!read) return Annotate(read.error(), "reading {}", beside);
  std::string wanted(reinterpret_cast<const char*>(read->data()),
                     std::min(read->size(), kMaxChecksumBytes));
  while (!wanted.empty() && std::isspace(static_cast<unsigned char>(wanted.back())) != 0)
    wanted.pop_back();
  std::ranges::transform(wanted, wanted.begin(), [](unsigned char c) { return std::tolower(c); });
  const std::string md5 = Md5Hex(bytes);
  if (md5 == wanted) return OkStatus();
  return Error(Code::kDataLoss, "it has the MD5 {}, manifest.checksum says {}", md5,
               storage::Printable(wanted, 64));
}

}  // namespace

Result<std::optional<Inventory>> ReadInventory(const std::string& location,
                                               const Settings& settings, std::stop_token stop) {
  std::error_code error;
  if (!location.ends_with(".json") ||
      (!IsRemote(location) && !(fs::file_size(location, error) <= kMaxManifestBytes)))
    return std::nullopt;
  const auto read = [&]() -> Result<std::optional<Inventory>> {
    TRAWL_ASSIGN(const std::string uri, DocumentUri(location));
    TRAWL_ASSIGN(const auto documents, DocumentStore::Open(settings));
    TRAWL_ASSIGN(const std::vector<std::byte> bytes, documents->Read(uri, std::nullopt, stop));
    TRAWL_TRY(CheckManifest(uri, bytes, *documents, stop));
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const Result<nlohmann::json> parsed = ParseJsonObject(text, kMaxManifestBytes, kMaxDepth);
    // Anything else is lines of JSON, whose reader says what is wrong with them.
    if (!parsed || !parsed->contains("fileSchema")) return std::nullopt;
    TRAWL_ASSIGN(Inventory inventory, Interpret(location, *parsed));
    inventory.digest_hex = DigestHex(bytes);
    return inventory;
  };
  Result<std::optional<Inventory>> inventory = read();
  if (!inventory) return Annotate(inventory.error(), "inventory {}", location);
  return inventory;
}

InventoryReader::Columns InventoryReader::Columns::Of(const std::vector<std::string>& names) {
  const auto find = [&names](std::string_view name) -> std::optional<size_t> {
    const auto found = std::ranges::find(names, name);
    if (found == names.end()) return std::nullopt;
    return static_cast<size_t>(found - names.begin());
  };
  return {.count = names.size(),
          .key = find("Key").value(),
          .bucket = find("Bucket"),
          .size = find("Size"),
          .etag = find("ETag"),
          .is_latest = find("IsLatest"),
          .is_delete_marker = find("IsDeleteMarker")};
}

InventoryReader::InventoryReader(Inventory inventory, std::unique_ptr<DocumentStore> documents,
                                 std::stop_token stop)
    : inventory_(std::move(inventory)),
      documents_(std::move(documents)),
      stop_(std::move(stop)),
      columns_(Columns::Of(inventory_.columns)) {}

Status InventoryReader::GoTo(Position position) {
  position_ = {std::min<uint64_t>(position.files, inventory_.files.size()), 0};
  lines_.reset();
  while (position_.rows < position.rows) {
    TRAWL_ASSIGN(const std::optional<std::string> line, NextLine());
    if (!line || position_.files != position.files)
      return Error(Code::kDataLoss, "{}: data file {} has fewer than {} rows", inventory_.name,
                   position.files + 1, position.rows);
  }
  return OkStatus();
}

Status InventoryReader::OpenFile() {
  const Inventory::DataFile& file = inventory_.files[position_.files];
  Result<std::vector<std::byte>> bytes = documents_->Read(file.uri, file.size_bytes, stop_);
  if (!bytes) return Annotate(bytes.error(), "{}: reading data file {}", inventory_.name, file.uri);
  if (const std::string md5 = Md5Hex(*bytes); md5 != file.md5)
    return Error(Code::kDataLoss, "{}: data file {} has the MD5 {}, the manifest says {}",
                 inventory_.name, file.uri, md5, file.md5);
  lines_ = std::make_unique<LineReader>(std::make_unique<BytesStream>(std::move(*bytes)), file.uri,
                                        stop_);
  return OkStatus();
}

Result<std::optional<std::string>> InventoryReader::NextLine() {
  for (; position_.files < inventory_.files.size(); position_ = {position_.files + 1, 0}) {
    if (!lines_) TRAWL_TRY(OpenFile());
    TRAWL_ASSIGN(std::optional<std::string> line, lines_->Next());
    if (line) {
      ++position_.rows;
      return line;
    }
    lines_.reset();
  }
  return std::nullopt;
}

Result<std::optional<ObjectRef>> InventoryReader::Next() {
  while (true) {
    TRAWL_ASSIGN(const std::optional<std::string> line, NextLine());
    if (!line) return std::nullopt;
    Result<std::optional<ObjectRef>> object = Parse(*line);
    if (!object) return Annotate(object.error(), "{}, line {}", lines_->name(), lines_->line());
    if (*object) return object;
  }
}

Result<std::optional<ObjectRef>> InventoryReader::Parse(const std::string& line) const {
  TRAWL_ASSIGN(std::vector<std::string> cells, ParseCsvRow(line));
  if (cells.size() != columns_.count)
    return Error(Code::kInvalidArgument, "{} cells; fileSchema names {}", cells.size(),
                 columns_.count);
  const auto is = [&cells](std::optional<size_t> column, std::string_view value) {
    return column && cells[*column] == value;
  };
  if (is(columns_.is_latest, "false") || is(columns_.is_delete_marker, "true")) return std::nullopt;
  if (columns_.bucket && cells[*columns_.bucket] != inventory_.bucket)
    return Error(Code::kInvalidArgument, "an object of bucket '{}' in an inventory of '{}'",
                 cells[*columns_.bucket], inventory_.bucket);
  const std::optional<std::string> key = storage::FormDecode(cells[columns_.key]);
  if (!key || key->empty())
    return Error(Code::kInvalidArgument, "'{}' is no URL-encoded key", cells[columns_.key]);
  ObjectRef object{.key = *key, .uri = "", .size_bytes = {}, .etag = ""};
  if (columns_.size && !cells[*columns_.size].empty()) {
    TRAWL_ASSIGN(object.size_bytes, ParseSize(cells[*columns_.size]));
  }
  if (columns_.etag) object.etag = std::move(cells[*columns_.etag]);
  if (object.key.ends_with('/') && object.size_bytes == 0) return std::nullopt;
  return object;
}

}  // namespace trawl::producer
