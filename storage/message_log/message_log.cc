#include "storage/message_log/message_log.h"

#include <map>
#include <set>

namespace trawl::storage {

Status ReadToEnd(MessageLog& log, const std::string& topic,
                 const std::function<void(const LogRecord&)>& visit, const Clock& clock) {
  constexpr std::chrono::seconds kSilence{30};
  constexpr std::chrono::seconds kLongestTransaction{960};  // brokers' limit is 900 s by default
  TRAWL_ASSIGN(const int partitions, log.PartitionCount(topic));
  std::vector<TopicOffset> from;
  std::map<TopicPartition, int64_t> unread;  // up to where
  for (int32_t partition = 0; partition < partitions; ++partition) {
    const TopicPartition at{topic, partition};
    TRAWL_ASSIGN(const LogExtent extent, log.Extent(at));
    from.push_back({at, kBeginning});
    unread.emplace(at, extent.end);
  }
  TRAWL_ASSIGN(std::unique_ptr<LogConsumer> consumer, log.Assign(from));

  std::set<TopicPartition> held_back;
  auto heard = clock.Now();
  while (!unread.empty()) {
    auto polled = consumer->Poll(std::chrono::milliseconds(100));
    // A broker that is out of reach for a moment is waited for, as long as any silence is.
    if (!polled && !IsRetryable(polled.error().code())) {
      return Annotate(polled.error(), "reading {}", topic);
    }
    const auto now = clock.Now();
    if (polled && polled->record) visit(*polled->record);
    if (polled && polled->end_of) {
      // A transaction that is open hides what others have committed behind its records.
      const auto found = unread.find(*polled->end_of);
      if (found != unread.end() && polled->end_offset < found->second) {
        held_back.insert(found->first);
      } else if (found != unread.end()) {
        held_back.erase(found->first);
        unread.erase(found);
      }
    }
    const auto patience =
        polled && held_back.size() == unread.size() ? kLongestTransaction : kSilence;
    if (polled && (polled->record || polled->end_of)) {
      heard = now;
    } else if (now - heard > patience) {
      if (!polled) return Annotate(polled.error(), "reading {}", topic);
      return Error(Code::kDeadlineExceeded, "reading {}: nothing arrived for {} s", topic,
                   patience.count());
    }
  }
  return OkStatus();
}

}  // namespace trawl::storage
