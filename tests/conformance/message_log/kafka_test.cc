// Goal: the Kafka adapter behaves as the port promises, and gets through what only a server can do
// to it. Method: the list of behaviours, and faults, on one real Apache Kafka broker for the whole
// binary.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>

#include <thread>

#include "storage/message_log/kafka_log.h"
#include "tests/conformance/message_log/adapter.h"
#include "tests/support/kafka_broker.h"

namespace trawl::storage {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// Starts before the first test, in the main thread, and is gone after the last.
class BrokerEnvironment final : public ::testing::Environment {
 public:
  void SetUp() override {
    auto started = testing::KafkaBroker::Start();
    ASSERT_TRUE(started) << started.error().message();
    broker = std::move(*started);
  }
  void TearDown() override { broker.reset(); }
  std::unique_ptr<testing::KafkaBroker> broker;
};

BrokerEnvironment* const environment = [] {
  auto created = std::make_unique<BrokerEnvironment>();
  ::testing::AddGlobalTestEnvironment(created.get());
  return created.release();  // GoogleTest owns it
}();

testing::KafkaBroker& Broker() { return *environment->broker; }

Settings BrokerSettings() {
  Settings settings;
  settings.brokers = Broker().address();
  settings.session_timeout_ms = 6'000;
  return settings;
}

class KafkaLogUnderTest final : public LogUnderTest {
 public:
  Result<std::unique_ptr<MessageLog>> Open() override { return OpenKafkaLog(BrokerSettings()); }
};

const Adapter kKafka{"Kafka", [] { return std::make_unique<KafkaLogUnderTest>(); }};

INSTANTIATE_TEST_SUITE_P(Kafka, MessageLogBehaviour, ::testing::Values(kKafka), AdapterName);

/// The same verbs, for what concerns Kafka alone.
class KafkaLog : public MessageLogBehaviour {
 protected:
  /// A topic whose broker-side limit is far below ours, as an operator may set it.
  std::string NewNarrowTopic() {
    const std::string name = Fresh("narrow");
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", Broker().address().c_str(), nullptr, 0);
    rd_kafka_t* client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, nullptr, 0);
    rd_kafka_NewTopic_t* topic = rd_kafka_NewTopic_new(name.c_str(), 1, 1, nullptr, 0);
    rd_kafka_NewTopic_set_config(topic, "max.message.bytes", "1000");
    rd_kafka_queue_t* queue = rd_kafka_queue_new(client);
    rd_kafka_CreateTopics(client, &topic, 1, nullptr, queue);
    rd_kafka_event_t* event = rd_kafka_queue_poll(queue, 60'000);
    EXPECT_EQ(rd_kafka_event_error(event), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy(topic);
    rd_kafka_destroy(client);
    return name;
  }

  /// Commits until it is done; everything that is not kOk must be worth another try.
  void CommitInTheEnd(TransactionalProducer& producer, const Transaction& transaction) {
    const auto deadline = steady_clock::now() + testing::kPatience;
    while (true) {
      const Status done = producer.Commit(transaction);
      if (done.ok()) return;
      ASSERT_TRUE(IsRetryable(done.code())) << done.message();
      ASSERT_LT(steady_clock::now(), deadline) << done.message();
    }
  }
};

INSTANTIATE_TEST_SUITE_P(Faults, KafkaLog, ::testing::Values(kKafka), AdapterName);

TEST(OpenKafkaLog, SaysWithinTenSecondsThatNoBrokerAnswers) {
  Settings settings;
  settings.brokers = fmt::format("127.0.0.1:{}", testing::FreePort());
  ::testing::internal::CaptureStderr();
  const auto began = steady_clock::now();
  const auto log = OpenKafkaLog(settings);
  const auto took = steady_clock::now() - began;
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "") << "librdkafka must not talk past us";
  EXPECT_CODE(log, Code::kUnavailable);
  EXPECT_THAT(log.error().message(), HasSubstr("reaching Kafka at " + settings.brokers));
  EXPECT_THAT(log.error().message(), HasSubstr("Connection refused"));
  EXPECT_EQ(log.error().message().find('\n'), std::string::npos);
  EXPECT_LT(took, seconds(13));
}

TEST(OpenKafkaLog, RefusesSettingsBeforeItConnects) {
  Settings settings;
  EXPECT_CODE(OpenKafkaLog(settings), Code::kInvalidArgument);
  settings.brokers = "127.0.0.1:1";
  settings.kafka = {{"fetch.wait.max.mss", "1"}};
  EXPECT_THAT(OpenKafkaLog(settings).error().message(), HasSubstr("kafka.fetch.wait.max.mss"));
  settings.kafka = {{"fetch.wait.max.ms", "soon"}};
  EXPECT_THAT(OpenKafkaLog(settings).error().message(), HasSubstr("kafka.fetch.wait.max.ms"));
  settings.kafka = {{"isolation.level", "read_uncommitted"}};
  const auto log = OpenKafkaLog(settings);
  EXPECT_CODE(log, Code::kInvalidArgument);
  EXPECT_THAT(log.error().message(), HasSubstr("kafka.isolation.level"));
}

TEST_P(KafkaLog, TakesSettingsThrough) {
  Settings settings = BrokerSettings();
  settings.kafka = {{"client.id", "of-my-own"}, {"linger.ms", "1"}, {"fetch.min.bytes", "1"}};
  EXPECT_CODE(OpenKafkaLog(settings), Code::kOk);
}

TEST_P(KafkaLog, SaysThatThereAreTooFewBrokersForTheReplication) {
  const TopicSpec spec{.name = Fresh("topic"), .partitions = 2, .replication = 3};
  const Status ensured = log_->EnsureTopics({&spec, 1});
  EXPECT_CODE(ensured, Code::kInvalidArgument);
  EXPECT_THAT(ensured.message(), HasSubstr(spec.name));
  EXPECT_THAT(ensured.message(), HasSubstr("replication factor"));
}

TEST_P(KafkaLog, RefusesATransactionWithARecordThatTheBrokerRefuses) {
  const std::string topic = NewNarrowTopic();
  const auto producer = NewProducer();
  Transaction transaction{.records = To(topic, {"small"})};
  ASSERT_OK(producer->Commit(transaction));
  transaction.records.push_back({topic, 0, "k", std::string(5'000, 'x')});
  EXPECT_CODE(producer->Commit(transaction), Code::kInvalidArgument);
  ASSERT_OK(producer->Commit({.records = To(topic, {"next"})}));
  EXPECT_THAT(Values(ReadCount(*Reader(topic), 2)), ElementsAre("small", "next"));
}

TEST_P(KafkaLog, HidesTheOpenTransactionOfAKilledProcessUntilItsSuccessorEndsIt) {
  const std::string topic = NewTopic();
  const std::string id = Fresh("id");
  const testing::TempDir folder("killed");
  testing::ProcessOptions options;
  options.argv = {TRAWL_OPEN_TRANSACTION, Broker().address(), id, topic, "never"};
  options.stdout_file = folder / "said";
  auto victim = testing::Process::Start(options);
  ASSERT_OK(victim);
  const auto said = [&] { return testing::ReadFile(options.stdout_file); };
  ASSERT_TRUE(testing::WaitUntil([&] { return said() == "open\n"; })) << said();
  (*victim)->Kill();

  const auto reader = Reader(topic);
  EXPECT_THAT(ReadAll(*reader), IsEmpty());
  auto successor = log_->OpenProducer(id);
  ASSERT_OK(successor);
  ASSERT_OK((*successor)->Commit({.records = To(topic, {"after"})}));
  EXPECT_THAT(Values(ReadCount(*reader, 1)), ElementsAre("after"));
}

TEST_P(KafkaLog, KeepsCommittedRecordsAndGoesOnWhenTheBrokerIsKilled) {
  const std::string topic = NewTopic();
  const std::string output = NewTopic();
  const std::string group = Fresh("group");
  const auto producer = NewProducer();
  ASSERT_OK(producer->Commit({.records = To(topic, {"1", "2", "3"})}));
  auto member = Join(group, topic);
  PollUntil({member.get()}, [&] { return member->records.size() == 3; });
  ASSERT_OK(producer->Commit({.records = To(output, {"of 1"}),
                              .consumer = member->consumer.get(),
                              .offsets = {After(member->records[0])}}));
  Broker().Kill();
  // The consumer says so instead of hanging.
  Result<PollResult> polled = PollResult{};
  const auto deadline = steady_clock::now() + testing::kPatience;
  while (polled && steady_clock::now() < deadline)
    polled = member->consumer->Poll(milliseconds(100));
  EXPECT_CODE(polled, Code::kUnavailable);
  ASSERT_OK(Broker().Restart());

  CommitInTheEnd(*producer, {.records = To(topic, {"4"})});
  EXPECT_THAT(Values(ReadCount(*Reader(topic), 4)), ElementsAre("1", "2", "3", "4"));
  EXPECT_THAT(Values(ReadCount(*Reader(output), 1)), ElementsAre("of 1"));
  member->consumer->Close();
  auto successor = Join(group, topic);
  PollUntil({successor.get()}, [&] { return successor->records.size() == 3; });
  EXPECT_THAT(Values(successor->records), ElementsAre("2", "3", "4"));
}

TEST_P(KafkaLog, TakesAnOutageLongerThanItsTransactionsForNoFencing) {
  Settings settings = BrokerSettings();
  settings.transaction_timeout_ms = 2'000;
  auto log = OpenKafkaLog(settings);
  ASSERT_OK(log);
  const std::string topic = NewTopic();
  auto producer = (*log)->OpenProducer(Fresh("id"));
  ASSERT_OK(producer);
  ASSERT_OK((*producer)->Commit({.records = To(topic, {"1"})}));
  Broker().Freeze();
  const Status during = (*producer)->Commit({.records = To(topic, {"2"})});
  Broker().Thaw();
  EXPECT_TRUE(IsRetryable(during.code())) << during.message();
  CommitInTheEnd(**producer, {.records = To(topic, {"3"})});
  const auto values = Values(ReadCount(*Reader(topic), 2));
  EXPECT_EQ(values.back(), "3") << "2 was reported as not committed, and nobody repeated it";
  EXPECT_GE((*log)->Counters().producers_rebuilt, 1U);
}

TEST_P(KafkaLog, ClosesWithinTenSecondsWhileTheBrokerHangs) {
  const std::string topic = NewTopic();
  auto member = Join(Fresh("group"), topic);
  PollUntil({member.get()}, [&] { return !member->witness.owned.empty(); });
  Broker().Freeze();
  const auto began = steady_clock::now();
  member->consumer->Close();
  const auto took = steady_clock::now() - began;
  Broker().Thaw();
  EXPECT_LT(took, seconds(11));
  EXPECT_TRUE(member->witness.owned.empty());
}

}  // namespace
}  // namespace trawl::storage
