#include "ops/cli/picture_source.h"

#include <openssl/sha.h>

#include <algorithm>
#include <filesystem>
#include <latch>

#include "producer/manifest.h"
#include "producer/producer.h"

namespace trawl::ops {
namespace {

constexpr int kPageKeys = 1000;
constexpr size_t kMostObjects = 1'000'000;
constexpr size_t kFetchesAtOnce = 16;

std::string Sha256(const void* bytes, size_t count) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(static_cast<const unsigned char*>(bytes), count, digest);
  return fmt::format("{:02x}", fmt::join(digest, ""));
}

}  // namespace

Result<std::unique_ptr<PictureSource>> PictureSource::Open(const std::string& source,
                                                           storage::ObjectStore& store,
                                                           worker::DecoderPool& decoders,
                                                           const SignalStops& signals) {
  auto pictures = std::unique_ptr<PictureSource>(new PictureSource(store, decoders, signals));
  std::error_code ignored;
  const bool manifest = std::filesystem::is_regular_file(source, ignored);
  TRAWL_TRY(manifest ? pictures->ReadManifest(source) : pictures->List(source));
  std::vector<std::pair<std::string, size_t>> order;
  for (size_t i = 0; i < pictures->objects_.size(); ++i) {
    const std::string& key = pictures->objects_[i].ref.key;
    order.emplace_back(Sha256(key.data(), key.size()), i);
  }
  std::ranges::sort(order);
  std::vector<Object> objects;
  for (const auto& entry : order) objects.push_back(std::move(pictures->objects_[entry.second]));
  pictures->objects_ = std::move(objects);
  return pictures;
}

Status PictureSource::Add(std::string source, ObjectRef object) {
  if (objects_.size() == kMostObjects) {
    return Error(Code::kResourceExhausted, "more than {} objects", kMostObjects);
  }
  std::string uri = ObjectUri(source, object);
  objects_.push_back({std::move(uri), std::move(object)});
  return OkStatus();
}

Status PictureSource::List(const std::string& source) {
  TRAWL_ASSIGN(const auto resolved, producer::ResolveSource(source, /*has_manifest=*/false));
  std::string last_key;
  for (bool last = false; !last;) {
    if (signals_.interrupted()) return Error(Code::kCancelled, "interrupted");
    TRAWL_ASSIGN(storage::ListPage page,
                 store_.List(resolved.source, resolved.prefix, last_key, kPageKeys));
    last = page.last || page.objects.empty();
    for (ObjectRef& object : page.objects) {
      last_key = object.key;
      TRAWL_TRY(Add(resolved.source, std::move(object)));
    }
  }
  return OkStatus();
}

Status PictureSource::ReadManifest(const std::string& path) {
  TRAWL_ASSIGN(const auto resolved, producer::ResolveSource("", /*has_manifest=*/true));
  TRAWL_ASSIGN(const auto reader,
               producer::ManifestReader::Open(path, resolved.source, /*column=*/""));
  while (true) {
    TRAWL_ASSIGN(std::optional<ObjectRef> object, reader->Next());
    if (!object) return OkStatus();
    TRAWL_TRY(Add(resolved.source, std::move(*object)));
  }
}

void PictureSource::Skip(const std::set<std::string>& uris) {
  std::erase_if(objects_, [&](const Object& object) { return uris.contains(object.uri); });
}

std::vector<ObjectResult<storage::Download>> PictureSource::Fetch(size_t first, size_t count) {
  std::vector<ObjectResult<storage::Download>> fetched(count);
  std::latch done(static_cast<std::ptrdiff_t>(count));
  for (size_t i = 0; i < count; ++i) {
    const Object& object = objects_[first + i];
    store_.Get({object.uri, object.ref.size_bytes, object.ref.etag}, signals_.stops().drain,
               [&fetched, &done, i](ObjectResult<storage::Download> download) {
                 fetched[i] = std::move(download);
                 done.count_down();
               });
  }
  done.wait();
  return fetched;
}

Result<std::vector<PreparedPicture>> PictureSource::Next(size_t most,
                                                         const engine::PreprocessSpec& spec,
                                                         size_t floats) {
  std::vector<PreparedPicture> pictures;
  while (pictures.size() < most && next_ < objects_.size()) {
    if (signals_.interrupted()) return Error(Code::kCancelled, "interrupted");
    const size_t count =
        std::min({kFetchesAtOnce, most - pictures.size(), objects_.size() - next_});
    auto fetched = Fetch(next_, count);
    for (size_t i = 0; i < count; ++i) {
      const Object& object = objects_[next_ + i];
      const ObjectResult<worker::Samples> levels =
          fetched[i] ? decoders_.Prepare(fetched[i]->bytes, spec, floats)
                     : tl::unexpected(fetched[i].error());
      if (levels) {
        std::vector<float> input(floats);
        worker::Normalize(*levels, spec, input);
        pictures.push_back({object.uri, object.ref.key,
                            Sha256(fetched[i]->bytes.data(), fetched[i]->bytes.size()),
                            std::move(input)});
      } else {
        ++unreadable_;
        last_problem_ = fmt::format("{}: {}: {}", object.ref.key, ToString(levels.error().code),
                                    levels.error().message);
      }
    }
    next_ += count;
  }
  return pictures;
}

}  // namespace trawl::ops
