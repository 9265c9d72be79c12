#include "storage/message_log/kafka_admin.h"

#include <algorithm>
#include <vector>

#include "config/clock.h"
#include "storage/message_log/kafka_config.h"
#include "storage/message_log/kafka_error.h"

namespace trawl::storage {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::chrono::seconds kPatience{10};

using AdminOptions =
    std::unique_ptr<rd_kafka_AdminOptions_t, Destroyer<rd_kafka_AdminOptions_destroy>>;
using NewTopic = std::unique_ptr<rd_kafka_NewTopic_t, Destroyer<rd_kafka_NewTopic_destroy>>;
using Event = std::unique_ptr<rd_kafka_event_t, Destroyer<rd_kafka_event_destroy>>;

Result<NewTopic> Definition(const TopicSpec& spec) {
  char reason[512] = "";
  NewTopic topic(rd_kafka_NewTopic_new(spec.name.c_str(), spec.partitions, spec.replication, reason,
                                       sizeof(reason)));
  if (topic == nullptr) {
    return Error(Code::kInvalidArgument, "creating topic {}: {}", spec.name, reason);
  }
  const auto set = [&](const char* name, const std::string& value) {
    rd_kafka_NewTopic_set_config(topic.get(), name, value.c_str());
  };
  set("cleanup.policy", spec.compacted ? "compact" : "delete");
  set("max.message.bytes", std::to_string(kMaxRecordBytes + kRecordOverheadBytes));
  if (!spec.compacted) set("retention.ms", std::to_string(spec.retention_ms));
  // With three copies an acknowledged record must survive the loss of the leader; two of three
  // still take writes while one broker is down.
  if (spec.replication >= 3) set("min.insync.replicas", "2");
  return topic;
}

Status CheckCreated(const rd_kafka_event_t& event) {
  if (const auto code = rd_kafka_event_error(const_cast<rd_kafka_event_t*>(&event));
      code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return Error(CodeOf(code), "creating topics: {}",
                 rd_kafka_event_error_string(const_cast<rd_kafka_event_t*>(&event)));
  }
  size_t count = 0;
  const rd_kafka_topic_result_t** results = rd_kafka_CreateTopics_result_topics(
      rd_kafka_event_CreateTopics_result(const_cast<rd_kafka_event_t*>(&event)), &count);
  for (size_t i = 0; i < count; ++i) {
    const auto code = rd_kafka_topic_result_error(results[i]);
    // Another process was faster; that is what we wanted.
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
      continue;
    return Error(CodeOf(code), "creating topic {}: {}", rd_kafka_topic_result_name(results[i]),
                 rd_kafka_topic_result_error_string(results[i]));
  }
  return OkStatus();
}

}  // namespace

Result<std::unique_ptr<KafkaAdmin>> KafkaAdmin::Open(const Settings& settings) {
  TRAWL_ASSIGN(KafkaConf conf, AdminConf(settings));
  TRAWL_ASSIGN(auto client, KafkaClient::Create(RD_KAFKA_CONSUMER, std::move(conf),
                                                std::make_shared<KafkaSignals>()));
  std::unique_ptr<KafkaAdmin> admin(new KafkaAdmin(settings.brokers, std::move(client)));
  if (auto id = admin->ClusterId(); !id) return tl::unexpected(id.error());
  return admin;
}

Status KafkaAdmin::Unreachable(const std::string& fallback) const {
  std::string reason = client_->signals().LastComplaint();
  if (reason.empty()) reason = fallback;
  return Status(Code::kUnavailable, fmt::format("reaching Kafka at {}: {}", brokers_, reason));
}

Result<std::string> KafkaAdmin::ClusterId() {
  char* id = rd_kafka_clusterid(client_->get(), MillisUntil(steady_clock::now() + kPatience));
  if (id == nullptr) {
    return tl::unexpected(Unreachable("no broker answered within 10 s"));
  }
  std::string copy = id;
  rd_kafka_mem_free(client_->get(), id);
  return copy;
}

Result<KafkaAdmin::TopicState> KafkaAdmin::Describe(const std::string& topic, Deadline deadline) {
  const auto described = DescribeTopic(*client_, topic, milliseconds(MillisUntil(deadline)));
  if (!described) {
    const Status& why = described.error();
    return why.code() == Code::kUnavailable ? tl::unexpected(Unreachable(why.message()))
                                            : tl::unexpected(why);
  }
  TopicState state;
  const rd_kafka_metadata_topic_t* found = described->found();
  if (found == nullptr) return state;
  if (const Code code = CodeOf(found->err);
      code == Code::kPermissionDenied || code == Code::kInvalidArgument) {
    return Error(code, "topic {}: {}", topic, rd_kafka_err2str(found->err));
  }
  state.partitions = found->partition_cnt;
  state.ready = found->partition_cnt > 0;
  for (int p = 0; p < found->partition_cnt; ++p) {
    if (found->partitions[p].leader < 0) state.ready = false;
  }
  return state;
}

