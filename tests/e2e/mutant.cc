// Trawl with a bug put in, for the tests of the chaos suite's oracle: `mutant BUG worker` and
// `mutant BUG collector DB` are the roles as they are, on a log or a store that does one thing
// wrong. A bug is a decorator at a port, so that no line of Trawl knows of it; or, for `unrotated`,
// between Trawl and librdkafka, by the linker's --wrap. Settings come from the environment.
#include <librdkafka/rdkafka.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/settings.h"
#include "storage/collector/collector.h"
#include "storage/message_log/kafka_log.h"
#include "storage/object_store/object_store.h"
#include "storage/result_store/result_store.h"
#include "storage/topics.h"
#include "tests/support/mutant_log.h"
#include "worker/worker.h"

namespace trawl::e2e {
namespace {

using storage::LogConsumer;
using storage::LogRecord;
using storage::PollResult;
using storage::TopicOffset;
using storage::TopicPartition;

using testing::Bug;

/// Reads what was aborted, too, as librdkafka does when it is told to.
class UncommittedReader final : public LogConsumer {
 public:
  UncommittedReader(const Settings& settings, const std::vector<TopicOffset>& offsets) {
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    const std::pair<const char*, std::string> properties[] = {
        {"bootstrap.servers", settings.brokers}, {"group.id", settings.group},
        {"isolation.level", "read_uncommitted"}, {"enable.auto.commit", "false"},
        {"enable.partition.eof", "true"},        {"auto.offset.reset", "earliest"}};
    for (const auto& [name, value] : properties)
      rd_kafka_conf_set(conf, name, value.c_str(), nullptr, 0);
    client_ = rd_kafka_new(RD_KAFKA_CONSUMER, conf, nullptr, 0);
    rd_kafka_poll_set_consumer(client_);
    rd_kafka_topic_partition_list_t* list =
        rd_kafka_topic_partition_list_new(static_cast<int>(offsets.size()));
    for (const TopicOffset& from : offsets) {
      rd_kafka_topic_partition_list_add(list, from.at.topic.c_str(), from.at.partition)->offset =
          from.offset == storage::kBeginning ? RD_KAFKA_OFFSET_BEGINNING : from.offset;
    }
    rd_kafka_assign(client_, list);
    rd_kafka_topic_partition_list_destroy(list);
  }
  ~UncommittedReader() override { rd_kafka_destroy(client_); }

  Result<PollResult> Poll(std::chrono::milliseconds timeout) override {
    rd_kafka_message_t* message =
        rd_kafka_consumer_poll(client_, static_cast<int>(timeout.count()));
    PollResult result;
    if (message == nullptr) return result;
    const TopicPartition at{message->rkt == nullptr ? "" : rd_kafka_topic_name(message->rkt),
                            message->partition};
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
      result.end_of = at;
      result.end_offset = message->offset;
    } else if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
      const auto text = [](const void* data, size_t size) {
        return std::string(static_cast<const char*>(data), size);
      };
      result.record = LogRecord{at, message->offset, text(message->key, message->key_len),
                                text(message->payload, message->len),
                                rd_kafka_message_timestamp(message, nullptr)};
    }
    rd_kafka_message_destroy(message);
    return result;
  }
  Status Pause(std::span<const TopicPartition>) override { return OkStatus(); }
  Status Resume(std::span<const TopicPartition>) override { return OkStatus(); }
  Status RewindToCommitted() override { return OkStatus(); }
  void Close() override {}

 private:
  rd_kafka_t* client_;
};

/// For every reader but the one of workers' attempts.
class UncommittedLog final : public testing::MutantLog {
 public:
  UncommittedLog(storage::MessageLog& inner, const Settings& settings, const Bug& bug)
      : MutantLog(inner, bug, fmt::format("{}", getpid())), settings_(settings), bug_(bug) {}

  Result<std::unique_ptr<LogConsumer>> Assign(const std::vector<TopicOffset>& offsets) override {
    if (bug_.name == "read-uncommitted" && offsets.front().at.topic != storage::kAttemptsTopic)
      return std::make_unique<UncommittedReader>(settings_, offsets);
    return MutantLog::Assign(offsets);
  }

 private:
  const Settings& settings_;
  const Bug& bug_;
};

/// Believes whatever length arrives.
class CredulousStore final : public storage::ObjectStore {
 public:
  CredulousStore(std::unique_ptr<ObjectStore> inner, const Bug& bug)
      : inner_(std::move(inner)), bug_(bug) {}
  Result<storage::ListPage> List(const std::string& source, const std::string& prefix,
                                 const std::string& start_after, int max_keys) override {
    return inner_->List(source, prefix, start_after, max_keys);
  }
  void Get(storage::GetRequest request, std::stop_token stop, storage::GetCallback done) override {
    if (bug_.name == "no-length-check") {
      request.expected_bytes.reset();
      request.etag.clear();
    }
    inner_->Get(std::move(request), std::move(stop), std::move(done));
  }

