#include "storage/message_log/kafka_config.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <span>
#include <string_view>
#include <utility>

#include "storage/message_log/message_log.h"

namespace trawl::storage {
namespace {

struct Property {
  std::string name;
  std::string value;
};

/// Names with another way to set them, or on which delivery exactly once rests.
constexpr std::array<std::string_view, 23> kOwnedByTrawl = {"acks",
                                                            "allow.auto.create.topics",
                                                            "auto.commit.enable",
                                                            "auto.offset.reset",
                                                            "bootstrap.servers",
                                                            "check.crcs",
                                                            "delivery.timeout.ms",
                                                            "enable.auto.commit",
                                                            "enable.auto.offset.store",
                                                            "enable.idempotence",
                                                            "enable.partition.eof",
                                                            "group.id",
                                                            "group.instance.id",
                                                            "isolation.level",
                                                            "max.in.flight",
                                                            "max.in.flight.requests.per.connection",
                                                            "message.timeout.ms",
                                                            "metadata.broker.list",
                                                            "partition.assignment.strategy",
                                                            "request.required.acks",
                                                            "session.timeout.ms",
                                                            "transaction.timeout.ms",
                                                            "transactional.id"};

Status Set(rd_kafka_conf_t* conf, const std::string& name, const std::string& value) {
  char reason[512] = "";
  if (rd_kafka_conf_set(conf, name.c_str(), value.c_str(), reason, sizeof(reason)) ==
      RD_KAFKA_CONF_OK) {
    return OkStatus();
  }
  return Error(Code::kInvalidArgument, "setting kafka.{}: {}", name, reason);
}

// A connection with nobody at its other end is given up after about 25 s.
constexpr int kProbeAfterS = 10, kProbeIntervalS = 5, kProbes = 3;

/// A broker whose machine or network is gone says nothing, and for some answers librdkafka waits
/// for minutes: a member that joins its group, for max.poll.interval.ms. So the kernel asks, and
/// not only after two hours, which is its default.
int OpenSocket(int domain, int type, int protocol, void* /*opaque*/) {
  const int fd = socket(domain, type | SOCK_CLOEXEC, protocol);
  if (fd < 0) return fd;
  for (const auto& [option, value] :
       {std::pair(TCP_KEEPIDLE, kProbeAfterS), std::pair(TCP_KEEPINTVL, kProbeIntervalS),
        std::pair(TCP_KEEPCNT, kProbes)}) {
    setsockopt(fd, IPPROTO_TCP, option, &value, sizeof(value));  // at worst, it is the default
  }
  return fd;
}

/// Ours first, then what the user passes through.
Result<KafkaConf> Build(const Settings& settings, std::span<const Property> role) {
  KafkaConf conf(rd_kafka_conf_new());
  rd_kafka_conf_set_socket_cb(conf.get(), OpenSocket);
  const Property common[] = {
      {"bootstrap.servers", settings.brokers},
      {"client.id", "trawl"},
      {"socket.keepalive.enable", "true"},
      {"reconnect.backoff.max.ms", "2000"},  // 10 s by default: most of a broker's restart
      {"log.connection.close", "false"},     // brokers reap idle connections; that is no news
  };
  for (const Property& p : common) TRAWL_TRY(Set(conf.get(), p.name, p.value));
  for (const Property& p : role) TRAWL_TRY(Set(conf.get(), p.name, p.value));
  for (const auto& [name, value] : settings.kafka) {
    if (std::ranges::find(kOwnedByTrawl, name) != kOwnedByTrawl.end()) {
      return Error(Code::kInvalidArgument,
                   "setting kafka.{}: Trawl sets this itself, because its guarantees rest on it",
                   name);
    }
    TRAWL_TRY(Set(conf.get(), name, value));
  }
  return conf;
}

std::vector<Property> ConsumerProperties(const std::string& group) {
  return {
      {"group.id", group},
      // Besides hiding what was aborted, this is what makes the broker hold back committed offsets
      // while a transaction that changes them is open (KIP-447). Without it a rebalance can hand
      // out old ones.
      {"isolation.level", "read_committed"},
      {"check.crcs", "true"},
      {"enable.auto.commit", "false"},  // offsets travel in transactions only
      {"enable.auto.offset.store", "false"},
      {"enable.partition.eof", "true"},       // PollResult::end_of
      {"allow.auto.create.topics", "false"},  // a typo must not become a topic
      // A pause or a seek takes effect after the fetch in flight, which an idle broker would hold
      // for 500 ms.
      {"fetch.wait.max.ms", "100"},
      {"fetch.error.backoff.ms", "100"},
      {"fetch.message.max.bytes", "1048576"},
      {"fetch.max.bytes", std::to_string(kMaxRecordBytes + kRecordOverheadBytes)},
  };
}

}  // namespace

Result<KafkaConf> AdminConf(const Settings& settings) {
  // A consumer, since the metadata requests of a producer create topics where the broker allows it.
  const Property role[] = {
      {"allow.auto.create.topics", "false"},
      // The end of a partition is where it ends, not where the oldest open transaction begins.
      {"isolation.level", "read_uncommitted"},
  };
  return Build(settings, role);
}

Result<KafkaConf> GroupConsumerConf(const Settings& settings, const std::string& group) {
  std::vector<Property> role = ConsumerProperties(group);
  const Property more[] = {
      {"auto.offset.reset",
       "earliest"},  // the default would skip what was enqueued before the group
      // Eager. The sticky ones of librdkafka 2.0 give a partition two owners or abort (#4252,
      // #4381, #4800).
      {"partition.assignment.strategy", "range"},
      {"session.timeout.ms", std::to_string(settings.session_timeout_ms)},
      // Members learn of a rebalance by their next heartbeat.
      {"heartbeat.interval.ms",
       std::to_string(std::min<int64_t>(1'000, settings.session_timeout_ms / 3))},
      {"max.poll.interval.ms",
       std::to_string(std::max<int64_t>(300'000, settings.session_timeout_ms))},
      // librdkafka 2.0 looks only once a second whether a full queue has room again, so the queue
      // has to last for longer than that: bytes bound it, and no number of messages does.
      {"queued.min.messages", "100000"},
      {"queued.max.messages.kbytes", "4096"},
      // Of each partition at a time; what is larger comes alone. Many partitions at 1 MiB each
      // would be more than what is queued.
      {"fetch.message.max.bytes", "262144"},
  };
  role.insert(role.end(), std::begin(more), std::end(more));
  return Build(settings, role);
}

Result<KafkaConf> AssignedConsumerConf(const Settings& settings) {
  // The client insists on a group although it will not join one; ours is the one that access rules
  // allow.
  std::vector<Property> role = ConsumerProperties(settings.group);
  role.push_back(
      {"auto.offset.reset", "error"});  // a reader that knows its offset must not be moved
  role.push_back({"queued.max.messages.kbytes", "16384"});
  return Build(settings, role);
}

Result<KafkaConf> ProducerConf(const Settings& settings, const std::string& transactional_id) {
  // Within the life of one transaction there is time for a request to fail and be repeated; a
  // message gives up before its transaction does.
  const int64_t transaction_ms = settings.transaction_timeout_ms;
  const int64_t request_ms = std::clamp<int64_t>(transaction_ms / 3, 1'000, 10'000);
  const Property role[] = {
      {"transactional.id", transactional_id},
      {"transaction.timeout.ms", std::to_string(transaction_ms)},
      {"message.timeout.ms", std::to_string(std::max<int64_t>(transaction_ms * 2 / 3, 1'000))},
      {"request.timeout.ms", std::to_string(request_ms)},
      {"socket.timeout.ms", std::to_string(request_ms)},
      // Also the wait after CONCURRENT_TRANSACTIONS, which each of two transactions in a row meets:
      // 100 ms otherwise.
      {"retry.backoff.ms", "10"},
      {"message.max.bytes", std::to_string(kMaxRecordBytes + kRecordOverheadBytes)},
      {"queue.buffering.max.kbytes", "32768"},
      {"partitioner", "murmur2_random"},  // as other languages' clients do
  };
  return Build(settings, role);
}

}  // namespace trawl::storage
