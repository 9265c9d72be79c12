#include "storage/message_log/embedded_store.h"

#include <xxhash.h>

#include <algorithm>
#include <random>

#include "config/clock.h"

namespace trawl::storage {
namespace {

constexpr int64_t kApplicationId = 0x54726C67;  // "Trlg"
constexpr int64_t kSchemaVersion = 1;

// A record's id is its partition's id and its offset, so that reading a partition is one walk along
// the table's own tree, without an index: 2^40 records per partition, 2^22 partitions.
constexpr int kOffsetBits = 40;
constexpr int64_t kOffsetsMax = int64_t{1} << kOffsetBits;
constexpr int kPartitionsMax = 10'000;  // per topic

// One read keeps to the larger of one record and these.
constexpr size_t kReadRecords = 64;
constexpr size_t kReadBytes = 256U << 10;

constexpr const char* kSchema = R"(
  CREATE TABLE log (identity TEXT NOT NULL) STRICT;
  CREATE TABLE topics (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, compacted INTEGER NOT NULL) STRICT;
  CREATE TABLE partitions (
    id INTEGER PRIMARY KEY, topic INTEGER NOT NULL REFERENCES topics, number INTEGER NOT NULL,
    first_offset INTEGER NOT NULL, next_offset INTEGER NOT NULL, UNIQUE (topic, number)) STRICT;
  CREATE TABLE records (  -- id = partition << 40 | offset
    id INTEGER PRIMARY KEY, key BLOB NOT NULL, value BLOB NOT NULL,
    timestamp_ms INTEGER NOT NULL) STRICT;
  CREATE TABLE newest (   -- of each key, in compacted topics
    partition INTEGER NOT NULL, key BLOB NOT NULL, record INTEGER NOT NULL,
    PRIMARY KEY (partition, key)) STRICT, WITHOUT ROWID;
  CREATE TABLE committed (
    consumer_group TEXT NOT NULL, partition INTEGER NOT NULL, next_offset INTEGER NOT NULL,
    PRIMARY KEY (consumer_group, partition)) STRICT, WITHOUT ROWID;
)";

int64_t RecordId(int64_t partition, int64_t offset) { return partition << kOffsetBits | offset; }

/// A random UUID (version 4).
std::string NewIdentity() {
  std::random_device random;
  const auto word = [&] { return random(); };
  return fmt::format("{:08x}-{:04x}-4{:03x}-{:04x}-{:08x}{:04x}", word(), word() & 0xFFFF,
                     word() & 0xFFF, (word() & 0x3FFF) | 0x8000, word(), word() & 0xFFFF);
}

Status CheckOwner(SqliteDatabase& database, bool* is_new) {
  TRAWL_ASSIGN(const int64_t application, database.ReadInt("PRAGMA application_id"));
  TRAWL_ASSIGN(const int64_t version, database.ReadInt("PRAGMA user_version"));
  TRAWL_ASSIGN(const int64_t objects, database.ReadInt("SELECT count(*) FROM sqlite_schema"));
  *is_new = application == 0 && version == 0 && objects == 0;
  if (*is_new) return OkStatus();
  if (application != kApplicationId) {
    return Error(Code::kFailedPrecondition, "it is a database of another program");
  }
  if (version > kSchemaVersion) {
    return Error(Code::kUnimplemented, "it was written by a newer Trawl (format {})", version);
  }
  return OkStatus();
}

Status CheckIntegrity(SqliteDatabase& database) {
  TRAWL_ASSIGN(SqliteStatement check, database.Prepare("PRAGMA quick_check(1)"));
  TRAWL_ASSIGN(const bool row, check.Step());
  if (!row || check.Text(0) != "ok") {
    return Error(Code::kDataLoss, "it is damaged: {}", row ? check.Text(0) : "no answer");
  }
  return OkStatus();
}

}  // namespace

