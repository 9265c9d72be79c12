#include "producer/feed.h"

#include "producer/inventory.h"
#include "producer/key_set.h"
#include "producer/listing_feed.h"
#include "producer/manifest.h"

namespace trawl::producer {
namespace {

/// Reads a manifest. A key that comes twice is one object.
class ManifestFeed final : public Feed {
 public:
  ManifestFeed(std::unique_ptr<ManifestReader> reader, KeyFilter filter)
      : reader_(std::move(reader)), filter_(std::move(filter)) {}

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
  const KeyFilter filter_;
  KeySet seen_;
};

/// Reads an inventory. It names each key once, and nothing of it has to be remembered.
class InventoryFeed final : public Feed {
 public:
  InventoryFeed(Inventory inventory, std::unique_ptr<DocumentStore> documents,
                const FeedSource& from, std::stop_token stop)
      : from_(from),
        digest_hex_(inventory.digest_hex),
        reader_(std::move(inventory), std::move(documents), std::move(stop)) {}

  Status SkipTo(const ListingCursor& cursor) {
    if (!cursor.digest_hex.empty() && cursor.digest_hex != digest_hex_)
      return Error(Code::kFailedPrecondition,
                   "the inventory's manifest is not the one that this job was started with");
    return reader_.GoTo({.files = cursor.files, .rows = cursor.entries});
  }

  Result<FeedPage> Next(int max_objects) override {
    FeedPage page;
    while (page.objects.size() < static_cast<size_t>(max_objects)) {
      TRAWL_ASSIGN(std::optional<ObjectRef> object, reader_.Next());
      if (!object) {
        page.last = true;
        break;
      }
      if (object->key.starts_with(from_.prefix) && from_.filter.Takes(object->key))
        page.objects.push_back(std::move(*object));
    }
    const InventoryReader::Position position = reader_.position();
    page.cursor = {
        .left = {}, .entries = position.rows, .digest_hex = digest_hex_, .files = position.files};
    return page;
  }

 private:
  const FeedSource from_;
  const std::string digest_hex_;
  InventoryReader reader_;
};

Result<std::unique_ptr<Feed>> OpenInventory(Inventory inventory, const FeedSource& from,
                                            const ListingCursor& cursor, std::stop_token stop) {
  TRAWL_ASSIGN(auto documents, DocumentStore::Open(from.settings));
  auto feed = std::make_unique<InventoryFeed>(std::move(inventory), std::move(documents), from,
                                              std::move(stop));
  TRAWL_TRY(feed->SkipTo(cursor));
  return feed;
}

}  // namespace

Result<std::unique_ptr<Feed>> OpenFeed(const FeedSource& from, const ListingCursor& cursor,
                                       std::stop_token stop) {
  if (from.manifest_path.empty())
    return std::make_unique<ListingFeed>(from, cursor, std::move(stop));
  TRAWL_ASSIGN(std::optional<Inventory> inventory,
               ReadInventory(from.manifest_path, from.settings, stop));
  if (inventory) return OpenInventory(std::move(*inventory), from, cursor, std::move(stop));
  TRAWL_ASSIGN(auto reader,
               ManifestReader::Open(from.manifest_path, from.source, from.manifest_column,
                                    from.settings, std::move(stop)));
  auto feed = std::make_unique<ManifestFeed>(std::move(reader), from.filter);
  TRAWL_TRY(feed->SkipTo(cursor));
  return feed;
}

}  // namespace trawl::producer
