#pragma once
// The file of the embedded log: topics, records and committed offsets in SQLite.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "storage/message_log/embedded_log.h"
#include "storage/message_log/file_lock.h"
#include "storage/message_log/message_log.h"
#include "storage/sqlite/sqlite.h"

namespace trawl::storage {

/// Not thread-safe: EmbeddedLog's mutex guards it. Every writing method is one transaction: all or
/// nothing, and on the disk when it returns.
class EmbeddedStore {
 public:
  /// The offsets of a partition: records lie in [first, next), with holes where a topic is
  /// compacted.
  struct Extent {
    int64_t first = 0;
    int64_t next = 0;
  };

  /// Errors: see OpenEmbeddedLog.
  static Result<std::unique_ptr<EmbeddedStore>> Open(const std::string& path,
                                                     const EmbeddedLogOptions& options);

  const std::string& identity() const { return identity_; }
  /// 0: no such topic.
  int PartitionCount(const std::string& topic) const;
  /// Null: no such partition.
  const Extent* Find(const TopicPartition& at) const;

  Status CreateTopics(std::span<const TopicSpec> topics);
  /// Appends `records` in order and sets the group's offsets. Errors: kFailedPrecondition (no such
  /// topic), kInvalidArgument (no such partition, too large a record), those of SQLite.
  Status Commit(std::span<const OutgoingRecord> records, const std::string& group,
                std::span<const TopicOffset> offsets);
  /// The next records at or after `from`, oldest first; few enough to hold. Empty: there are none.
  Result<std::vector<LogRecord>> Read(const TopicPartition& at, int64_t from);
  Result<std::optional<int64_t>> Committed(const std::string& group, const TopicPartition& at);
  Status Trim(std::span<const TopicOffset> offsets);

 private:
  struct Partition {
    int64_t id = 0;
    Extent extent;
  };
  struct Topic {
    bool compacted = false;
    std::vector<Partition> partitions;
  };
  struct Statements {
    SqliteStatement insert_record, delete_record, delete_range, read_records, find_newest,
        put_newest, set_extent, put_committed, get_committed;
  };

  EmbeddedStore() = default;

  Status Load(int64_t max_bytes);
  Status CreateSchema();
  Status LoadTopics();
  Status Prepare();
  Status CreateTopic(const TopicSpec& spec);
  Status Append(const OutgoingRecord& record, int64_t now_ms,
                std::map<TopicPartition, Partition>& touched);
  Status SupersedeKey(int64_t partition, const std::string& key, int64_t record);
  const Partition* FindPartition(const TopicPartition& at) const;
  Result<TopicPartition> Destination(const OutgoingRecord& record) const;

  std::unique_ptr<FileLock> lock_;  // outlives the database
  std::unique_ptr<SqliteDatabase> database_;
  Statements statements_;  // die before the database
  std::string identity_;
  std::map<std::string, Topic> topics_;  // what is in the file, kept here for speed
};

}  // namespace trawl::storage
