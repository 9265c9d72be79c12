// Trawl that dies at a point of its protocol, for failpoints_test.py. Linked from the very objects
// of the executable; the linker's --wrap puts the functions below between them and librdkafka and
// SQLite, so that no line of Trawl knows of it.
//
//   FAILPOINT=POINT       where: one of kPoints; without it, this is Trawl as it is
//   FAILPOINT_PASS=COUNT  at which pass of that point (default 1, the first)
//   FAILPOINT_FILE=TEXT   for the point `opened`: of a file whose path has this in it
//
// The end is _exit(kExitCode): no destructor, no good-bye of librdkafka to the broker, and no
// other way to that exit code.
#include <fcntl.h>
#include <librdkafka/rdkafka.h>
#include <sqlite3.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace trawl::e2e {
namespace {

constexpr int kExitCode = 86;

constexpr std::string_view kPolled = "polled";  // a message of work or of results has arrived
constexpr std::string_view kBegun = "begun";    // a transaction is open
constexpr std::string_view kSent = "sent";      // librdkafka has taken a record, and sends it
constexpr std::string_view kBeforeOffsets = "before-offsets";
constexpr std::string_view kBeforeCommit = "before-commit";  // the broker has every record
constexpr std::string_view kAfterCommit = "after-commit";
constexpr std::string_view kBeforeStore = "before-store";  // SQLite's COMMIT
constexpr std::string_view kAfterStore = "after-store";
constexpr std::string_view kOpened = "opened";    // a file that kills whoever reads it
constexpr std::string_view kRevoked = "revoked";  // its partitions go, and nobody has them yet
constexpr std::string_view kSeeking = "seeking";  // back to what is committed
constexpr std::string_view kLeaving = "leaving";  // the group, unheard
constexpr std::string_view kFatal = "fatal";      // no death: each commit fails for good
constexpr std::array kPoints = {
    kPolled,     kBegun,  kSent,    kBeforeOffsets, kBeforeCommit, kAfterCommit, kBeforeStore,
    kAfterStore, kOpened, kRevoked, kSeeking,       kLeaving,      kFatal};

struct Failpoint {
  std::string_view name;
  long passes_left = 1;
};

/// A slip in a test must not look like a point that was never reached.
Failpoint FromEnvironment() {
  const char* name = std::getenv("FAILPOINT");
  if (name == nullptr) return {};
  const char* pass = std::getenv("FAILPOINT_PASS");
  const Failpoint failpoint{name, pass == nullptr ? 1 : std::strtol(pass, nullptr, 10)};
  if (std::find(kPoints.begin(), kPoints.end(), failpoint.name) == kPoints.end() ||
      failpoint.passes_left < 1) {
    std::fprintf(stderr, "failpoints: no such point: %s\n", name);
    _exit(2);
  }
  return failpoint;
}

const Failpoint& Chosen() {
  static const Failpoint failpoint = FromEnvironment();
  return failpoint;
}

void Pass(std::string_view point) {
  static std::atomic<long> passes_left = Chosen().passes_left;
  if (point == Chosen().name && --passes_left == 0) _exit(kExitCode);
}

bool IsPoison(std::string_view path) {
  static const char* const poison = std::getenv("FAILPOINT_FILE");
  return poison != nullptr && path.find(poison) != path.npos;
}

/// Not one of Trawl's own books, which every role reads at its start.
bool IsWorkOrResult(const rd_kafka_message_t& message) {
  if (message.err != RD_KAFKA_RESP_ERR_NO_ERROR) return false;
  const std::string_view topic = rd_kafka_topic_name(message.rkt);
  return topic.starts_with("trawl.work.") || topic == "trawl.results";
}

/// Partitions of it are assigned to this client.
bool HasWork(rd_kafka_t* client) {
  rd_kafka_topic_partition_list_t* assigned = nullptr;
  if (rd_kafka_assignment(client, &assigned) != RD_KAFKA_RESP_ERR_NO_ERROR) return false;
  const bool has =
      assigned->cnt > 0 && std::string_view(assigned->elems[0].topic).starts_with("trawl.work.");
  rd_kafka_topic_partition_list_destroy(assigned);
  return has;
}

}  // namespace
}  // namespace trawl::e2e

using trawl::e2e::Pass;

