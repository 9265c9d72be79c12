#include "storage/message_log/message_log.h"

#include <map>
#include <set>

#include "ops/telemetry/log.h"

namespace trawl::storage {
namespace {

/// Tells people what a reader waits for behind an open transaction, which may take minutes.
class OpenTransactionNotice {
 public:
  explicit OpenTransactionNotice(const std::string& topic) : topic_(topic) {}

  /// `waiting`: in every partition that is left to read.
  void Update(bool waiting, size_t partitions, std::chrono::steady_clock::time_point now) {
    if (!waiting) {
      if (told_)
        ops::Log(ops::LogLevel::kInfo, "the open transaction has ended", {{"topic", topic_}});
      told_ = false;
    } else if (!waiting_) {
      since_ = now;
    } else if (!told_ && now - since_ >= kPatience) {
      ops::Log(
          ops::LogLevel::kWarn,
          "waiting for an open transaction to end; a dead process may have left it, and the broker "
          "ends it after its transaction.timeout.ms",
          {{"topic", topic_}, {"partitions", partitions}});
      told_ = true;
    }
    waiting_ = waiting;
  }

 private:
  static constexpr std::chrono::seconds kPatience{3};  // most transactions are over in one

  const std::string& topic_;
  bool waiting_ = false, told_ = false;
  std::chrono::steady_clock::time_point since_{};  // when it began, if it waits
};

}  // namespace

Status OpenPatiently(std::string_view what, const std::function<Status()>& open,
                     std::stop_token stop, Clock& clock) {
  constexpr std::chrono::seconds kPatience{60}, kPause{1};
  const auto deadline = clock.Now() + kPatience;
  while (true) {
    const Status opened = open();
    if (!IsRetryable(opened.code()) || clock.Now() >= deadline) return opened;
    ops::Log(ops::LogLevel::kWarn, "waiting for a part of the log",
             {{"for", what}, {"reason", opened.message()}});
    if (!clock.SleepFor(kPause, stop)) return Error(Code::kCancelled, "interrupted");
  }
}

Status ReadToEnd(MessageLog& log, const std::string& topic,
                 const std::function<void(const LogRecord&)>& visit, std::stop_token stop,
                 const Clock& clock) {
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
  OpenTransactionNotice notice(topic);
  auto heard = clock.Now();
  while (!unread.empty()) {
    if (stop.stop_requested())
      return Error(Code::kCancelled, "interrupted while reading {}", topic);
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
    const bool behind_others = held_back.size() == unread.size();
    notice.Update(!unread.empty() && behind_others, unread.size(), now);
    const auto patience = polled && behind_others ? kLongestTransaction : kSilence;
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
