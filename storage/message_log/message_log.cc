#include "storage/message_log/message_log.h"

#include <set>

namespace trawl::storage {

Status ReadToEnd(MessageLog& log, const std::string& topic,
                 const std::function<void(const LogRecord&)>& visit, const Clock& clock) {
  constexpr std::chrono::seconds kSilence{30};
  TRAWL_ASSIGN(const int partitions, log.PartitionCount(topic));
  std::vector<TopicOffset> from;
  std::set<TopicPartition> unfinished;
  for (int32_t partition = 0; partition < partitions; ++partition) {
    from.push_back({{topic, partition}, kBeginning});
    unfinished.insert({topic, partition});
  }
  TRAWL_ASSIGN(std::unique_ptr<LogConsumer> consumer, log.Assign(from));

  auto heard = clock.Now();
  while (!unfinished.empty()) {
    auto polled = consumer->Poll(std::chrono::milliseconds(100));
    // A broker that is out of reach for a moment is waited for, as long as any silence is.
    if (!polled && !IsRetryable(polled.error().code())) {
      return Annotate(polled.error(), "reading {}", topic);
    }
    const auto now = clock.Now();
    if (polled && polled->record) visit(*polled->record);
    if (polled && polled->end_of) unfinished.erase(*polled->end_of);
    if (polled && (polled->record || polled->end_of)) {
      heard = now;
    } else if (now - heard > kSilence) {
      if (!polled) return Annotate(polled.error(), "reading {}", topic);
      return Error(Code::kDeadlineExceeded, "reading {}: nothing arrived for {} s", topic,
                   kSilence.count());
    }
  }
  return OkStatus();
}

}  // namespace trawl::storage
