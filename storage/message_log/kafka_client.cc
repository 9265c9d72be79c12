#include "storage/message_log/kafka_client.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <future>
#include <string_view>
#include <thread>

#include "storage/message_log/kafka_error.h"

namespace trawl::storage {
namespace {

constexpr int kSyslogWarning = 4;

/// "[thrd:h:1/bootstrap]: h:1/bootstrap: Connect to … failed" → "Connect to … failed".
std::string_view WithoutOrigin(std::string_view line) {
  if (line.starts_with("[thrd:")) {
    if (const size_t end = line.find("]: "); end != line.npos) line.remove_prefix(end + 3);
  }
  const size_t end = line.find(": ");
  if (end != line.npos && line.substr(0, end).find_first_of(" '") == line.npos) {
    line.remove_prefix(end + 2);
  }
  return line;
}

KafkaSignals& SignalsOf(void* opaque) { return *static_cast<KafkaSignals*>(opaque); }

/// False for a connection that never came about.
bool HasSent(int fd) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return true;
  // gVisor counts no segments; its round trips say that there was somebody.
  return info.tcpi_data_segs_out > 0 || info.tcpi_rtt > 0;
}

void InstallCallbacks(rd_kafka_conf_t* conf, KafkaSignals* signals) {
  rd_kafka_conf_set_opaque(conf, signals);
  // librdkafka repeats what was under way on a lost connection, and reports neither that nor, as a
  // rule, the loss: not the end of a silenced kind, nor the second of its kind in 30 s.
  rd_kafka_conf_set_closesocket_cb(conf, [](int fd, void* opaque) {
    if (HasSent(fd)) SignalsOf(opaque).OnConnectionLost();
    return close(fd);
  });
  rd_kafka_conf_set_log_cb(
      conf, [](const rd_kafka_t* handle, int level, const char* facility, const char* line) {
        SignalsOf(rd_kafka_opaque(handle)).OnLog(level, facility, line);
      });
  // Only where somebody polls: elsewhere the events would pile up, and librdkafka logs them
  // instead.
  if (signals->on_rebalance || signals->on_delivery) {
    rd_kafka_conf_set_error_cb(conf, [](rd_kafka_t*, int code, const char* reason, void* opaque) {
      SignalsOf(opaque).OnError(static_cast<rd_kafka_resp_err_t>(code), reason);
    });
  }
  if (signals->on_rebalance) {
    rd_kafka_conf_set_rebalance_cb(
        conf, [](rd_kafka_t*, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t* list,
                 void* opaque) { SignalsOf(opaque).on_rebalance(code, list); });
  }
  if (signals->on_delivery) {
    rd_kafka_conf_set_dr_msg_cb(conf,
                                [](rd_kafka_t*, const rd_kafka_message_t* message, void* opaque) {
                                  SignalsOf(opaque).on_delivery(*message);
                                });
  }
}

}  // namespace

std::string KafkaSignals::LastComplaint() const {
  const std::lock_guard lock(mutex_);
  return complaint_;
}

void KafkaSignals::OnError(rd_kafka_resp_err_t code, const char* reason) {
  switch (code) {
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
      all_brokers_down_ = true;
      ++troubles_;
      return;  // says less than the connection's own complaint before it
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
    case RD_KAFKA_RESP_ERR__RESOLVE:
      ++troubles_;
      break;
    default:
      break;
  }
  const std::lock_guard lock(mutex_);
  complaint_ = WithoutOrigin(reason);
}

void KafkaSignals::OnLog(int level, const char* facility, const char* line) {
  using namespace std::string_view_literals;
  if (facility == "REQTMOUT"sv) ++troubles_;
  if (level > kSyslogWarning || facility == "CONFWARN"sv) return;
  // "1/1 brokers are down" follows the reason and says less.
  if (std::string_view(line).find("brokers are down") != std::string_view::npos) return;
  const std::lock_guard lock(mutex_);
  complaint_ = WithoutOrigin(line);
}

Result<std::shared_ptr<KafkaClient>> KafkaClient::Create(rd_kafka_type_t type, KafkaConf conf,
                                                         std::shared_ptr<KafkaSignals> signals) {
  InstallCallbacks(conf.get(), signals.get());
  char reason[512] = "";
  rd_kafka_t* handle = rd_kafka_new(type, conf.get(), reason, sizeof(reason));
  if (handle == nullptr) return Error(Code::kInvalidArgument, "settings for Kafka: {}", reason);
  static_cast<void>(conf.release());  // rd_kafka_new took it
  return std::shared_ptr<KafkaClient>(new KafkaClient(handle, std::move(signals)));
}

KafkaClient::~KafkaClient() {
  auto done = std::make_shared<std::promise<void>>();
  // The thread shares what callbacks touch, so that it may outlive this object.
  std::thread destroyer([handle = handle_, signals = signals_, done] {
    rd_kafka_destroy_flags(handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    done->set_value();
  });
  if (done->get_future().wait_for(std::chrono::seconds(3)) == std::future_status::ready) {
    destroyer.join();
  } else {
    destroyer.detach();
  }
}

Result<DescribedTopic> DescribeTopic(const KafkaClient& client, const std::string& topic,
                                     std::chrono::milliseconds timeout) {
  DescribedTopic described;
  described.handle.reset(rd_kafka_topic_new(client.get(), topic.c_str(), nullptr));
  if (described.handle == nullptr) {
    return Error(Code::kInvalidArgument, "topic `{}`: {}", topic,
                 rd_kafka_err2str(rd_kafka_last_error()));
  }
  const rd_kafka_metadata_t* metadata = nullptr;
  const auto code = rd_kafka_metadata(client.get(), 0, described.handle.get(), &metadata,
                                      static_cast<int>(timeout.count()));
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return Error(CodeOf(code), "describing topic {}: {}", topic, rd_kafka_err2str(code));
  }
  described.metadata.reset(metadata);
  return described;
}

int MillisUntil(std::chrono::steady_clock::time_point deadline) {
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  return static_cast<int>(std::clamp<int64_t>(left.count(), 0, 3'600'000));
}

}  // namespace trawl::storage