// The linker's names: __wrap_X is who X's callers get, __real_X is X.
extern "C" {

rd_kafka_message_t* __real_rd_kafka_consumer_poll(rd_kafka_t* client, int timeout_ms);
rd_kafka_message_t* __wrap_rd_kafka_consumer_poll(rd_kafka_t* client, int timeout_ms) {
  rd_kafka_message_t* message = __real_rd_kafka_consumer_poll(client, timeout_ms);
  if (message != nullptr && trawl::e2e::IsWorkOrResult(*message)) Pass(trawl::e2e::kPolled);
  return message;
}

rd_kafka_error_t* __real_rd_kafka_begin_transaction(rd_kafka_t* client);
rd_kafka_error_t* __wrap_rd_kafka_begin_transaction(rd_kafka_t* client) {
  rd_kafka_error_t* error = __real_rd_kafka_begin_transaction(client);
  if (error == nullptr) Pass(trawl::e2e::kBegun);
  return error;
}

rd_kafka_error_t* __real_rd_kafka_produceva(rd_kafka_t* client, const rd_kafka_vu_t* values,
                                            size_t count);
rd_kafka_error_t* __wrap_rd_kafka_produceva(rd_kafka_t* client, const rd_kafka_vu_t* values,
                                            size_t count) {
  rd_kafka_error_t* error = __real_rd_kafka_produceva(client, values, count);
  if (error == nullptr) Pass(trawl::e2e::kSent);
  return error;
}

rd_kafka_error_t* __real_rd_kafka_send_offsets_to_transaction(
    rd_kafka_t* client, const rd_kafka_topic_partition_list_t* offsets,
    const rd_kafka_consumer_group_metadata_t* group, int timeout_ms);
rd_kafka_error_t* __wrap_rd_kafka_send_offsets_to_transaction(
    rd_kafka_t* client, const rd_kafka_topic_partition_list_t* offsets,
    const rd_kafka_consumer_group_metadata_t* group, int timeout_ms) {
  Pass(trawl::e2e::kBeforeOffsets);
  return __real_rd_kafka_send_offsets_to_transaction(client, offsets, group, timeout_ms);
}

rd_kafka_error_t* __real_rd_kafka_commit_transaction(rd_kafka_t* client, int timeout_ms);
rd_kafka_error_t* __wrap_rd_kafka_commit_transaction(rd_kafka_t* client, int timeout_ms) {
  Pass(trawl::e2e::kBeforeCommit);
  if (trawl::e2e::Chosen().name == trawl::e2e::kFatal) {
    rd_kafka_test_fatal_error(client, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
                              "a failpoint");
  }
  rd_kafka_error_t* error = __real_rd_kafka_commit_transaction(client, timeout_ms);
  if (error == nullptr) Pass(trawl::e2e::kAfterCommit);
  return error;
}

rd_kafka_resp_err_t __real_rd_kafka_assign(rd_kafka_t* client,
                                           const rd_kafka_topic_partition_list_t* partitions);
rd_kafka_resp_err_t __wrap_rd_kafka_assign(rd_kafka_t* client,
                                           const rd_kafka_topic_partition_list_t* partitions) {
  if (partitions == nullptr && trawl::e2e::HasWork(client)) Pass(trawl::e2e::kRevoked);
  return __real_rd_kafka_assign(client, partitions);
}

rd_kafka_error_t* __real_rd_kafka_seek_partitions(rd_kafka_t* client,
                                                  rd_kafka_topic_partition_list_t* partitions,
                                                  int timeout_ms);
rd_kafka_error_t* __wrap_rd_kafka_seek_partitions(rd_kafka_t* client,
                                                  rd_kafka_topic_partition_list_t* partitions,
                                                  int timeout_ms) {
  Pass(trawl::e2e::kSeeking);
  return __real_rd_kafka_seek_partitions(client, partitions, timeout_ms);
}

rd_kafka_error_t* __real_rd_kafka_consumer_close_queue(rd_kafka_t* client, rd_kafka_queue_t* queue);
rd_kafka_error_t* __wrap_rd_kafka_consumer_close_queue(rd_kafka_t* client,
                                                       rd_kafka_queue_t* queue) {
  Pass(trawl::e2e::kLeaving);
  return __real_rd_kafka_consumer_close_queue(client, queue);
}

int __real_open(const char* path, int flags, ...);
int __wrap_open(const char* path, int flags, ...) {
  if (trawl::e2e::IsPoison(path)) Pass(trawl::e2e::kOpened);
  va_list more;
  va_start(more, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
  va_end(more);
  return __real_open(path, flags, mode);
}

using SqliteRow = int (*)(void*, int, char**, char**);
int __real_sqlite3_exec(sqlite3* database, const char* sql, SqliteRow row, void* data,
                        char** message);
int __wrap_sqlite3_exec(sqlite3* database, const char* sql, SqliteRow row, void* data,
                        char** message) {
  const bool commits = std::string_view(sql) == "COMMIT";
  if (commits) Pass(trawl::e2e::kBeforeStore);
  const int code = __real_sqlite3_exec(database, sql, row, data, message);
  if (commits && code == SQLITE_OK) Pass(trawl::e2e::kAfterStore);
  return code;
}

}  // extern "C"
