#pragma once
// Where a job's objects come from: a listing or a manifest, both read page by page behind one
// interface.

#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "config/records.h"
#include "config/settings.h"
#include "config/status.h"
#include "producer/key_filter.h"
#include "storage/object_store/object_store.h"

namespace trawl::producer {

struct FeedPage {
  std::vector<ObjectRef> objects;
  ListingCursor cursor;     // where to go on behind this page
  uint64_t duplicates = 0;  // manifest entries left out because their key came before
  bool last = false;
};

/// Not thread-safe.
class Feed {
 public:
  virtual ~Feed() = default;
  /// `max_objects`: at most; listings with listers have pages of settings.list_page_keys.
  /// Errors: the object store's; kDataLoss when it does not list in the order of the keys' bytes;
  /// kInvalidArgument for a manifest's line; kCancelled.
  virtual Result<FeedPage> Next(int max_objects) = 0;
};

/// What is to be read; see ProducerOptions for each.
struct FeedSource {
  const Settings& settings;
  storage::ObjectStore& objects;
  std::string source, prefix;
  std::string manifest_path, manifest_column;
  KeyFilter filter = {};
  /// Listings: how many pages are listed ahead; with several, and a store that lists from anywhere,
  /// pages come in no order. 0: each when it is asked for.
  size_t listers = 0;
};

/// Opens the feed behind `cursor`. Errors: kNotFound (no manifest), kFailedPrecondition (the
/// manifest is not the one that the cursor was made for).
Result<std::unique_ptr<Feed>> OpenFeed(const FeedSource& from, const ListingCursor& cursor,
                                       std::stop_token stop);

}  // namespace trawl::producer
