#include "producer/manifest.h"

#include <fmt/format.h>
#include <unistd.h>
#include <xxhash.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "config/json_reader.h"
#include "producer/fd_stream.h"

namespace trawl::producer {
namespace {

constexpr size_t kMaxLineBytes = 64 << 10;  // S3 keys end at 1 024 bytes, URIs at 8 kB in practice
constexpr int kMaxJsonDepth = 16;           // users' own fields may be nested
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
                                                             std::stop_token stop) {
  if (path == "-") {
    auto stream = std::make_unique<FdStream>(STDIN_FILENO, stop);
    auto reader = std::make_unique<ManifestReader>(*stream, "standard input", source, stop);
    reader->owned_ = std::move(stream);
    return reader;
  }
  std::error_code error;
  if (std::filesystem::is_directory(path, error))
    return Error(Code::kInvalidArgument, "manifest {}: is a folder", path);
  auto file = std::make_unique<std::ifstream>(path, std::ios::binary);
  if (!*file) return Error(Code::kNotFound, "manifest {}: no such file, or not readable", path);
  auto reader = std::make_unique<ManifestReader>(*file, path, source, stop);
  reader->owned_ = std::move(file);
  return reader;
}

ManifestReader::ManifestReader(std::istream& stream, std::string name, std::string source,
                               std::stop_token stop)
    : stream_(stream),
      name_(std::move(name)),
      source_(std::move(source)),
      stop_(std::move(stop)),
      digest_(std::make_unique<Digest>()) {}

ManifestReader::~ManifestReader() = default;

Result<std::optional<ObjectRef>> ManifestReader::Next() {
  TRAWL_ASSIGN(const std::optional<std::string> line, NextLine());
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
  while (std::getline(stream_, line)) {
    // What was read when a stop came may be half a line.
    if (stop_.stop_requested()) break;
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
  return std::nullopt;
}

Result<ObjectRef> ManifestReader::Parse(const std::string& line) {
  if (entries_ == 0) is_jsonl_ = line.starts_with('{');
  if (is_jsonl_) return FromJson(line);
  return FromText(line);
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
  if (reader.Has("size")) object.size_bytes = reader.Whole("size", 0, 1ULL << 53);
  object.etag = reader.TextOr("etag", "");
  if (!status.ok()) return tl::unexpected(status);
  return object;
}

}  // namespace trawl::producer
