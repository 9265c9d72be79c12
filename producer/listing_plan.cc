#include "producer/listing_plan.h"

#include <algorithm>
#include <utility>

namespace trawl::producer {
namespace {

size_t CommonLength(std::string_view a, std::string_view b) {
  const size_t most = std::min(a.size(), b.size());
  const auto differ = std::mismatch(a.begin(), a.begin() + static_cast<ptrdiff_t>(most), b.begin());
  return static_cast<size_t>(differ.first - a.begin());
}

/// How many of the bytes, which are in order, are smaller than `byte`, or are it.
size_t CountUpTo(std::string_view bytes, char byte, bool with_it) {
  const auto end = std::ranges::find_if(bytes, [&](char c) {
    return with_it ? static_cast<unsigned char>(c) > static_cast<unsigned char>(byte)
                   : static_cast<unsigned char>(c) >= static_cast<unsigned char>(byte);
  });
  return static_cast<size_t>(end - bytes.begin());
}

}  // namespace

SplitPoint FindSplitPoint(std::string_view listed, std::string_view page_first,
                          std::string_view before, size_t fixed, const std::string& bytes) {
  const size_t first = std::max(fixed, before.empty() ? 0 : CommonLength(listed, before));
  const size_t end = std::min(std::max(first, CommonLength(listed, page_first)) + 1, listed.size());
  // At the first place, where `listed` and `before` part, a byte stays below that of `before`.
  const auto choices = [&](size_t place) {
    std::string_view larger = bytes;
    if (place == first && place < before.size())
      larger = larger.substr(0, CountUpTo(bytes, before[place], false));
    const size_t smaller = CountUpTo(larger, listed[place], true);
    return larger.substr(smaller);
  };
  size_t places = 0;
  for (size_t place = first; place < end; ++place) places += choices(place).size();
  size_t skip = places / 2;
  for (size_t place = end; place-- > first;) {  // in the order of the keys the last place is first
    const std::string_view larger = choices(place);
    if (skip < larger.size()) return {std::string(listed.substr(0, place)) + larger[skip], places};
    skip -= larger.size();
  }
  return {};
}

ListingPlan::ListingPlan(const ListingCursor& cursor, std::string prefix, KeyFilter filter,
                         bool may_split)
    : fixed_(prefix.size()),
      filter_(std::move(filter)),
      may_split_(may_split),
      entries_(cursor.entries) {
  for (const KeyRange& left : cursor.left)
    ranges_.push_back({.handed = left.after,
                       .listed = left.after,
                       .before = left.before,
                       .page_first = "",
                       .none_behind = "",
                       .begun = true});
  if (cursor.left.empty() && cursor.entries == 0)
    ranges_.push_back({.handed = filter_.start_after,
                       .listed = filter_.start_after,
                       .before = "",
                       .page_first = "",
                       .none_behind = "",
                       .begun = true});
}

std::optional<ListingPlan::Task> ListingPlan::Begin() {
  for (Range& range : ranges_) {
    if (range.listing || range.at_end) continue;
    range.listing = true;
    return Task{&range, range.listed, false};
  }
  return may_split_ ? BeginProbe() : std::nullopt;
}

/// Probes the range that has most before it, as far as one can guess.
std::optional<ListingPlan::Task> ListingPlan::BeginProbe() {
  Range* widest = nullptr;
  SplitPoint split;
  for (Range& range : ranges_) {
    if (range.at_end || range.probing || range.probed || range.page_first.empty()) continue;
    const std::string& end = range.none_behind.empty() ? range.before : range.none_behind;
    SplitPoint found = FindSplitPoint(range.listed, range.page_first, end, fixed_, bytes_);
    if (found.places <= split.places) continue;
    split = std::move(found);
    widest = &range;
  }
  if (widest == nullptr) return std::nullopt;
  widest->probing = widest->probed = true;
  return Task{widest, std::move(split.key), true};
}

Status ListingPlan::End(const Task& task, storage::ListPage page) {
  Status status;
  if (task.probe) {
    task.range->probing = false;
    AddProbe(task, *task.range, std::move(page), status);
  } else {
    task.range->listing = task.range->probed = false;
    status = AddPage(*task.range, std::move(page));
  }
  DropEnded();
  return status;
}

bool ListingPlan::Fail(const Task& task) {
  if (!task.probe) return true;
  task.range->probing = may_split_ = false;
  DropEnded();
  return false;
}

/// What was found is a range of its own from its first key on, unless the listing has come so far
/// itself by now.
void ListingPlan::AddProbe(const Task& task, Range& range, storage::ListPage page, Status& status) {
  const std::string first = page.objects.empty() ? "" : page.objects.front().key;
  const bool none = first.empty() ? page.last : !range.before.empty() && first >= range.before;
  if (none) range.none_behind = task.after;
  if (none || range.at_end || first <= std::max(range.listed, task.after)) return;
  Range found{.handed = "",
              .listed = task.after,
              .before = range.before,
              .page_first = "",
              .none_behind = range.none_behind};
  range.before = first;
  range.none_behind = task.after;
  const auto at = std::ranges::find_if(ranges_, [&](const Range& r) { return &r == &range; });
  const auto added = ranges_.insert(std::next(at), std::move(found));
  status = AddPage(*added, std::move(page));
}

/// Some stores repeat keys at the seam of two pages: these are left out. Out of order anywhere
/// else, the cursor would pass keys that never came.
Status ListingPlan::AddPage(Range& range, storage::ListPage page) {
  ReadyPage ready{.range = &range, .last_key = "", .objects = {}};
  range.at_end = page.last;
  for (ObjectRef& object : page.objects) {
    if (!range.before.empty() && object.key >= range.before) {
      range.at_end = true;
      break;
    }
    if (!range.listed.empty() && object.key <= range.listed) {
      if (ready.entries > 0)
        return Error(Code::kDataLoss, "the store lists '{}' after '{}'", object.key, range.listed);
      ++ready.duplicates;
      continue;
    }
    if (++ready.entries == 1) range.page_first = object.key;
    range.listed = object.key;
    if (filter_.Takes(object.key)) ready.objects.push_back(std::move(object));
  }
  if (ready.entries == 0 && ready.duplicates > 0 && !range.at_end)
    return Error(Code::kDataLoss, "the store repeats what lies before '{}'", range.listed);
  if (ready.entries + ready.duplicates == 0) return OkStatus();
  Learn(range.page_first);
  Learn(range.listed);
  ready.last_key = range.listed;
  ++range.ready;
  ready_.push_back(std::move(ready));
  return OkStatus();
}

std::optional<FeedPage> ListingPlan::Take() {
  FeedPage page;
  if (!ready_.empty()) {
    ReadyPage ready = std::move(ready_.front());
    ready_.pop_front();
    --ready.range->ready;
    ready.range->handed = std::move(ready.last_key);
    ready.range->begun = true;
    entries_ += ready.entries;
    page.objects = std::move(ready.objects);
    page.duplicates = ready.duplicates;
    DropEnded();
  } else if (!Left().empty()) {
    return std::nullopt;
  }
  page.cursor.left = Left();
  page.cursor.entries = entries_;
  page.last = page.cursor.left.empty();
  return page;
}

/// A range of which nothing was taken is still a part of the one before it: the cursor says behind
/// which key to list, and of its first key that can only be said by the one before.
std::vector<KeyRange> ListingPlan::Left() const {
  std::vector<KeyRange> left;
  for (auto range = ranges_.begin(); range != ranges_.end(); ++range) {
    KeyRange stretch{range->handed, range->before};
    bool ended = range->Ended();
    for (auto next = std::next(range); next != ranges_.end() && !next->begun; ++next) {
      stretch.before = next->before;
      ended = false;
      range = next;
    }
    if (!ended) left.push_back(std::move(stretch));
  }
  return left;
}

void ListingPlan::DropEnded() {
  for (auto range = ranges_.begin(); range != ranges_.end();) {
    const auto next = std::next(range);
    const bool needed = range->listing || range->probing || !range->Ended() ||
                        (next != ranges_.end() && !next->begun);
    range = needed ? next : ranges_.erase(range);
  }
}

void ListingPlan::Learn(std::string_view key) {
  for (const char c : key) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= ' ' || byte >= 0x7f || seen_[byte]) continue;
    seen_[byte] = true;
    bytes_.insert(std::upper_bound(bytes_.begin(), bytes_.end(), c), c);
  }
}

}  // namespace trawl::producer
