#include "tests/conformance/message_log/adapter.h"

#include <atomic>

#include "tests/support/process.h"

namespace trawl::storage {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

std::string AdapterName(const ::testing::TestParamInfo<Adapter>& info) { return info.param.name; }

void PrintTo(const Adapter& adapter, std::ostream* out) { *out << adapter.name; }

void Witness::OnAssigned(std::span<const TopicPartition> partitions) {
  ++assignments;
  EXPECT_TRUE(owned.empty()) << "an assignment follows another that was not taken back";
  owned = {partitions.begin(), partitions.end()};
}

void Witness::OnRevoked(std::span<const TopicPartition> partitions) {
  ++revocations;
  EXPECT_EQ(owned, std::set<TopicPartition>(partitions.begin(), partitions.end()));
  if (on_revoked) on_revoked(partitions);
  owned.clear();
}

void Witness::OnLost(std::span<const TopicPartition>) {
  ++losses;
  owned.clear();
}

void MessageLogBehaviour::SetUp() {
  under_test_ = GetParam().make();
  ASSERT_NE(under_test_, nullptr);
  Reopen();
}

void MessageLogBehaviour::Reopen() {
  log_.reset();
  auto log = under_test_->Open();
  ASSERT_OK(log);
  log_ = std::move(*log);
}

std::string MessageLogBehaviour::Fresh(const std::string& what) const {
  static std::atomic<int> count = 0;
  return fmt::format("{}-{}", what, ++count);
}

std::string MessageLogBehaviour::NewTopic(int partitions, bool compacted) {
  const std::string name = Fresh("topic");
  const TopicSpec spec{.name = name, .partitions = partitions, .compacted = compacted};
  const Status ensured = log_->EnsureTopics({&spec, 1});
  EXPECT_TRUE(ensured.ok()) << ensured.message();
  return name;
}

std::unique_ptr<TransactionalProducer> MessageLogBehaviour::NewProducer() {
  auto producer = log_->OpenProducer(Fresh("producer"));
  EXPECT_TRUE(producer) << producer.error().message();
  return producer ? std::move(*producer) : nullptr;
}

std::unique_ptr<Member> MessageLogBehaviour::Join(const std::string& group,
                                                  const std::string& topic) {
  auto member = std::make_unique<Member>();
  auto consumer = log_->Subscribe(group, {topic}, member->witness);
  EXPECT_TRUE(consumer) << consumer.error().message();
  if (consumer) member->consumer = std::move(*consumer);
  return member;
}

std::unique_ptr<LogConsumer> MessageLogBehaviour::Reader(const std::string& topic, int partitions) {
  std::vector<TopicOffset> from;
  for (int32_t p = 0; p < partitions; ++p) from.push_back({{topic, p}, kBeginning});
  auto consumer = log_->Assign(from);
  EXPECT_TRUE(consumer) << consumer.error().message();
  return consumer ? std::move(*consumer) : nullptr;
}

void MessageLogBehaviour::Put(const std::string& topic, const std::vector<std::string>& values) {
  const auto producer = NewProducer();
  ASSERT_NE(producer, nullptr);
  ASSERT_OK(producer->Commit({.records = To(topic, values)}));
}

void MessageLogBehaviour::PollUntil(const std::vector<Member*>& members,
                                    const std::function<bool()>& done) {
  const auto deadline = steady_clock::now() + testing::kPatience;
  while (!done()) {
    ASSERT_LT(steady_clock::now(), deadline) << "nothing more happens";
    for (Member* member : members) {
      auto polled = member->consumer->Poll(milliseconds(10));
      ASSERT_OK(polled);
      if (polled->end_of) member->ended.insert(*polled->end_of);
      if (!polled->record) continue;
      EXPECT_TRUE(member->witness.owned.contains(polled->record->at)) << "a stranger's record";
      member->records.push_back(std::move(*polled->record));
    }
  }
}

std::vector<LogRecord> MessageLogBehaviour::ReadAll(LogConsumer& consumer, int partitions) {
  std::vector<LogRecord> records;
  std::set<TopicPartition> ended;
  const auto deadline = steady_clock::now() + testing::kPatience;
  while (std::ssize(ended) < partitions && steady_clock::now() < deadline) {
    auto polled = consumer.Poll(milliseconds(100));
    EXPECT_TRUE(polled) << polled.error().message();
    if (!polled) break;
    if (polled->end_of) ended.insert(*polled->end_of);
    if (polled->record) records.push_back(std::move(*polled->record));
  }
  EXPECT_EQ(std::ssize(ended), partitions) << "not every partition told its end";
  return records;
}

std::vector<LogRecord> MessageLogBehaviour::ReadCount(LogConsumer& consumer, size_t count) {
  std::vector<LogRecord> records;
  const auto deadline = steady_clock::now() + testing::kPatience;
  while (records.size() < count && steady_clock::now() < deadline) {
    auto polled = consumer.Poll(milliseconds(100));
    EXPECT_TRUE(polled) << polled.error().message();
    if (!polled) break;
    if (polled->record) records.push_back(std::move(*polled->record));
  }
  EXPECT_EQ(records.size(), count);
  return records;
}

std::vector<LogRecord> MessageLogBehaviour::ReadFor(LogConsumer& consumer, milliseconds time) {
  std::vector<LogRecord> records;
  const auto deadline = steady_clock::now() + time;
  while (steady_clock::now() < deadline) {
    auto polled = consumer.Poll(milliseconds(20));
    EXPECT_TRUE(polled) << polled.error().message();
    if (polled && polled->record) records.push_back(std::move(*polled->record));
  }
  return records;
}

std::vector<std::string> Values(const std::vector<LogRecord>& records) {
  std::vector<std::string> values;
  for (const LogRecord& record : records) values.push_back(record.value);
  return values;
}

std::vector<OutgoingRecord> To(const std::string& topic, const std::vector<std::string>& values) {
  std::vector<OutgoingRecord> records;
  for (const std::string& value : values) {
    records.push_back({.topic = topic, .partition = 0, .key = "key", .value = value});
  }
  return records;
}

TopicOffset After(const LogRecord& record) { return {record.at, record.offset + 1}; }

}  // namespace trawl::storage
