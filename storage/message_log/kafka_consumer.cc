#include "storage/message_log/kafka_consumer.h"

#include "storage/message_log/kafka_config.h"
#include "storage/message_log/kafka_error.h"

namespace trawl::storage {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// Close is bounded to 10 s: this long for leaving the group, and KafkaClient's 3 s for the handle.
constexpr std::chrono::seconds kLeaveWithin{6};
constexpr std::chrono::seconds kDescribeWithin{10};
constexpr int kCommittedWithinMs = 10'000;
/// A topic that was made a moment ago may be unknown to some brokers for this long.
constexpr std::chrono::seconds kTopicGrace{30};

TopicPartition Of(const rd_kafka_topic_partition_t& entry) {
  return {entry.topic, entry.partition};
}

std::vector<TopicPartition> Of(const rd_kafka_topic_partition_list_t& list) {
  std::vector<TopicPartition> partitions;
  for (int i = 0; i < list.cnt; ++i) partitions.push_back(Of(list.elems[i]));
  return partitions;
}

template <class Range>
KafkaPartitions ListOf(const Range& partitions) {
  KafkaPartitions list(rd_kafka_topic_partition_list_new(static_cast<int>(std::size(partitions))));
  for (const TopicPartition& at : partitions) {
    rd_kafka_topic_partition_list_add(list.get(), at.topic.c_str(), at.partition);
  }
  return list;
}

/// The first failure among the partitions' own results.
Status CheckEach(const rd_kafka_topic_partition_list_t& list) {
  for (int i = 0; i < list.cnt; ++i) {
    if (const auto code = list.elems[i].err; code != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return Error(CodeOf(code), "{}[{}]: {}", list.elems[i].topic, list.elems[i].partition,
                   rd_kafka_err2str(code));
    }
  }
  return OkStatus();
}

/// librdkafka before 2.1 takes this one time-out in microseconds (#4230).
int SeekTimeout(milliseconds timeout) {
  const int ms = static_cast<int>(timeout.count());
  return rd_kafka_version() < 0x020100ff ? ms * 1'000 : ms;
}

LogRecord ToRecord(const rd_kafka_message_t& message) {
  LogRecord record;
  record.at = {rd_kafka_topic_name(message.rkt), message.partition};
  record.offset = message.offset;
  if (message.key != nullptr) {
    record.key.assign(static_cast<const char*>(message.key), message.key_len);
  }
  if (message.payload != nullptr) {
    record.value.assign(static_cast<const char*>(message.payload), message.len);
  }
  record.timestamp_ms = rd_kafka_message_timestamp(&message, nullptr);
  return record;
}

}  // namespace

Result<std::unique_ptr<LogConsumer>> KafkaConsumer::Subscribe(
    const Settings& settings, const std::string& group, const std::vector<std::string>& topics,
    RebalanceListener& listener, KafkaCounters& counters) {
  std::unique_ptr<KafkaConsumer> consumer(new KafkaConsumer(settings, counters));
  consumer->group_ = group;
  consumer->topics_ = topics;
  consumer->listener_ = &listener;
  TRAWL_TRY(consumer->Join());
  return consumer;
}

Result<std::unique_ptr<LogConsumer>> KafkaConsumer::Assign(const Settings& settings,
                                                           const std::vector<TopicOffset>& offsets,
                                                           KafkaCounters& counters) {
  std::unique_ptr<KafkaConsumer> consumer(new KafkaConsumer(settings, counters));
  TRAWL_TRY(consumer->Connect(AssignedConsumerConf(settings)));
  // Known topics first: a partition without a known leader is taken up only half a second later.
  std::map<std::string, DescribedTopic> known;
  KafkaPartitions list(rd_kafka_topic_partition_list_new(static_cast<int>(offsets.size())));
  for (const TopicOffset& from : offsets) {
    if (!known.contains(from.at.topic)) {
      TRAWL_ASSIGN(known[from.at.topic],
                   DescribeTopic(*consumer->client_, from.at.topic, kDescribeWithin));
    }
    rd_kafka_topic_partition_list_add(list.get(), from.at.topic.c_str(), from.at.partition)
        ->offset = from.offset == kBeginning ? RD_KAFKA_OFFSET_BEGINNING : from.offset;
    consumer->owned_.insert(from.at);
    if (from.offset != kBeginning) consumer->expected_[from.at] = from.offset;
  }
  if (const auto code = rd_kafka_assign(consumer->client_->get(), list.get());
      code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return Error(CodeOf(code), "assigning partitions: {}", rd_kafka_err2str(code));
  }
  return consumer;
}

