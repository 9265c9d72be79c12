#include "producer/listing_feed.h"

#include <algorithm>
#include <utility>

#include "config/clock.h"
#include "ops/telemetry/log.h"

namespace trawl::producer {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kLongestPatience{600'000}, kFirstPause{500}, kLongestPause{20'000};

}  // namespace

ListingFeed::ListingFeed(const FeedSource& from, const ListingCursor& cursor, std::stop_token stop)
    : from_(from),
      pages_max_(from.listers),
      stop_(std::move(stop)),
      plan_(cursor, from.prefix, from.filter,
            from.listers > 1 && from.objects.ListsFromAnywhere(from.source)) {
  const size_t threads =
      from.objects.ListsFromAnywhere(from.source) ? pages_max_ : std::min<size_t>(pages_max_, 1);
  for (size_t i = 0; i < threads; ++i)
    listers_.emplace_back([this](std::stop_token ending) { List(std::move(ending)); });
}

ListingFeed::~ListingFeed() {
  for (std::jthread& lister : listers_) lister.request_stop();
}

Result<storage::ListPage> ListingFeed::Fetch(const ListingPlan::Task& task, int max_objects) {
  return from_.objects.List(from_.source, from_.prefix, task.after, max_objects);
}

Result<FeedPage> ListingFeed::Next(int max_objects) {
  std::unique_lock lock(mutex_);
  std::optional<FeedPage> page;
  const auto ready = [&] {
    page = plan_.Take();
    return page || !failure_.ok();
  };
  if (!listers_.empty() && !changed_.wait(lock, stop_, ready))
    return Error(Code::kCancelled, "interrupted while listing");
  while (listers_.empty() && !ready()) {
    const auto task = plan_.Begin();
    TRAWL_ASSIGN(storage::ListPage listed, Fetch(*task, max_objects));
    TRAWL_TRY(plan_.End(*task, std::move(listed)));
  }
  if (!page) return tl::unexpected(failure_);
  changed_.notify_all();
  return std::move(*page);
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

// A short fault of the store or of the way there must not end a listing of days.
Result<storage::ListPage> ListingFeed::FetchPatiently(const ListingPlan::Task& task,
                                                      std::stop_token stop) {
  const auto begun = SystemClock().Now();
  const milliseconds patience =
      std::min(kLongestPatience, milliseconds(from_.settings.outage_patience_ms));
  for (milliseconds pause = kFirstPause;; pause = std::min(pause * 2, kLongestPause)) {
    auto page = Fetch(task, static_cast<int>(from_.settings.list_page_keys));
    if (page) has_listed_ = true;
    if (page || page.error().code() != Code::kUnavailable || !has_listed_ ||
        SystemClock().Now() - begun >= patience)
      return page;
    ops::Log(ops::LogLevel::kWarn, "the listing waits until the store answers again",
             {{"source", from_.source}, {"reason", page.error().message()}});
    if (!SystemClock().SleepFor(pause, stop)) return page;
  }
}

void ListingFeed::List(std::stop_token stop) noexcept {
  while (const auto task = AwaitTask(stop)) {
    Result<storage::ListPage> page = FetchPatiently(*task, stop);
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