Result<std::unique_ptr<EmbeddedStore>> EmbeddedStore::Open(const std::string& path,
                                                           const EmbeddedLogOptions& options) {
  std::unique_ptr<EmbeddedStore> store(new EmbeddedStore);
  const auto open = [&]() -> Status {
    TRAWL_ASSIGN(store->lock_, FileLock::Acquire(path + ".lock"));
    TRAWL_ASSIGN(store->database_, SqliteDatabase::Open(path, SqliteDatabase::Mode::kReadWrite,
                                                        std::chrono::milliseconds(1'000)));
    return store->Load(options.max_bytes);
  };
  if (Status opened = open(); !opened.ok()) return Annotate(opened, "opening the log {}", path);
  return store;
}

Status EmbeddedStore::Load(int64_t max_bytes) {
  // No second process may write, so SQLite can keep its locks and do without shared memory.
  TRAWL_TRY(database_->Execute("PRAGMA locking_mode = EXCLUSIVE"));
  bool is_new = false;
  TRAWL_TRY(CheckOwner(*database_, &is_new));
  if (!is_new) TRAWL_TRY(CheckIntegrity(*database_));
  // FULL, because the results database remembers offsets of this log: were a power failure to take
  // back the newest transactions here and not there, those offsets would point behind the end. It
  // costs one fsync per transaction.
  TRAWL_TRY(
      database_->Execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA "
                         "journal_size_limit = 67108864"));
  if (max_bytes > 0) {
    TRAWL_ASSIGN(const int64_t page_size, database_->ReadInt("PRAGMA page_size"));
    TRAWL_TRY(database_->Execute(
        fmt::format("PRAGMA max_page_count = {}", std::max<int64_t>(max_bytes / page_size, 1))
            .c_str()));
  }
  if (is_new) TRAWL_TRY(CreateSchema());
  TRAWL_TRY(Prepare());
  return LoadTopics();
}

Status EmbeddedStore::CreateSchema() {
  TRAWL_ASSIGN(SqliteTransaction transaction, SqliteTransaction::Begin(*database_));
  TRAWL_TRY(database_->Execute(kSchema));
  TRAWL_TRY(database_->Execute(fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {}",
                                           kApplicationId, kSchemaVersion)
                                   .c_str()));
  TRAWL_ASSIGN(SqliteStatement insert, database_->Prepare("INSERT INTO log VALUES (?)"));
  TRAWL_TRY(insert.Bind(1, NewIdentity()).Run());
  return transaction.Commit();
}

Status EmbeddedStore::Prepare() {
  const std::pair<SqliteStatement*, const char*> all[] = {
      {&statements_.insert_record, "INSERT INTO records VALUES (?, ?, ?, ?)"},
      {&statements_.delete_record, "DELETE FROM records WHERE id = ?"},
      {&statements_.delete_range, "DELETE FROM records WHERE id >= ? AND id < ?"},
      {&statements_.read_records,
       "SELECT id, key, value, timestamp_ms FROM records WHERE id >= ? AND id < ? ORDER BY id"},
      {&statements_.find_newest, "SELECT record FROM newest WHERE partition = ? AND key = ?"},
      {&statements_.put_newest, "INSERT OR REPLACE INTO newest VALUES (?, ?, ?)"},
      {&statements_.set_extent,
       "UPDATE partitions SET first_offset = ?, next_offset = ? WHERE id = ?"},
      {&statements_.put_committed, "INSERT OR REPLACE INTO committed VALUES (?, ?, ?)"},
      {&statements_.get_committed,
       "SELECT next_offset FROM committed WHERE consumer_group = ? AND partition = ?"},
  };
  for (const auto& [statement, sql] : all) {
    TRAWL_ASSIGN(*statement, database_->Prepare(sql));
  }
  return OkStatus();
}

Status EmbeddedStore::LoadTopics() {
  TRAWL_ASSIGN(SqliteStatement identity, database_->Prepare("SELECT identity FROM log"));
  TRAWL_ASSIGN(const bool has_identity, identity.Step());
  if (!has_identity) return Error(Code::kDataLoss, "it has lost its identity");
  identity_ = identity.Text(0);
  identity.Reset();

  topics_.clear();
  TRAWL_ASSIGN(SqliteStatement select, database_->Prepare(R"(
      SELECT t.name, t.compacted, p.id, p.number, p.first_offset, p.next_offset
      FROM partitions p JOIN topics t ON t.id = p.topic ORDER BY t.id, p.number)"));
  while (true) {
    TRAWL_ASSIGN(const bool row, select.Step());
    if (!row) return OkStatus();
    const std::string name(select.Text(0));
    Topic& topic = topics_[name];
    topic.compacted = select.Int(1) != 0;
    const Partition partition{.id = select.Int(2), .extent = {select.Int(4), select.Int(5)}};
    const Extent& extent = partition.extent;
    if (select.Int(3) != static_cast<int64_t>(topic.partitions.size()) || extent.first < 0 ||
        extent.first > extent.next || extent.next >= kOffsetsMax) {
      return Error(Code::kDataLoss, "the partitions of topic {} make no sense", name);
    }
    topic.partitions.push_back(partition);
  }
}

int EmbeddedStore::PartitionCount(const std::string& topic) const {
  const auto found = topics_.find(topic);
  return found == topics_.end() ? 0 : static_cast<int>(found->second.partitions.size());
}

const EmbeddedStore::Partition* EmbeddedStore::FindPartition(const TopicPartition& at) const {
  if (at.partition < 0 || at.partition >= PartitionCount(at.topic)) return nullptr;
  return &topics_.at(at.topic).partitions[static_cast<size_t>(at.partition)];
}

const EmbeddedStore::Extent* EmbeddedStore::Find(const TopicPartition& at) const {
  const Partition* partition = FindPartition(at);
  return partition == nullptr ? nullptr : &partition->extent;
}

Status EmbeddedStore::CreateTopics(std::span<const TopicSpec> topics) {
  TRAWL_ASSIGN(SqliteTransaction transaction, SqliteTransaction::Begin(*database_));
  for (const TopicSpec& spec : topics) {
    if (PartitionCount(spec.name) == 0) TRAWL_TRY(CreateTopic(spec));
  }
  TRAWL_TRY(transaction.Commit());
  return LoadTopics();
}

Status EmbeddedStore::CreateTopic(const TopicSpec& spec) {
  if (spec.name.empty() || spec.partitions < 1 || spec.partitions > kPartitionsMax) {
    return Error(Code::kInvalidArgument, "creating topic `{}`: {} partitions; 1 to {} are allowed",
                 spec.name, spec.partitions, kPartitionsMax);
  }
  // Named twice in one call, the second is the first.
  TRAWL_ASSIGN(SqliteStatement insert,
               database_->Prepare("INSERT OR IGNORE INTO topics (name, compacted) VALUES (?, ?)"));
  TRAWL_TRY(insert.Bind(1, spec.name).Bind(2, int64_t{spec.compacted}).Run());
  if (database_->Changes() == 0) return OkStatus();
  const int64_t topic = database_->LastInsertRowId();
  TRAWL_ASSIGN(insert, database_->Prepare("INSERT INTO partitions (topic, number, first_offset, "
                                          "next_offset) VALUES (?, ?, 0, 0)"));
  for (int64_t number = 0; number < spec.partitions; ++number) {
    TRAWL_TRY(insert.Bind(1, topic).Bind(2, number).Run());
  }
  return OkStatus();
}

Result<TopicPartition> EmbeddedStore::Destination(const OutgoingRecord& record) const {
  const int partitions = PartitionCount(record.topic);
  if (partitions == 0) {
    return Error(Code::kNotFound, "producing: there is no topic {}", record.topic);
  }
  if (record.key.size() + record.value.size() > kMaxRecordBytes) {
    return Error(Code::kInvalidArgument, "a record of {} bytes for {}; {} are allowed",
                 record.key.size() + record.value.size(), record.topic, kMaxRecordBytes);
  }
  const uint64_t hash = XXH3_64bits(record.key.data(), record.key.size());
  const auto hashed = static_cast<int32_t>(hash % static_cast<uint64_t>(partitions));
  const int32_t partition = record.partition.value_or(hashed);
  if (partition < 0 || partition >= partitions) {
    return Error(Code::kInvalidArgument, "topic {} has {} partitions, there is no partition {}",
                 record.topic, partitions, partition);
  }
  return TopicPartition{record.topic, partition};
}

Status EmbeddedStore::SupersedeKey(int64_t partition, const std::string& key, int64_t record) {
  TRAWL_ASSIGN(const bool known,
               statements_.find_newest.Bind(1, partition).BindBlob(2, key).Step());
  if (known) {
    const int64_t older = statements_.find_newest.Int(0);
    statements_.find_newest.Reset();
    TRAWL_TRY(statements_.delete_record.Bind(1, older).Run());
  }
  return statements_.put_newest.Bind(1, partition).BindBlob(2, key).Bind(3, record).Run();
}

Status EmbeddedStore::Append(const OutgoingRecord& record, int64_t now_ms,
                             std::map<TopicPartition, Partition>& touched) {
  TRAWL_ASSIGN(const TopicPartition at, Destination(record));
  Partition& partition = touched.try_emplace(at, *FindPartition(at)).first->second;
  if (partition.extent.next + 1 >= kOffsetsMax) {
    return Error(Code::kResourceExhausted, "{}[{}] is full", at.topic, at.partition);
  }
  const int64_t id = RecordId(partition.id, partition.extent.next++);
  if (topics_.at(at.topic).compacted) TRAWL_TRY(SupersedeKey(partition.id, record.key, id));
  return statements_.insert_record.Bind(1, id)
      .BindBlob(2, record.key)
      .BindBlob(3, record.value)
      .Bind(4, now_ms)
      .Run();
}

Status EmbeddedStore::Commit(std::span<const OutgoingRecord> records, const std::string& group,
                             std::span<const TopicOffset> offsets) {
  TRAWL_ASSIGN(SqliteTransaction transaction, SqliteTransaction::Begin(*database_));
  const int64_t now_ms = SystemClock().WallMillis();
  std::map<TopicPartition, Partition> touched;
  for (const OutgoingRecord& record : records) TRAWL_TRY(Append(record, now_ms, touched));
  for (const auto& [at, partition] : touched) {
    TRAWL_TRY(statements_.set_extent.Bind(1, partition.extent.first)
                  .Bind(2, partition.extent.next)
                  .Bind(3, partition.id)
                  .Run());
  }
  for (const TopicOffset& next : offsets) {
    const Partition* partition = FindPartition(next.at);
    if (partition == nullptr)
      return Error(Code::kInvalidArgument, "offsets of an unknown partition");
    TRAWL_TRY(
        statements_.put_committed.Bind(1, group).Bind(2, partition->id).Bind(3, next.offset).Run());
  }
  TRAWL_TRY(transaction.Commit());
  for (const auto& [at, partition] : touched) {
    topics_.at(at.topic).partitions[static_cast<size_t>(at.partition)] = partition;
  }
  return OkStatus();
}

Result<std::vector<LogRecord>> EmbeddedStore::Read(const TopicPartition& at, int64_t from) {
  const Partition* partition = FindPartition(at);
  if (partition == nullptr) {
    return Error(Code::kFailedPrecondition, "there is no {}[{}]", at.topic, at.partition);
  }
  SqliteStatement& select = statements_.read_records;
  select.Bind(1, RecordId(partition->id, from));
  select.Bind(2, RecordId(partition->id, partition->extent.next));
  std::vector<LogRecord> records;
  size_t bytes = 0;
  while (records.size() < kReadRecords && bytes < kReadBytes) {
    TRAWL_ASSIGN(const bool row, select.Step());
    if (!row) return records;
    records.push_back({.at = at,
                       .offset = select.Int(0) & (kOffsetsMax - 1),
                       .key = std::string(select.Text(1)),
                       .value = std::string(select.Text(2)),
                       .timestamp_ms = select.Int(3)});
    bytes += records.back().key.size() + records.back().value.size();
  }
  select.Reset();
  return records;
}

Result<std::optional<int64_t>> EmbeddedStore::Committed(const std::string& group,
                                                        const TopicPartition& at) {
  const Partition* partition = FindPartition(at);
  if (partition == nullptr) return std::nullopt;
  SqliteStatement& select = statements_.get_committed;
  TRAWL_ASSIGN(const bool row, select.Bind(1, group).Bind(2, partition->id).Step());
  if (!row) return std::nullopt;
  const int64_t offset = select.Int(0);
  select.Reset();
  return offset;
}

Status EmbeddedStore::Trim(std::span<const TopicOffset> offsets) {
  std::map<TopicPartition, Partition> touched;
  TRAWL_ASSIGN(SqliteTransaction transaction, SqliteTransaction::Begin(*database_));
  for (const TopicOffset& keep : offsets) {
    const Partition* found = FindPartition(keep.at);
    if (found == nullptr || topics_.at(keep.at.topic).compacted) continue;
    Partition& partition = touched.try_emplace(keep.at, *found).first->second;
    const int64_t first = std::min(keep.offset, partition.extent.next);
    if (first <= partition.extent.first) continue;
    TRAWL_TRY(statements_.delete_range.Bind(1, RecordId(partition.id, partition.extent.first))
                  .Bind(2, RecordId(partition.id, first))
                  .Run());
    partition.extent.first = first;
    TRAWL_TRY(statements_.set_extent.Bind(1, first)
                  .Bind(2, partition.extent.next)
                  .Bind(3, partition.id)
                  .Run());
  }
  TRAWL_TRY(transaction.Commit());
  for (const auto& [at, partition] : touched) {
    topics_.at(at.topic).partitions[static_cast<size_t>(at.partition)] = partition;
  }
  return OkStatus();
}

}  // namespace trawl::storage
