#include "producer/feed.h"

#include "producer/key_set.h"
#include "producer/manifest.h"

namespace trawl::producer {
namespace {

/// Lists the source. The store returns keys in order, so the last key is the whole cursor.
class ListingFeed final : public Feed {
 public:
  ListingFeed(const ProducerOptions& options, const ListingCursor& cursor)
      : options_(options), cursor_(cursor) {}

  Result<FeedPage> Next(int max_objects) override {
    TRAWL_ASSIGN(storage::ListPage page,
                 options_.objects.List(options_.spec.source, options_.prefix, cursor_.last_key,
                                       max_objects));
    if (!page.objects.empty()) cursor_.last_key = page.objects.back().key;
    cursor_.entries += page.objects.size();
    return FeedPage{std::move(page.objects), cursor_, 0, page.last};
  }

 private:
  const ProducerOptions& options_;
  ListingCursor cursor_;
};

/// Reads a manifest. A key that comes twice is one object.
class ManifestFeed final : public Feed {
 public:
  explicit ManifestFeed(std::unique_ptr<ManifestReader> reader) : reader_(std::move(reader)) {}

  /// Reads over what is enqueued already, and remembers its keys.
  Status SkipTo(const ListingCursor& cursor) {
    while (reader_->entries() < cursor.entries) {
      TRAWL_ASSIGN(const std::optional<ObjectRef> entry, reader_->Next());
      if (!entry) break;
      seen_.Insert(entry->key);
    }
    if (cursor.entries > 0 && reader_->DigestHex() != cursor.digest_hex)
      return Error(Code::kFailedPrecondition,
                   "the manifest is not the one that this job was started with (its first {} "
                   "entries differ)",
                   cursor.entries);
    return OkStatus();
  }

  Result<FeedPage> Next(int max_objects) override {
    FeedPage page;
    while (page.objects.size() < static_cast<size_t>(max_objects)) {
      TRAWL_ASSIGN(std::optional<ObjectRef> entry, reader_->Next());
      if (!entry) {
        page.last = true;
        break;
      }
      if (seen_.Insert(entry->key))
        page.objects.push_back(std::move(*entry));
      else
        ++page.duplicates;
    }
    page.cursor.entries = reader_->entries();
    page.cursor.digest_hex = reader_->DigestHex();
    return page;
  }

 private:
  std::unique_ptr<ManifestReader> reader_;
  KeySet seen_;
};

}  // namespace

Result<std::unique_ptr<Feed>> OpenFeed(const ProducerOptions& options,
                                       const ListingCursor& cursor) {
  if (options.manifest_path.empty()) return std::make_unique<ListingFeed>(options, cursor);
  TRAWL_ASSIGN(auto reader, ManifestReader::Open(options.manifest_path, options.spec.source));
  auto feed = std::make_unique<ManifestFeed>(std::move(reader));
  TRAWL_TRY(feed->SkipTo(cursor));
  return feed;
}

}  // namespace trawl::producer
