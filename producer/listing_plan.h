#pragma once
// What is left of a listing, and who lists what next. The keys of a source are cut into ranges that
// are listed side by side; nobody has to know beforehand how the keys are spread, or to have put
// them into folders: whoever has nothing to do looks for a key in the midst of what another one
// has before it, and takes over from there.
//
// No threads, no store: ListingFeed has those.

#include <array>
#include <cstdint>
#include <deque>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/records.h"
#include "config/status.h"
#include "producer/feed.h"
#include "producer/key_filter.h"
#include "storage/object_store/object_store.h"

namespace trawl::producer {

/// Where the keys between `listed` and `before` may be cut in two: `key`, and how many such places
/// there were to choose from. 0: none.
struct SplitPoint {
  std::string key;
  size_t places = 0;
};

/// A listing reached `listed` with a page that began with `page_first`; what is left of it ends
/// before `before` (empty: nowhere). A place is a beginning of `listed` with one of `bytes`, larger
/// than the one that follows there; the one in the middle is chosen. So a guess behind all keys
/// halves what is left to guess, and one that is not leaves two ranges of keys. Only places from
/// `fixed` on (the length of what all keys begin with) and up to where the keys of one page differ
/// count. `bytes` are ASCII, so that what is UTF-8 stays UTF-8.
SplitPoint FindSplitPoint(std::string_view listed, std::string_view page_first,
                          std::string_view before, size_t fixed, const std::string& bytes);

/// Not thread-safe.
class ListingPlan {
 public:
  /// Goes on where `cursor` stands; a fresh one begins behind `filter.start_after`. `prefix`: what
  /// all keys begin with. `may_split`: otherwise what `cursor` holds is listed range by range.
  ListingPlan(const ListingCursor& cursor, std::string prefix, KeyFilter filter, bool may_split);

  /// The keys from where it began up to `before`. It began behind a key that a cursor held, or with
  /// the first key of its first page: ranges meet at keys that exist, never at guesses, so that a
  /// store with ideas of its own about keys that do not exist cannot open a gap between them.
  struct Range {
    std::string handed;       // pages up to this key were taken
    std::string listed;       // pages up to this key came
    std::string before;       // empty: the end of the source
    std::string page_first;   // the first key of the newest page
    std::string none_behind;  // when not empty: a probe behind this key found none before `before`
    size_t ready = 0;         // pages that came and were not taken
    bool begun = false;       // `handed` means something
    bool at_end = false;      // all pages came
    bool listing = false;
    bool probing = false;
    bool probed = false;  // since its newest page: there is at most one probe for each page

    bool Ended() const { return at_end && ready == 0; }
  };

  /// One page to list: the keys behind `after`.
  struct Task {
    Range* range = nullptr;
    std::string after;
    bool probe = false;  // looks for keys to take over from `range`
  };

  /// None when there is nothing to list before some task has ended.
  std::optional<Task> Begin();

  /// `page`: the store's answer. Errors: kDataLoss when it is not in the order of the keys' bytes.
  Status End(const Task& task, storage::ListPage page);

  /// The store could not answer. False: nothing is lost by it, since it was a mere probe; there
  /// will be no more of them.
  bool Fail(const Task& task);

  /// Pages that were listed and not taken.
  size_t ready() const { return ready_.size(); }

  /// The next page to be handed on, with the cursor behind it; the last one may be empty. None
  /// while nothing is ready.
  std::optional<FeedPage> Take();

 private:
  struct ReadyPage {
    Range* range;
    std::string last_key;
    uint64_t entries = 0;
    uint64_t duplicates = 0;
    std::vector<ObjectRef> objects;
  };

  Status AddPage(Range& range, storage::ListPage page);
  void AddProbe(const Task& task, Range& range, storage::ListPage page, Status& status);
  std::optional<Task> BeginProbe();
  std::vector<KeyRange> Left() const;
  void DropEnded();
  void Learn(std::string_view key);

  const size_t fixed_;
  const KeyFilter filter_;
  bool may_split_;
  uint64_t entries_ = 0;
  std::list<Range> ranges_;  // in order; each ends where the next one begins
  std::deque<ReadyPage> ready_;
  std::array<bool, 128> seen_{};  // bytes of the keys
  std::string bytes_;             // the same, in order
};

}  // namespace trawl::producer
