#include "producer/manifest.h"

#include <fmt/format.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "config/json_reader.h"
#include "config/suggest.h"
#include "producer/csv_row.h"
#include "producer/document.h"
#include "producer/fd_stream.h"

namespace trawl::producer {
namespace {

constexpr int kMaxJsonDepth = 16;  // users' own fields may be nested

bool IsAbsoluteUri(std::string_view text) {
  for (const std::string_view scheme : {"s3://", "http://", "https://", "file://"})
    if (text.starts_with(scheme)) return true;
  return false;
}

}  // namespace

struct ManifestReader::Digest {
  Digest() : state(XXH3_createState()) { XXH3_128bits_reset(state); }
  ~Digest() { XXH3_freeState(state); }
  Digest(const Digest&) = delete;
  Digest& operator=(const Digest&) = delete;

  XXH3_state_t* state;
};

Result<std::unique_ptr<ManifestReader>> ManifestReader::Open(const std::string& location,
                                                             const std::string& source,
                                                             const std::string& column,
                                                             const Settings& settings,
                                                             std::stop_token stop) {
  const auto read = [&](std::unique_ptr<std::istream> stream, std::string name) {
    return std::make_unique<ManifestReader>(std::move(stream), std::move(name), source, column,
                                            stop);
  };
  if (location == "-")
    return read(std::make_unique<FdStream>(STDIN_FILENO, stop), "standard input");
  if (IsRemote(location)) {
    TRAWL_ASSIGN(const auto documents, DocumentStore::Open(settings));
    Result<std::vector<std::byte>> bytes = documents->Read(location, std::nullopt, stop);
    if (!bytes) return Annotate(bytes.error(), "manifest {}", location);
    return read(std::make_unique<BytesStream>(std::move(*bytes)), location);
  }
  std::error_code error;
  if (std::filesystem::is_directory(location, error))
    return Error(Code::kInvalidArgument, "manifest {}: is a folder", location);
  auto file = std::make_unique<std::ifstream>(location, std::ios::binary);
  if (!*file) return Error(Code::kNotFound, "manifest {}: no such file, or not readable", location);
  return read(std::move(file), location);
}

ManifestReader::ManifestReader(std::unique_ptr<std::istream> stream, std::string name,
                               std::string source, std::string column, std::stop_token stop)
    : lines_(std::move(stream), std::move(name), std::move(stop)),
      source_(std::move(source)),
      column_(std::move(column)),
      digest_(std::make_unique<Digest>()) {}

ManifestReader::~ManifestReader() = default;

Result<std::optional<ObjectRef>> ManifestReader::Next() {
  TRAWL_ASSIGN(std::optional<std::string> line, lines_.Next());
  if (line && !column_.empty() && !columns_) {
    Result<Columns> columns = ReadHeader(*line);
    if (!columns) return Annotate(columns.error(), "{}, line {}", lines_.name(), lines_.line());
    columns_ = *columns;
    TRAWL_ASSIGN(line, lines_.Next());
  }
  if (!line) return std::nullopt;
  Result<ObjectRef> entry = Parse(*line);
  if (!entry) return Annotate(entry.error(), "{}, line {}", lines_.name(), lines_.line());
  XXH3_128bits_update(digest_->state, line->data(), line->size());
  XXH3_128bits_update(digest_->state, "\n", 1);
  ++entries_;
  return std::move(*entry);
}

std::string ManifestReader::DigestHex() const {
  const XXH128_hash_t hash = XXH3_128bits_digest(digest_->state);
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

Result<ObjectRef> ManifestReader::Parse(const std::string& line) {
  // Neither a path nor a key can have it; pictures, models and archives do, soon.
  if (line.find('\0') != std::string::npos)
    return Error(Code::kInvalidArgument, "a NUL byte: this is no list of keys");
  if (columns_) return FromCsv(line);
  if (entries_ == 0) is_jsonl_ = line.starts_with('{');
  if (is_jsonl_) return FromJson(line);
  return FromText(line);
}

Result<ManifestReader::Columns> ManifestReader::ReadHeader(const std::string& line) const {
  TRAWL_ASSIGN(const std::vector<std::string> names, ParseCsvRow(line));
  const auto find = [&names](std::string_view name) -> std::optional<size_t> {
    const auto found = std::ranges::find(names, name);
    if (found == names.end()) return std::nullopt;
    return static_cast<size_t>(found - names.begin());
  };
  const auto key = find(column_);
  if (!key)
    return Error(Code::kInvalidArgument, "the header names no column '{}'{}", column_,
                 DidYouMean(column_, names));
  return Columns{names.size(), *key, find("size"), find("etag")};
}

Result<ObjectRef> ManifestReader::FromCsv(const std::string& line) const {
  TRAWL_ASSIGN(std::vector<std::string> cells, ParseCsvRow(line));
  if (cells.size() != columns_->count)
    return Error(Code::kInvalidArgument, "{} cells; the header has {}", cells.size(),
                 columns_->count);
  if (cells[columns_->key].empty())
    return Error(Code::kInvalidArgument, "nothing in column '{}'", column_);
  ObjectRef object = FromText(std::move(cells[columns_->key]));
  if (columns_->size && !cells[*columns_->size].empty()) {
    TRAWL_ASSIGN(object.size_bytes, ParseSize(cells[*columns_->size]));
  }
  if (columns_->etag) object.etag = std::move(cells[*columns_->etag]);
  return object;
}

ObjectRef ManifestReader::FromText(std::string text) const {
  ObjectRef object;
  if (IsAbsoluteUri(text))
    object.uri = text;
  else if (text.starts_with('/') && source_.starts_with("file://"))
    object.uri = "file://" + text;
  object.key = std::move(text);
  return object;
}

Result<ObjectRef> ManifestReader::FromJson(std::string_view line) const {
  TRAWL_ASSIGN(const nlohmann::json parsed,
               ParseJsonObject(line, LineReader::kMaxLineBytes, kMaxJsonDepth));
  Status status;
  JsonReader reader(parsed, status);
  const char* name = reader.Has("uri") ? "uri" : "key";
  std::string text = reader.Text(name);
  if (text.empty()) reader.Fail(name, "empty");
  ObjectRef object = FromText(std::move(text));
  if (reader.Has("size")) object.size_bytes = reader.Whole("size", 0, kMaxObjectBytes);
  object.etag = reader.TextOr("etag", "");
  if (!status.ok()) return tl::unexpected(status);
  return object;
}

}  // namespace trawl::producer
