#include "producer/feed.h"

#include "producer/key_set.h"
#include "producer/manifest.h"

namespace trawl::producer {
namespace {

/// Lists the source. The store returns keys in order, so the last key is the whole cursor.
class ListingFeed final : public Feed {
 public:
  ListingFeed(const ProducerOptions& options, const ListingCursor& cursor)
      : options_(options), cursor_(cursor) {
    if (cursor_.entries == 0) cursor_.last_key = options_.filter.start_after;
  }

  Result<FeedPage> Next(int max_objects) override {
    TRAWL_ASSIGN(storage::ListPage page,
                 options_.objects.List(options_.spec.source, options_.prefix, cursor_.last_key,
                                       max_objects));
    const uint64_t entries_before = cursor_.entries;
    FeedPage fresh;
    fresh.last = page.last;
    for (ObjectRef& object : page.objects) TRAWL_TRY(Add(std::move(object), fresh));
    if (!page.objects.empty() && cursor_.entries == entries_before && !page.last)
      return Error(Code::kDataLoss, "the store repeats what lies before '{}'", cursor_.last_key);
    fresh.cursor = cursor_;
    return fresh;
  }

 private:
  /// Some stores repeat keys at the seam of two pages: these are left out. Out of order anywhere
  /// else, the cursor would pass keys that never came.
  Status Add(ObjectRef object, FeedPage& page) {
    if (!cursor_.last_key.empty() && object.key <= cursor_.last_key) {
      if (page.cursor.entries == 0) {
        ++page.duplicates;
        return OkStatus();
      }
      return Error(Code::kDataLoss, "the store lists '{}' after '{}'", object.key,
                   cursor_.last_key);
    }
    cursor_.last_key = object.key;
    ++cursor_.entries;
    page.cursor = cursor_;
    if (options_.filter.Takes(object.key)) page.objects.push_back(std::move(object));
    return OkStatus();
  }

  const ProducerOptions& options_;
  ListingCursor cursor_;
};

/// Reads a manifest. A key that comes twice is one object.
class ManifestFeed final : public Feed {
 public:
  ManifestFeed(std::unique_ptr<ManifestReader> reader, const KeyFilter& filter)
      : reader_(std::move(reader)), filter_(filter) {}

  /// Reads over what is enqueued already, and remembers its keys.
  Status SkipTo(const ListingCursor& cursor) {
    while (reader_->entries() < cursor.entries) {
      TRAWL_ASSIGN(const std::optional<ObjectRef> entry, reader_->Next());
      if (!entry) break;
      if (filter_.Takes(entry->key)) seen_.Insert(entry->key);
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
      if (!filter_.Takes(entry->key)) continue;
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
  const KeyFilter& filter_;
  KeySet seen_;
};

}  // namespace

Result<std::unique_ptr<Feed>> OpenFeed(const ProducerOptions& options, const ListingCursor& cursor,
                                       std::stop_token stop) {
  if (options.manifest_path.empty()) return std::make_unique<ListingFeed>(options, cursor);
  TRAWL_ASSIGN(auto reader, ManifestReader::Open(options.manifest_path, options.spec.source,
                                                 options.manifest_column, std::move(stop)));
  auto feed = std::make_unique<ManifestFeed>(std::move(reader), options.filter);
  TRAWL_TRY(feed->SkipTo(cursor));
  return feed;
}

}  // namespace trawl::producer