Result<std::vector<TopicOffset>> KafkaConsumer::CommittedOffsets(const Settings& settings,
                                                                 const std::string& group,
                                                                 const std::string& topic,
                                                                 int partitions) {
  TRAWL_ASSIGN(KafkaConf conf, GroupConsumerConf(settings, group));
  TRAWL_ASSIGN(const auto client, KafkaClient::Create(RD_KAFKA_CONSUMER, std::move(conf),
                                                      std::make_shared<KafkaSignals>()));
  std::vector<TopicOffset> offsets;
  for (int32_t partition = 0; partition < partitions; ++partition)
    offsets.push_back({{topic, partition}, kBeginning});
  const KafkaPartitions list(rd_kafka_topic_partition_list_new(partitions));
  for (const TopicOffset& offset : offsets)
    rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), offset.at.partition);
  if (const auto code = rd_kafka_committed(client->get(), list.get(), kCommittedWithinMs);
      code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return Error(CodeOf(code), "reading the offsets of group {}: {}", group,
                 rd_kafka_err2str(code));
  }
  TRAWL_TRY(CheckEach(*list));
  for (int i = 0; i < list->cnt; ++i) {
    if (list->elems[i].offset >= 0) offsets[static_cast<size_t>(i)].offset = list->elems[i].offset;
  }
  return offsets;
}

std::shared_ptr<KafkaClient> KafkaConsumer::client() {
  const std::lock_guard lock(mutex_);
  return client_;
}

Status KafkaConsumer::Connect(Result<KafkaConf> conf) {
  if (!conf) return conf.error();
  auto signals = std::make_shared<KafkaSignals>();
  signals->on_rebalance = [this](rd_kafka_resp_err_t event, rd_kafka_topic_partition_list_t* list) {
    OnRebalance(event, list);
  };
  TRAWL_ASSIGN(auto created,
               KafkaClient::Create(RD_KAFKA_CONSUMER, std::move(*conf), std::move(signals)));
  // Everything arrives through rd_kafka_consumer_poll from here on.
  rd_kafka_poll_set_consumer(created->get());
  joined_at_ = steady_clock::now();
  const std::lock_guard lock(mutex_);
  client_ = std::move(created);
  return OkStatus();
}

Status KafkaConsumer::Join() {
  TRAWL_TRY(Connect(GroupConsumerConf(settings_, group_)));
  const KafkaPartitions list(rd_kafka_topic_partition_list_new(static_cast<int>(topics_.size())));
  for (const std::string& topic : topics_) {
    rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), RD_KAFKA_PARTITION_UA);
  }
  if (const auto code = rd_kafka_subscribe(client()->get(), list.get());
      code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return Error(CodeOf(code), "joining group {}: {}", group_, rd_kafka_err2str(code));
  }
  return OkStatus();
}

Result<PollResult> KafkaConsumer::Poll(milliseconds timeout) {
  if (closed_) return Error(Code::kFailedPrecondition, "the consumer is closed");
  if (client() == nullptr)
    TRAWL_TRY(Join());  // an earlier attempt to join again did not get through
  const auto deadline = steady_clock::now() + timeout;
  const auto polled = client();
  while (true) {
    const KafkaMessage message(rd_kafka_consumer_poll(polled->get(), MillisUntil(deadline)));
    if (message == nullptr) return Quiet();
    if (auto result = Interpret(*message)) return std::move(*result);
    if (steady_clock::now() >= deadline) return PollResult{};
  }
}

Result<PollResult> KafkaConsumer::Quiet() {
  KafkaSignals& signals = client()->signals();
  if (!signals.TakeAllBrokersDown()) return PollResult{};
  return Error(Code::kUnavailable, "reaching Kafka at {}: {}", settings_.brokers,
               signals.LastComplaint());
}

std::optional<Result<PollResult>> KafkaConsumer::Interpret(const rd_kafka_message_t& message) {
  if (message.err != RD_KAFKA_RESP_ERR_NO_ERROR) return InterpretError(message);
  LogRecord record = ToRecord(message);
  const auto [next, first] = expected_.try_emplace(record.at, record.offset);
  // A gap is legal (control records, aborted and compacted ones); a step back is not.
  if (!first && record.offset < next->second) {
    ++counters_.stale_records_dropped;
    return std::nullopt;
  }
  next->second = record.offset + 1;
  return PollResult{.record = std::move(record), .end_of = {}};
}

