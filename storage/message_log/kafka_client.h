#pragma once
// One librdkafka handle and what its callbacks tell. Only kafka_*.cc may include this: it brings in
// rdkafka.h.

#include <librdkafka/rdkafka.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "config/status.h"

namespace trawl::storage {

template <auto Destroy>
struct Destroyer {
  template <class T>
  void operator()(T* handle) const {
    Destroy(handle);
  }
};
using KafkaConf = std::unique_ptr<rd_kafka_conf_t, Destroyer<rd_kafka_conf_destroy>>;
using KafkaError = std::unique_ptr<rd_kafka_error_t, Destroyer<rd_kafka_error_destroy>>;
using KafkaMessage = std::unique_ptr<rd_kafka_message_t, Destroyer<rd_kafka_message_destroy>>;
using KafkaQueue = std::unique_ptr<rd_kafka_queue_t, Destroyer<rd_kafka_queue_destroy>>;
using KafkaTopic = std::unique_ptr<rd_kafka_topic_t, Destroyer<rd_kafka_topic_destroy>>;
using KafkaMetadata =
    std::unique_ptr<const rd_kafka_metadata_t, Destroyer<rd_kafka_metadata_destroy>>;
using KafkaPartitions = std::unique_ptr<rd_kafka_topic_partition_list_t,
                                        Destroyer<rd_kafka_topic_partition_list_destroy>>;
using GroupMetadata = std::unique_ptr<rd_kafka_consumer_group_metadata_t,
                                      Destroyer<rd_kafka_consumer_group_metadata_destroy>>;

/// What the callbacks of one handle report. The two functions run inside polling calls, on the
/// polling thread; the rest is written by librdkafka's own threads as well.
class KafkaSignals {
 public:
  std::function<void(rd_kafka_resp_err_t, rd_kafka_topic_partition_list_t*)> on_rebalance;
  std::function<void(const rd_kafka_message_t&)> on_delivery;

  /// Connections lost and requests timed out so far: what cannot be seen in return codes, because
  /// librdkafka retries by itself.
  uint64_t troubles() const { return troubles_.load(); }
  /// True once after each time that no broker was left to talk to.
  bool TakeAllBrokersDown() { return all_brokers_down_.exchange(false); }
  /// The newest complaint in one line; empty when there was none.
  std::string LastComplaint() const;

  void OnConnectionLost() { ++troubles_; }
  void OnError(rd_kafka_resp_err_t code, const char* reason);
  void OnLog(int level, const char* facility, const char* line);

 private:
  std::atomic<uint64_t> troubles_ = 0;
  std::atomic<bool> all_brokers_down_ = false;
  mutable std::mutex mutex_;
  std::string complaint_;  // guarded by mutex_
};

/// Owns an rd_kafka_t; as thread-safe as that is. Its destructor takes 3 s at most: a handle that
/// does not let go of its threads in time (librdkafka #4187) is left to them, which is safe, since
/// all our state is transactional.
class KafkaClient {
 public:
  /// `signals` outlives nothing: it is shared with the handle. Errors: kInvalidArgument
  /// (contradictory settings).
  static Result<std::shared_ptr<KafkaClient>> Create(rd_kafka_type_t type, KafkaConf conf,
                                                     std::shared_ptr<KafkaSignals> signals);
  ~KafkaClient();
  KafkaClient(const KafkaClient&) = delete;
  KafkaClient& operator=(const KafkaClient&) = delete;

  rd_kafka_t* get() const { return handle_; }
  KafkaSignals& signals() const { return *signals_; }

 private:
  KafkaClient(rd_kafka_t* handle, std::shared_ptr<KafkaSignals> signals)
      : handle_(handle), signals_(std::move(signals)) {}

  rd_kafka_t* const handle_;
  const std::shared_ptr<KafkaSignals> signals_;
};

/// A topic of one handle, and what the cluster says of it.
struct DescribedTopic {
  KafkaTopic handle;
  KafkaMetadata metadata;

  /// Null when the answer does not mention the topic.
  const rd_kafka_metadata_topic_t* found() const {
    return metadata->topic_cnt == 1 ? &metadata->topics[0] : nullptr;
  }
};

/// Asks the cluster. Errors: kInvalidArgument (no legal name), the connection's own. That there is
/// no such topic is no error but an answer.
Result<DescribedTopic> DescribeTopic(const KafkaClient& client, const std::string& topic,
                                     std::chrono::milliseconds timeout);

/// Milliseconds from now to `deadline`, never negative, as librdkafka wants them.
int MillisUntil(std::chrono::steady_clock::time_point deadline);

}  // namespace trawl::storage
