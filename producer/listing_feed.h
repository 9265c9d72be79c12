#pragma once
// Lists a source ahead of whoever takes the pages, in several places at once where the store allows
// it: listing does not wait for the log, nor the log for listing.

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <vector>

#include "producer/feed.h"
#include "producer/listing_plan.h"

namespace trawl::producer {

/// At most `from.listers` pages are under way or wait here, besides the one that was taken last: so
/// many are listed again after a crash, and so much memory they take (1,000 keys of at most 1 KiB
/// are 1.3 MB). Without listers each page is listed when it is asked for, by the caller's thread.
/// Listers wait for a store that has listed and is out of reach, as settings.outage_patience_ms
/// allows, at most ten minutes; a store that never listed is nobody's to wait for.
class ListingFeed final : public Feed {
 public:
  /// `stop` ends Next with kCancelled.
  ListingFeed(const FeedSource& from, const ListingCursor& cursor, std::stop_token stop);
  /// Waits for the requests under way.
  ~ListingFeed() override;

  Result<FeedPage> Next(int max_objects) override;

 private:
  void List(std::stop_token stop) noexcept;
  std::optional<ListingPlan::Task> AwaitTask(std::stop_token stop);
  Result<storage::ListPage> Fetch(const ListingPlan::Task& task, int max_objects);
  Result<storage::ListPage> FetchPatiently(const ListingPlan::Task& task, std::stop_token stop);

  const FeedSource from_;
  const size_t pages_max_;
  const std::stop_token stop_;
  std::atomic<bool> has_listed_ = false;

  std::mutex mutex_;
  std::condition_variable_any changed_;
  // Guarded by mutex_:
  ListingPlan plan_;
  size_t under_way_ = 0;
  Status failure_;

  std::vector<std::jthread> listers_;  // last: they end before what they use
};

}  // namespace trawl::producer
