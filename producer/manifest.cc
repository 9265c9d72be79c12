#include "producer/manifest.h"

#include <fmt/format.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "config/json_reader.h"
#include "config/suggest.h"
#include "producer/csv_row.h"
#include "producer/fd_stream.h"

namespace trawl::producer {
namespace {

constexpr size_t kMaxLineBytes = 64 << 10;  // S3 keys end at 1 024 bytes, URIs at 8 kB in practice
constexpr uint64_t kMaxObjectBytes = 1ULL << 53;
constexpr int kMaxJsonDepth = 16;  // users' own fields may be nested
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

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

Result<std::unique_ptr<ManifestReader>> ManifestReader::Open(const std::string& path,
                                                             const std::string& source,
                                                             const std::string& column,
                                                             std::stop_token stop) {
  if (path == "-") {
    auto stream = std::make_unique<FdStream>(STDIN_FILENO, stop);
    auto reader = std::make_unique<ManifestReader>(*stream, "standard input", source, column, stop);
    reader->owned_ = std::move(stream);
    return reader;
  }
  std::error_code error;
  if (std::filesystem::is_directory(path, error))
    return Error(Code::kInvalidArgument, "manifest {}: is a folder", path);
  std::unique_ptr<std::istream> file = std::make_unique<std::ifstream>(path, std::ios::binary);
  if (!*file) return Error(Code::kNotFound, "manifest {}: no such file, or not readable", path);
  const GunzipStream* gunzip = nullptr;
  if (IsGzip(*file)) {
    auto unpacked = std::make_unique<GunzipStream>(std::move(file));
    gunzip = unpacked.get();
    file = std::move(unpacked);
  }
  auto reader = std::make_unique<ManifestReader>(*file, path, source, column, stop);
  reader->owned_ = std::move(file);
  reader->gunzip_ = gunzip;
  return reader;
}

ManifestReader::ManifestReader(std::istream& stream, std::string name, std::string source,
                               std::string column, std::stop_token stop)
    : stream_(stream),
      name_(std::move(name)),
      source_(std::move(source)),
      column_(std::move(column)),
      stop_(std::move(stop)),
      digest_(std::make_unique<Digest>()) {}

ManifestReader::~ManifestReader() = default;

Result<std::optional<ObjectRef>> ManifestReader::Next() {
  TRAWL_ASSIGN(std::optional<std::string> line, NextLine());
  if (line && !column_.empty() && !columns_) {
    Result<Columns> columns = ReadHeader(*line);
    if (!columns) return Annotate(columns.error(), "{}, line {}", name_, line_);
    columns_ = *columns;
    TRAWL_ASSIGN(line, NextLine());
  }
  if (!line) return std::nullopt;
  Result<ObjectRef> entry = Parse(*line);
  if (!entry) return Annotate(entry.error(), "{}, line {}", name_, line_);
  XXH3_128bits_update(digest_->state, line->data(), line->size());
  XXH3_128bits_update(digest_->state, "\n", 1);
  ++entries_;
  return std::move(*entry);
}

std::string ManifestReader::DigestHex() const {
  const XXH128_hash_t hash = XXH3_128bits_digest(digest_->state);
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

Result<std::optional<std::string>> ManifestReader::NextLine() {
  std::string line;
  while (ReadLine(line)) {
    // What was read when a stop or damage came may be half a line.
    if (stop_.stop_requested() || stream_.bad() || !Unpacked().ok()) break;
    ++line_;
    if (line_ == 1 && line.starts_with(kByteOrderMark)) line.erase(0, kByteOrderMark.size());
    if (line.ends_with('\r')) line.pop_back();
    if (line.size() > kMaxLineBytes)
      return Error(Code::kInvalidArgument, "{}, line {}: longer than {} bytes", name_, line_,
                   kMaxLineBytes);
    if (!line.empty()) return line;
  }
  if (stop_.stop_requested()) return Error(Code::kCancelled, "interrupted while reading {}", name_);
  if (stream_.bad())
    return Error(Code::kDataLoss, "{}: reading stopped after line {}", name_, line_);
  if (!Unpacked().ok()) return Annotate(Unpacked(), "{}, after line {}", name_, line_);
  return std::nullopt;
}

Status ManifestReader::Unpacked() const {
  return gunzip_ == nullptr ? OkStatus() : gunzip_->status();
}

bool ManifestReader::ReadLine(std::string& line) {
  line.clear();
  // One byte more, so that a line that is too long can be told from the longest.
  for (int c = stream_.get(); c != std::istream::traits_type::eof(); c = stream_.get()) {
    if (c == '\n') return true;
    line.push_back(static_cast<char>(c));
    if (line.size() > kMaxLineBytes + 1) return true;
  }
  return !line.empty();
}

Result<ObjectRef> ManifestReader::Parse(const std::string& line) {
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
    const std::string& text = cells[*columns_->size];
    uint64_t size = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
    if (error != std::errc() || end != text.data() + text.size() || size > kMaxObjectBytes)
      return Error(Code::kInvalidArgument, "'{}' is no size in bytes", text);
    object.size_bytes = size;
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
  TRAWL_ASSIGN(const nlohmann::json parsed, ParseJsonObject(line, kMaxLineBytes, kMaxJsonDepth));
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