Result<KafkaAdmin::TopicState> KafkaAdmin::Find(const std::string& topic, Deadline deadline) {
  while (true) {
    TRAWL_ASSIGN(const TopicState state, Describe(topic, deadline));
    const auto now = steady_clock::now();
    if (state.partitions > 0 || now >= deadline || !IsNew(topic, now)) return state;
    SystemClock().SleepFor(milliseconds(20));
  }
}

bool KafkaAdmin::IsNew(const std::string& topic, Deadline now) {
  const std::lock_guard lock(mutex_);
  const auto found = ensured_at_.find(topic);
  return found != ensured_at_.end() && now - found->second < kPatience;
}

Result<int> KafkaAdmin::PartitionCount(const std::string& topic) {
  TRAWL_ASSIGN(const TopicState state, Find(topic, steady_clock::now() + kPatience));
  if (state.partitions == 0) return Error(Code::kNotFound, "there is no topic {}", topic);
  return state.partitions;
}

Result<LogExtent> KafkaAdmin::Extent(const TopicPartition& at) {
  const Deadline deadline = steady_clock::now() + kPatience;
  TRAWL_ASSIGN(const TopicState state, Find(at.topic, deadline));
  if (at.partition < 0 || at.partition >= state.partitions)
    return Error(Code::kNotFound, "there is no partition {}/{}", at.topic, at.partition);
  while (true) {
    LogExtent extent;
    const auto code =
        rd_kafka_query_watermark_offsets(client_->get(), at.topic.c_str(), at.partition,
                                         &extent.first, &extent.end, MillisUntil(deadline));
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return extent;
    const bool unavailable = CodeOf(code) == Code::kUnavailable;
    // Until a new leader has heard that it is one, it says that it is none, or knows no topic.
    const bool passing = unavailable || code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    if (passing && steady_clock::now() < deadline) {
      SystemClock().SleepFor(milliseconds(20));
      continue;
    }
    if (unavailable) return tl::unexpected(Unreachable(rd_kafka_err2str(code)));
    return Error(CodeOf(code), "asking for the offsets of {}/{}: {}", at.topic, at.partition,
                 rd_kafka_err2str(code));
  }
}

Status KafkaAdmin::Create(std::span<const TopicSpec> topics, Deadline deadline) {
  std::vector<NewTopic> owned;
  std::vector<rd_kafka_NewTopic_t*> raw;
  for (const TopicSpec& spec : topics) {
    TRAWL_ASSIGN(NewTopic topic, Definition(spec));
    raw.push_back(topic.get());
    owned.push_back(std::move(topic));
  }
  const AdminOptions options(
      rd_kafka_AdminOptions_new(client_->get(), RD_KAFKA_ADMIN_OP_CREATETOPICS));
  char reason[256] = "";
  if (const auto code = rd_kafka_AdminOptions_set_request_timeout(
          options.get(), std::max(MillisUntil(deadline), 1), reason, sizeof(reason));
      code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return Error(Code::kInternal, "creating topics: {}", reason);
  }
  const KafkaQueue queue(rd_kafka_queue_new(client_->get()));
  rd_kafka_CreateTopics(client_->get(), raw.data(), raw.size(), options.get(), queue.get());
  // The request has its own time-out, after which the event arrives for certain.
  const Event event(rd_kafka_queue_poll(queue.get(), -1));
  return CheckCreated(*event);
}

Status KafkaAdmin::WaitUntilReady(const std::string& topic, Deadline deadline) {
  while (true) {
    TRAWL_ASSIGN(const TopicState state, Describe(topic, deadline));
    if (state.ready) return OkStatus();
    if (steady_clock::now() >= deadline) {
      return Error(Code::kUnavailable, "creating topic {}: it has partitions without a leader",
                   topic);
    }
    SystemClock().SleepFor(milliseconds(20));
  }
}

Status KafkaAdmin::EnsureTopics(std::span<const TopicSpec> topics) {
  const Deadline deadline = steady_clock::now() + kPatience;
  // Each question costs the way to the brokers and back, so none is asked twice.
  std::vector<TopicSpec> missing;
  std::vector<std::string> not_ready;
  for (const TopicSpec& spec : topics) {
    if (IsNew(spec.name, steady_clock::now())) continue;
    TRAWL_ASSIGN(const TopicState state, Describe(spec.name, deadline));
    if (state.partitions == 0) missing.push_back(spec);
    if (!state.ready) not_ready.push_back(spec.name);
  }
  if (!missing.empty()) TRAWL_TRY(Create(missing, deadline));
  for (const std::string& topic : not_ready) TRAWL_TRY(WaitUntilReady(topic, deadline));
  const std::lock_guard lock(mutex_);
  for (const TopicSpec& spec : topics) ensured_at_.insert_or_assign(spec.name, steady_clock::now());
  return OkStatus();
}

}  // namespace trawl::storage
