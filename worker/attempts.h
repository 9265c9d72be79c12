#pragma once
// Who works on which partition, kept in the log, so that work that kills its worker is found out.
//
// A worker claims its partitions when it gets them and releases them when it leaves. A claim that
// was never released means that its owner died, perhaps of what it worked on, so the next owner is
// careful: it runs the first messages of the partition alone, one after the other, and says before
// each which one it is. A message that kills its worker even so is known by name: its next run goes
// object by object, again with a word before each. The object that was running when that owner
// died, too, is condemned: it gets a failure and is never touched again. So an object has three
// tries, and nothing blocks a partition for ever.

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/clock.h"
#include "config/status.h"
#include "storage/message_log/message_log.h"
#include "worker/publisher.h"

namespace trawl::worker {

/// What the log knows of a partition: the newest record of its key on trawl.attempts.
struct Attempt {
  std::string life;       // which process wrote it, and no other
  bool released = false;  // its owner left in good order
  int deaths = 0;         // owners in a row that died soon after they came
  int64_t claimed_at_ms = 0;
  int64_t offset = -1;            // the message that ran alone last; -1: none
  int tries = 0;                  // of that message, with the one before anybody was careful
  std::optional<uint32_t> index;  // the object of it that ran alone last
  std::set<uint32_t> condemned;   // objects of it that are never to run again
};

/// JSON of one record. Errors of Decode: kInvalidArgument, kUnimplemented (a newer version).
std::string Encode(const Attempt& attempt);
Result<Attempt> DecodeAttempt(std::string_view json);

/// Belongs to the log thread. Every method that returns a Status writes to the log in a transaction
/// of its own; errors are those of Publisher::Put and MessageLog.
class Attempts {
 public:
  /// An object's runs before it is condemned.
  static constexpr int kTries = 3;

  /// `log` and `clock` outlive it. `group`: whose partitions.
  Attempts(storage::MessageLog& log, std::string group, const Clock& clock);

  /// Reads what became of the earlier owners of `partitions`, and puts our name there. Errors also:
  /// kCancelled.
  Status Claim(std::span<const storage::TopicPartition> partitions, Publisher& publisher,
               std::stop_token stop);
  /// We leave these in good order.
  Status Release(std::span<const storage::TopicPartition> partitions, Publisher& publisher,
                 Patience patience);
  /// These are somebody else's already.
  void Forget(std::span<const storage::TopicPartition> partitions);

  /// This message has to run alone.
  bool Suspects(const storage::TopicPartition& at, int64_t offset) const;
  /// It has to run object by object, except for those in Condemned.
  bool MustSplit(const storage::TopicPartition& at, int64_t offset) const;
  std::set<uint32_t> Condemned(const storage::TopicPartition& at, int64_t offset) const;
  /// The message (or only object `index` of it) is about to run alone.
  Status Start(const storage::TopicPartition& at, int64_t offset, std::optional<uint32_t> index,
               Publisher& publisher);
  /// It has run, and nobody died.
  void Survived(const storage::TopicPartition& at, int64_t offset);

 private:
  struct Claimed {
    Attempt attempt;
    int suspects_left = 0;  // messages that have to run alone yet
    bool started = false;   // attempt.offset is being run by us
  };

  std::string KeyOf(const storage::TopicPartition& at) const;
  storage::OutgoingRecord RecordOf(const storage::TopicPartition& at, const Attempt& attempt) const;
  Result<std::map<std::string, Attempt>> ReadAll(std::stop_token stop);
  Claimed Inherit(std::optional<Attempt> earlier) const;

  storage::MessageLog& log_;
  const Clock& clock_;
  const std::string group_;
  const std::string life_;
  std::map<storage::TopicPartition, Claimed> claimed_;
};

}  // namespace trawl::worker
