// Goal: each kind of handle gets the properties that Trawl's promise rests on, and nobody can take
// them away. Method: read the configurations back from librdkafka; nothing is connected.

#include "storage/message_log/kafka_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "storage/message_log/kafka_error.h"

namespace trawl::storage {
namespace {

using ::testing::HasSubstr;

std::string Get(const KafkaConf& conf, const char* name) {
  char value[256] = "";
  size_t size = sizeof(value);
  EXPECT_EQ(rd_kafka_conf_get(conf.get(), name, value, &size), RD_KAFKA_CONF_OK) << name;
  return value;
}

Settings SomeSettings() {
  Settings settings;
  settings.brokers = "one:9092,two:9092";
  settings.group = "workers";
  settings.transaction_timeout_ms = 30'000;
  settings.session_timeout_ms = 45'000;
  return settings;
}

TEST(KafkaConfig, KeepsMembersOfAGroupFromLosingOrRepeating) {
  const auto conf = GroupConsumerConf(SomeSettings(), "workers");
  ASSERT_TRUE(conf) << conf.error().message();
  EXPECT_EQ(Get(*conf, "group.id"), "workers");
  EXPECT_EQ(Get(*conf, "isolation.level"), "read_committed");
  EXPECT_EQ(Get(*conf, "enable.auto.commit"), "false");
  EXPECT_EQ(Get(*conf, "enable.auto.offset.store"), "false");
  EXPECT_EQ(Get(*conf, "check.crcs"), "true");
  EXPECT_EQ(Get(*conf, "allow.auto.create.topics"), "false");
  EXPECT_EQ(Get(*conf, "partition.assignment.strategy"), "range");
  EXPECT_EQ(Get(*conf, "session.timeout.ms"), "45000");
}

TEST(KafkaConfig, SendsReadersOfAssignedPartitionsNowhereElse) {
  const auto conf = AssignedConsumerConf(SomeSettings());
  ASSERT_TRUE(conf) << conf.error().message();
  EXPECT_EQ(Get(*conf, "isolation.level"), "read_committed");
  EXPECT_EQ(Get(*conf, "enable.auto.commit"), "false");
}

TEST(KafkaConfig, FitsRequestsAndMessagesIntoATransaction) {
  for (const int64_t timeout_ms : {2'000, 30'000, 900'000}) {
    Settings settings = SomeSettings();
    settings.transaction_timeout_ms = timeout_ms;
    auto conf = ProducerConf(settings, "id");
    ASSERT_TRUE(conf) << conf.error().message();
    EXPECT_EQ(Get(*conf, "transactional.id"), "id");
    EXPECT_EQ(Get(*conf, "transaction.timeout.ms"), std::to_string(timeout_ms));
    EXPECT_LT(std::stoll(Get(*conf, "socket.timeout.ms")), timeout_ms);
    // librdkafka checks the rest when a handle is made.
    EXPECT_TRUE(
        KafkaClient::Create(RD_KAFKA_PRODUCER, std::move(*conf), std::make_shared<KafkaSignals>()));
  }
}

TEST(KafkaConfig, PassesOtherNamesThrough) {
  Settings settings = SomeSettings();
  settings.kafka = {{"fetch.max.bytes", "12345678"}, {"linger.ms", "7"}};
  const auto conf = GroupConsumerConf(settings, "g");
  ASSERT_TRUE(conf) << conf.error().message();
  EXPECT_EQ(Get(*conf, "fetch.max.bytes"), "12345678");
}

TEST(KafkaConfig, RefusesNamesThatItsPromiseRestsOn) {
  for (const char* name : {"isolation.level", "enable.auto.commit", "auto.offset.reset", "acks",
                           "transactional.id", "bootstrap.servers", "enable.idempotence"}) {
    Settings settings = SomeSettings();
    settings.kafka = {{name, "whatever"}};
    const auto conf = ProducerConf(settings, "id");
    ASSERT_FALSE(conf) << name;
    EXPECT_EQ(conf.error().code(), Code::kInvalidArgument);
    EXPECT_THAT(conf.error().message(), HasSubstr(name));
  }
}

TEST(KafkaConfig, NamesThePropertyThatLibrdkafkaDoesNotKnow) {
  Settings settings = SomeSettings();
  settings.kafka = {{"fetch.max.bites", "1"}};
  const auto conf = AdminConf(settings);
  ASSERT_FALSE(conf);
  EXPECT_EQ(conf.error().code(), Code::kInvalidArgument);
  EXPECT_THAT(conf.error().message(), HasSubstr("fetch.max.bites"));
}

TEST(KafkaSignals, KeepTheNewestComplaintWithoutItsOrigin) {
  KafkaSignals signals;
  EXPECT_EQ(signals.LastComplaint(), "");
  signals.OnLog(3, "FAIL",
                "[thrd:h:1/bootstrap]: h:1/bootstrap: Connect to ipv4#h:1 failed: refused");
  EXPECT_EQ(signals.LastComplaint(), "Connect to ipv4#h:1 failed: refused");
  signals.OnLog(6, "INFO", "all is well");
  signals.OnLog(3, "ERROR", "1/1 brokers are down");
  EXPECT_EQ(signals.LastComplaint(), "Connect to ipv4#h:1 failed: refused");
  signals.OnError(RD_KAFKA_RESP_ERR__TRANSPORT, "h:1/1: Disconnected (after 5ms in state UP)");
  EXPECT_EQ(signals.LastComplaint(), "Disconnected (after 5ms in state UP)");
}

TEST(KafkaSignals, CountTroublesAndTellOnceThatAllBrokersAreDown) {
  KafkaSignals signals;
  signals.OnError(RD_KAFKA_RESP_ERR__TRANSPORT, "lost");
  signals.OnError(RD_KAFKA_RESP_ERR__TIMED_OUT, "slow");
  signals.OnLog(5, "REQTMOUT", "Timed out 1 in-flight request");
  signals.OnConnectionLost();
  EXPECT_EQ(signals.troubles(), 4U);
  EXPECT_FALSE(signals.TakeAllBrokersDown());
  signals.OnError(RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, "1/1 brokers are down");
  EXPECT_TRUE(signals.TakeAllBrokersDown());
  EXPECT_FALSE(signals.TakeAllBrokersDown());
}

TEST(KafkaError, IsDefiniteOnlyWhereTheBrokerIs) {
  EXPECT_EQ(CodeOf(RD_KAFKA_RESP_ERR_NO_ERROR), Code::kOk);
  EXPECT_EQ(CodeOf(RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE), Code::kInvalidArgument);
  EXPECT_EQ(CodeOf(RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED), Code::kPermissionDenied);
  EXPECT_EQ(CodeOf(RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET), Code::kFailedPrecondition);
  EXPECT_EQ(CodeOf(RD_KAFKA_RESP_ERR__BAD_MSG), Code::kDataLoss);
  for (const auto passing : {RD_KAFKA_RESP_ERR__TRANSPORT, RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
                             RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION, RD_KAFKA_RESP_ERR__TIMED_OUT,
                             RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS}) {
    EXPECT_TRUE(IsRetryable(CodeOf(passing))) << rd_kafka_err2name(passing);
  }
}

TEST(KafkaError, KnowsAFencedProducer) {
  for (const auto code : {RD_KAFKA_RESP_ERR__FENCED, RD_KAFKA_RESP_ERR_PRODUCER_FENCED,
                          RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH}) {
    EXPECT_TRUE(KafkaFailure{.code = code}.fenced());
  }
  EXPECT_FALSE(KafkaFailure{.code = RD_KAFKA_RESP_ERR__TIMED_OUT}.fenced());
}

}  // namespace
}  // namespace trawl::storage