 private:
  const std::unique_ptr<ObjectStore> inner_;
  const Bug& bug_;
};

/// Settings from the environment, and --allow-root=FOLDER from the arguments.
Result<Settings> LoadSettings(std::span<char* const> arguments) {
  constexpr std::string_view kAllowRoot = "--allow-root=";
  SettingsLoader loader;
  loader.LoadEnvironment(environ);
  std::vector<std::string> roots;
  for (const std::string_view argument : arguments)
    if (argument.starts_with(kAllowRoot)) roots.emplace_back(argument.substr(kAllowRoot.size()));
  loader.SetFlag("allow-root", roots);
  return loader.Finish();
}

Status Run(const Bug& bug, const std::string& role, std::span<char* const> arguments) {
  TRAWL_ASSIGN(const Settings settings, LoadSettings(arguments));
  TRAWL_ASSIGN(const auto kafka, storage::OpenKafkaLog(settings));
  UncommittedLog log(*kafka, settings, bug);
  TRAWL_TRY(log.EnsureTopics(storage::TopicSpecs(settings)));
  if (role == "collector") {
    TRAWL_ASSIGN(const auto results, storage::OpenResultStore(arguments.back()));
    return storage::RunCollector(
        {.settings = settings, .log = log, .results = *results, .on_progress = {}}, {});
  }
  TRAWL_ASSIGN(auto objects, storage::OpenObjectStore(settings));
  CredulousStore store(std::move(objects), bug);
  const std::string name = fmt::format("mutant-{}", getpid());
  return worker::RunWorker({.settings = settings,
                            .log = log,
                            .objects = store,
                            .name = name,
                            .transactional_id = "trawl-" + name,
                            .on_progress = {}},
                           {});
}

/// Nothing of librdkafka tells that a commit may have been sent more than once, so the producer is
/// kept where one of the next epoch ought to replace it.
bool unrotated = false;

}  // namespace
}  // namespace trawl::e2e

using trawl::e2e::unrotated;

// The linker's names: __wrap_X is who X's callers get, __real_X is X.
extern "C" {

using ErrorCallback = void (*)(rd_kafka_t*, int, const char*, void*);
void __real_rd_kafka_conf_set_error_cb(rd_kafka_conf_t* conf, ErrorCallback callback);
void __wrap_rd_kafka_conf_set_error_cb(rd_kafka_conf_t* conf, ErrorCallback callback) {
  const auto ignore = [](rd_kafka_t*, int, const char*, void*) {};
  __real_rd_kafka_conf_set_error_cb(conf, unrotated ? ignore : callback);
}

using CloseCallback = int (*)(int, void*);
void __real_rd_kafka_conf_set_closesocket_cb(rd_kafka_conf_t* conf, CloseCallback callback);
void __wrap_rd_kafka_conf_set_closesocket_cb(rd_kafka_conf_t* conf, CloseCallback callback) {
  const auto just_close = [](int fd, void*) { return close(fd); };
  __real_rd_kafka_conf_set_closesocket_cb(conf, unrotated ? just_close : callback);
}

rd_kafka_error_t* __real_rd_kafka_commit_transaction(rd_kafka_t* client, int timeout_ms);
rd_kafka_error_t* __wrap_rd_kafka_commit_transaction(rd_kafka_t* client, int timeout_ms) {
  rd_kafka_error_t* error = __real_rd_kafka_commit_transaction(client, timeout_ms);
  while (unrotated && error != nullptr && rd_kafka_error_is_retriable(error) != 0) {
    rd_kafka_error_destroy(error);
    error = __real_rd_kafka_commit_transaction(client, timeout_ms);
  }
  return error;
}

}  // extern "C"

int main(int count, char** arguments) {
  if (count < 3) return 2;
  // One that shows only when a process dies lets this one die once in so many transactions.
  std::atomic<int> transactions = 0;
  const trawl::testing::Bug bug{arguments[1], [&transactions] {
                                  if (++transactions % 3 == 0) _exit(9);
                                }};
  unrotated = bug.name == "unrotated";
  const trawl::Status status = trawl::e2e::Run(
      bug, arguments[2], std::span(arguments, static_cast<size_t>(count)).subspan(2));
  std::fprintf(stderr, "mutant: %s\n", status.message().c_str());
  return status.ok() ? 0 : 1;
}