std::optional<Result<PollResult>> KafkaConsumer::InterpretError(const rd_kafka_message_t& message) {
  const std::string where =
      message.rkt == nullptr
          ? fmt::format("group {}", group_)
          : fmt::format("{}[{}]", rd_kafka_topic_name(message.rkt), message.partition);
  const std::string why = rd_kafka_message_errstr(&message);
  const auto fail = [&](Code code) -> Result<PollResult> {
    return Error(code, "reading {}: {}", where, why);
  };
  switch (message.err) {
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
      return PollResult{
          .record = {},
          .end_of = TopicPartition{rd_kafka_topic_name(message.rkt), message.partition},
          .end_offset = message.offset};
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
      return Result<PollResult>(Error(Code::kFailedPrecondition,
                                      "reading {}: offset {} does not exist (any more): {}", where,
                                      message.offset, why));
    case RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED:
      return std::nullopt;  // OnLost follows, and the group is joined again
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
      return fail(steady_clock::now() - joined_at_ < kTopicGrace ? Code::kUnavailable
                                                                 : Code::kFailedPrecondition);
    case RD_KAFKA_RESP_ERR__FATAL:
      if (Status rejoined = Rejoin(); !rejoined.ok()) return tl::unexpected(rejoined);
      return PollResult{};
    default:
      return fail(CodeOf(message.err));
  }
}

void KafkaConsumer::OnRebalance(rd_kafka_resp_err_t event,
                                rd_kafka_topic_partition_list_t* partitions) {
  if (event == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
    TakeAssignment(partitions);
  } else {
    GiveUpAssignment();
  }
}

void KafkaConsumer::TakeAssignment(rd_kafka_topic_partition_list_t* partitions) {
  const std::vector<TopicPartition> assigned = Of(*partitions);
  paused_.clear();
  expected_.clear();
  {
    const std::lock_guard lock(mutex_);
    owned_ = {assigned.begin(), assigned.end()};
    ++assignments_;
  }
  rd_kafka_assign(client()->get(), partitions);
  listener_->OnAssigned(assigned);
}

std::vector<TopicPartition> KafkaConsumer::Owned() {
  const std::lock_guard lock(mutex_);
  return {owned_.begin(), owned_.end()};
}

void KafkaConsumer::GiveUpAssignment() {
  const auto current = client();
  const std::vector<TopicPartition> given_up = Owned();
  if (!given_up.empty()) {
    if (rejoining_ || rd_kafka_assignment_lost(current->get()) != 0) {
      listener_->OnLost(given_up);
    } else {
      listener_->OnRevoked(given_up);
    }
  }
  // A pause is remembered by the handle beyond the assignment; whoever gets the partition next
  // starts afresh.
  if (!paused_.empty()) rd_kafka_resume_partitions(current->get(), ListOf(paused_).get());
  paused_.clear();
  expected_.clear();
  {
    const std::lock_guard lock(mutex_);
    owned_.clear();
    ++assignments_;
  }
  rd_kafka_assign(current->get(), nullptr);
}

Status KafkaConsumer::Pause(std::span<const TopicPartition> partitions) {
  return SetPaused(partitions, true);
}

Status KafkaConsumer::Resume(std::span<const TopicPartition> partitions) {
  return SetPaused(partitions, false);
}

Status KafkaConsumer::SetPaused(std::span<const TopicPartition> partitions, bool paused) {
  std::set<TopicPartition> change;
  const auto current = client();
  if (current == nullptr) return OkStatus();  // nothing is assigned
  {
    const std::lock_guard lock(mutex_);
    for (const TopicPartition& at : partitions) {
      if (owned_.contains(at) && paused_.contains(at) != paused) change.insert(at);
    }
  }
  if (change.empty()) return OkStatus();
  const KafkaPartitions list = ListOf(change);
  const auto code = paused ? rd_kafka_pause_partitions(current->get(), list.get())
                           : rd_kafka_resume_partitions(current->get(), list.get());
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return Error(CodeOf(code), "{} partitions: {}", paused ? "pausing" : "resuming",
                 rd_kafka_err2str(code));
  }
  TRAWL_TRY(CheckEach(*list));
  for (const TopicPartition& at : change) {
    if (paused) {
      paused_.insert(at);
    } else {
      paused_.erase(at);
    }
  }
  return OkStatus();
}

