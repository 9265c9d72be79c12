#include "producer/listing_feed.h"

#include <utility>

namespace trawl::producer {

ListingFeed::ListingFeed(const FeedSource& from, const ListingCursor& cursor)
    : from_(from),
      pages_max_(from.listers),
      plan_(cursor, from.prefix, from.filter,
            from.listers > 1 && from.objects.ListsFromAnywhere(from.source)) {
  const size_t threads =
      from.objects.ListsFromAnywhere(from.source) ? pages_max_ : std::min<size_t>(pages_max_, 1);
  for (size_t i = 0; i < threads; ++i)
    listers_.emplace_back([this](std::stop_token stop) { List(std::move(stop)); });
}

ListingFeed::~ListingFeed() {
  for (std::jthread& lister : listers_) lister.request_stop();
}

Result<storage::ListPage> ListingFeed::Fetch(const ListingPlan::Task& task, int max_objects) {
  return from_.objects.List(from_.source, from_.prefix, task.after, max_objects);
}

Result<FeedPage> ListingFeed::Next(int max_objects) {
  std::unique_lock lock(mutex_);
  while (true) {
    if (std::optional<FeedPage> page = plan_.Take()) {
      changed_.notify_all();
      return std::move(*page);
    }
    if (!failure_.ok()) return tl::unexpected(failure_);
    if (!listers_.empty()) {
      changed_.wait(lock);
      continue;
    }
    const auto task = plan_.Begin();
    TRAWL_ASSIGN(storage::ListPage page, Fetch(*task, max_objects));
    TRAWL_TRY(plan_.End(*task, std::move(page)));
  }
}

std::optional<ListingPlan::Task> ListingFeed::AwaitTask(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  std::optional<ListingPlan::Task> task;
  changed_.wait(lock, std::move(stop), [&] {
    if (failure_.ok() && under_way_ + plan_.ready() < pages_max_) task = plan_.Begin();
    return task.has_value();
  });
  if (task) ++under_way_;
  return task;
}

void ListingFeed::List(std::stop_token stop) noexcept {
  while (const auto task = AwaitTask(stop)) {
    Result<storage::ListPage> page = Fetch(*task, static_cast<int>(from_.settings.list_page_keys));
    const std::lock_guard lock(mutex_);
    --under_way_;
    Status status;
    if (page)
      status = plan_.End(*task, std::move(*page));
    else if (plan_.Fail(*task))
      status = page.error();
    if (failure_.ok()) failure_ = std::move(status);
    changed_.notify_all();
  }
}

}  // namespace trawl::producer
