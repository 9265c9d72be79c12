#pragma once
// What the list of behaviours (behaviours.cc) needs to know of an adapter, and the verbs that its
// tests are told in.

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "storage/message_log/message_log.h"

namespace trawl::storage {

/// One log that a test may open again, after it closed it.
class LogUnderTest {
 public:
  virtual ~LogUnderTest() = default;
  virtual Result<std::unique_ptr<MessageLog>> Open() = 0;
};

struct Adapter {
  std::string name;
  std::function<std::unique_ptr<LogUnderTest>()> make;
};

std::string AdapterName(const ::testing::TestParamInfo<Adapter>& info);
void PrintTo(const Adapter& adapter, std::ostream* out);

/// Keeps what the listener is told. For members that are polled by one thread.
class Witness final : public RebalanceListener {
 public:
  void OnAssigned(std::span<const TopicPartition> partitions) override;
  void OnRevoked(std::span<const TopicPartition> partitions) override;
  void OnLost(std::span<const TopicPartition> partitions) override;

  std::set<TopicPartition> owned;
  int assignments = 0, revocations = 0, losses = 0;
  std::function<void(std::span<const TopicPartition>)> on_revoked;  // runs first
};

/// A member of a group with its witness and what it has read.
struct Member {
  Witness witness;
  std::unique_ptr<LogConsumer> consumer;
  std::vector<LogRecord> records;
  std::set<TopicPartition> ended;  // partitions whose end was told
};

class MessageLogBehaviour : public ::testing::TestWithParam<Adapter> {
 protected:
  void SetUp() override;

  /// A name that no other test uses.
  std::string Fresh(const std::string& what) const;
  std::string NewTopic(int partitions = 1, bool compacted = false);
  std::unique_ptr<TransactionalProducer> NewProducer();
  std::unique_ptr<Member> Join(const std::string& group, const std::string& topic);
  std::unique_ptr<LogConsumer> Reader(const std::string& topic, int partitions = 1);

  /// Commits values to partition 0.
  void Put(const std::string& topic, const std::vector<std::string>& values);
  /// Polls once each until `done`, within 30 s.
  void PollUntil(const std::vector<Member*>& members, const std::function<bool()>& done);
  /// All records up to the end of each partition.
  std::vector<LogRecord> ReadAll(LogConsumer& consumer, int partitions = 1);
  /// Polls until there are `count` records, and fails after 30 s.
  std::vector<LogRecord> ReadCount(LogConsumer& consumer, size_t count);
  /// Whatever arrives in this time.
  std::vector<LogRecord> ReadFor(LogConsumer& consumer, std::chrono::milliseconds time);
  void Reopen();

  std::unique_ptr<LogUnderTest> under_test_;
  std::unique_ptr<MessageLog> log_;
};

std::vector<std::string> Values(const std::vector<LogRecord>& records);
std::vector<OutgoingRecord> To(const std::string& topic, const std::vector<std::string>& values);
TopicOffset After(const LogRecord& record);

}  // namespace trawl::storage

/// For expressions that are Status or Result.
#define EXPECT_CODE(expression, expected)                                     \
  do {                                                                        \
    const ::trawl::Status status_ = ::trawl::storage::Verdict(expression);    \
    EXPECT_EQ(::trawl::ToString(status_.code()), ::trawl::ToString(expected)) \
        << status_.message();                                                 \
  } while (false)
#define ASSERT_OK(expression)                                              \
  do {                                                                     \
    const ::trawl::Status status_ = ::trawl::storage::Verdict(expression); \
    ASSERT_TRUE(status_.ok()) << status_.message();                        \
  } while (false)

namespace trawl::storage {
inline Status Verdict(const Status& status) { return status; }
template <class T>
Status Verdict(const Result<T>& result) {
  return result ? OkStatus() : result.error();
}
}  // namespace trawl::storage