Status KafkaConsumer::RewindToCommitted() {
  if (closed_) return Error(Code::kFailedPrecondition, "the consumer is closed");
  if (group_.empty()) return Error(Code::kInvalidArgument, "only a group has committed offsets");
  if (client() != nullptr && SeekToCommitted().ok()) return OkStatus();
  return Rejoin();
}

Status KafkaConsumer::SeekToCommitted() {
  const auto current = client();
  const KafkaPartitions list = ListOf(Owned());
  expected_.clear();
  if (list->cnt == 0) return OkStatus();
  if (const auto code = rd_kafka_committed(current->get(), list.get(), kCommittedWithinMs);
      code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return Error(CodeOf(code), "reading committed offsets: {}", rd_kafka_err2str(code));
  }
  TRAWL_TRY(CheckEach(*list));
  for (int i = 0; i < list->cnt; ++i) {
    rd_kafka_topic_partition_t& entry = list->elems[i];
    if (entry.offset < 0) {
      entry.offset = RD_KAFKA_OFFSET_BEGINNING;  // nothing committed yet
    } else {
      expected_[Of(entry)] = entry.offset;
    }
  }
  const KafkaError failure(
      rd_kafka_seek_partitions(current->get(), list.get(), SeekTimeout(std::chrono::seconds(10))));
  if (failure != nullptr) {
    return Error(Code::kUnavailable, "seeking: {}", rd_kafka_error_string(failure.get()));
  }
  return CheckEach(*list);
}

Status KafkaConsumer::Rejoin() {
  ++counters_.consumers_rejoined;
  rejoining_ = true;
  Leave();
  rejoining_ = false;
  return Join();
}

void KafkaConsumer::Leave() {
  const auto current = client();
  if (current == nullptr) return;
  if (group_.empty()) {
    rd_kafka_assign(current->get(), nullptr);
  } else {
    // rd_kafka_consumer_close() can block for ever (#4187): serve the rebalance callback ourselves,
    // and only so long.
    const KafkaQueue queue(rd_kafka_queue_new(current->get()));
    const KafkaError failure(rd_kafka_consumer_close_queue(current->get(), queue.get()));
    const auto deadline = steady_clock::now() + kLeaveWithin;
    while (failure == nullptr && rd_kafka_consumer_closed(current->get()) == 0 &&
           steady_clock::now() < deadline) {
      const KafkaMessage ignored(rd_kafka_consume_queue(queue.get(), 50));
    }
    // The callback did not come: the group will find out by itself that this member is gone.
    if (const auto owned = Owned(); !owned.empty()) listener_->OnLost(owned);
  }
  const std::lock_guard lock(mutex_);
  owned_.clear();
  ++assignments_;
  client_.reset();
}

void KafkaConsumer::Close() {
  if (closed_) return;
  closed_ = true;
  Leave();
}

Result<GroupMetadata> KafkaConsumer::GroupMetadataFor(std::span<const TopicOffset> offsets) {
  const auto gone = [&] {
    return Error(Code::kAborted, "the partitions are not assigned to this member of {} any more",
                 group_);
  };
  uint64_t assignment = 0;
  const auto owns_all = [&] {
    for (const TopicOffset& next : offsets) {
      if (!owned_.contains(next.at)) return false;
    }
    return true;
  };
  std::shared_ptr<KafkaClient> current;
  {
    const std::lock_guard lock(mutex_);
    if (client_ == nullptr || !owns_all()) return gone();
    current = client_;
    assignment = assignments_;
  }
  GroupMetadata metadata(rd_kafka_consumer_group_metadata(current->get()));
  if (metadata == nullptr) return gone();
  // A member that the group has thrown out has no id and no generation until it joins again, and
  // brokers take such metadata for that of a tool that is not a member: they would accept the
  // offsets. So: our id must be there *after* the metadata was taken, under the same assignment.
  char* member = rd_kafka_memberid(current->get());
  const bool is_member = member != nullptr && *member != '\0';
  if (member != nullptr) rd_kafka_mem_free(current->get(), member);
  const std::lock_guard lock(mutex_);
  if (!is_member || client_ != current || assignment != assignments_) return gone();
  return metadata;
}

}  // namespace trawl::storage
