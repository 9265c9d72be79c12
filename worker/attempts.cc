#include "worker/attempts.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>
#include <utility>

#include "config/json_reader.h"
#include "config/json_writer.h"
#include "ops/telemetry/log.h"
#include "storage/topics.h"

namespace trawl::worker {
namespace {

constexpr int kVersion = 1;
constexpr size_t kMaxBytes = 1U << 16;
constexpr int kMaxDepth = 4;
constexpr uint64_t kMaxObjects = 1'000'000;
constexpr uint64_t kMaxCount = 1'000'000;
/// Whoever worked for longer than this before it died was in no crash loop.
constexpr int64_t kLoopMs = 600'000;
/// Messages to run alone after one death; four times as many after each further one. Most deaths
/// are nobody's fault, and the first message is where a crash loop stands still.
constexpr int kFirstSuspects = 1;
constexpr int kMostSuspects = 64;

std::string NewLife() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}", random(), random());
}

int SuspectsAfter(int deaths) {
  int suspects = deaths > 0 ? kFirstSuspects : 0;
  for (int i = 1; i < deaths && suspects < kMostSuspects; ++i) suspects *= 4;
  return suspects;
}

}  // namespace

std::string Encode(const Attempt& attempt) {
  JsonObject json;
  json["version"] = kVersion;
  json["life"] = attempt.life;
  json["state"] = attempt.released ? "released" : "claimed";
  json["claimed_at_ms"] = attempt.claimed_at_ms;
  json["deaths"] = attempt.deaths;
  if (attempt.offset >= 0) {
    json["offset"] = attempt.offset;
    json["tries"] = attempt.tries;
    if (attempt.index) json["index"] = *attempt.index;
    for (const uint32_t index : attempt.condemned) json["condemned"].push_back({{"index", index}});
  }
  return Dump(json);
}

Result<Attempt> DecodeAttempt(std::string_view text) {
  constexpr uint64_t kMaxOffset = std::numeric_limits<int64_t>::max();
  TRAWL_ASSIGN(const nlohmann::json json, ParseJsonObject(text, kMaxBytes, kMaxDepth));
  Status status;
  JsonReader reader(json, status);
  const uint64_t version = reader.Whole("version", 1, kMaxCount);
  if (status.ok() && version > kVersion) {
    return Error(Code::kUnimplemented,
                 "record version {} is newer than this trawl understands ({})", version, kVersion);
  }
  Attempt attempt;
  attempt.life = reader.Text("life");
  attempt.released = reader.Text("state") == "released";
  attempt.claimed_at_ms = static_cast<int64_t>(reader.Whole("claimed_at_ms", 0, kMaxOffset));
  attempt.deaths = static_cast<int>(reader.Whole("deaths", 0, kMaxCount));
  if (reader.Has("offset")) {
    attempt.offset = static_cast<int64_t>(reader.Whole("offset", 0, kMaxOffset));
    attempt.tries = static_cast<int>(reader.Whole("tries", 0, kMaxCount));
    if (reader.Has("index"))
      attempt.index = static_cast<uint32_t>(reader.Whole("index", 0, kMaxObjects));
    if (reader.Has("condemned")) {
      reader.ForEach("condemned", kMaxObjects, [&](JsonReader each) {
        attempt.condemned.insert(static_cast<uint32_t>(each.Whole("index", 0, kMaxObjects)));
      });
    }
  }
  if (!status.ok()) return tl::unexpected(std::move(status));
  return attempt;
}

Attempts::Attempts(storage::MessageLog& log, std::string group, const Clock& clock)
    : log_(log), clock_(clock), group_(std::move(group)), life_(NewLife()) {}

std::string Attempts::KeyOf(const storage::TopicPartition& at) const {
  return fmt::format("{}/{}/{}", group_, at.topic, at.partition);
}

storage::OutgoingRecord Attempts::RecordOf(const storage::TopicPartition& at,
                                           const Attempt& attempt) const {
  return {storage::kAttemptsTopic, std::nullopt, KeyOf(at), Encode(attempt)};
}

Result<std::map<std::string, Attempt>> Attempts::ReadAll(std::stop_token stop) {
  std::map<std::string, Attempt> newest;
  const auto take = [&newest](const storage::LogRecord& record) {
    Result<Attempt> attempt = DecodeAttempt(record.value);
    // Without what it says we are less careful, and nothing else.
    if (attempt) {
      newest.insert_or_assign(record.key, std::move(*attempt));
    } else {
      ops::Log(ops::LogLevel::kWarn, "a record of attempts is ignored",
               {{"offset", record.offset}, {"reason", attempt.error().message()}});
    }
  };
  TRAWL_TRY(storage::ReadToEnd(log_, storage::kAttemptsTopic, take, std::move(stop), clock_));
  return newest;
}

Attempts::Claimed Attempts::Inherit(std::optional<Attempt> earlier) const {
  Claimed claimed;
  const int64_t now = clock_.WallMillis();
  if (earlier && !earlier->released) {
    claimed.attempt = std::move(*earlier);
    Attempt& attempt = claimed.attempt;
    // Ours: we lost the partition and got it back, and are as alive as ever.
    if (attempt.life != life_) {
      attempt.deaths = now - attempt.claimed_at_ms < kLoopMs ? attempt.deaths + 1 : 1;
      if (attempt.index && attempt.tries >= kTries) {
        attempt.condemned.insert(*attempt.index);
        attempt.index.reset();
      }
    }
  }
  claimed.attempt.life = life_;
  claimed.attempt.claimed_at_ms = now;
  claimed.suspects_left = SuspectsAfter(claimed.attempt.deaths);
  return claimed;
}

Status Attempts::Claim(std::span<const storage::TopicPartition> partitions, Publisher& publisher,
                       std::stop_token stop) {
  TRAWL_ASSIGN(const auto newest, ReadAll(std::move(stop)));
  std::map<storage::TopicPartition, Claimed> claims;
  std::vector<storage::OutgoingRecord> records;
  for (const storage::TopicPartition& at : partitions) {
    const auto found = newest.find(KeyOf(at));
    Claimed claimed = Inherit(found == newest.end() ? std::nullopt : std::optional(found->second));
    if (claimed.suspects_left > 0) {
      ops::Log(
          ops::LogLevel::kWarn, "an earlier worker vanished; starting with care",
          {{"topic", at.topic}, {"partition", at.partition}, {"deaths", claimed.attempt.deaths}});
    }
    records.push_back(RecordOf(at, claimed.attempt));
    claims.emplace(at, std::move(claimed));
  }
  TRAWL_TRY(publisher.Put(std::move(records)));
  for (auto& [at, claimed] : claims) claimed_.insert_or_assign(at, std::move(claimed));
  return OkStatus();
}

Status Attempts::Release(std::span<const storage::TopicPartition> partitions, Publisher& publisher,
                         Patience patience) {
  std::vector<storage::OutgoingRecord> records;
  for (const storage::TopicPartition& at : partitions) {
    const auto found = claimed_.find(at);
    if (found == claimed_.end()) continue;
    Attempt released;
    released.life = life_;
    released.released = true;
    released.claimed_at_ms = found->second.attempt.claimed_at_ms;
    records.push_back(RecordOf(at, released));
  }
  Forget(partitions);
  return publisher.Put(std::move(records), patience);
}

void Attempts::Forget(std::span<const storage::TopicPartition> partitions) {
  for (const storage::TopicPartition& at : partitions) claimed_.erase(at);
}

bool Attempts::Suspects(const storage::TopicPartition& at, int64_t offset) const {
  const auto found = claimed_.find(at);
  if (found == claimed_.end()) return false;
  return found->second.suspects_left > 0 || found->second.attempt.offset == offset;
}

bool Attempts::MustSplit(const storage::TopicPartition& at, int64_t offset) const {
  const auto found = claimed_.find(at);
  if (found == claimed_.end() || found->second.attempt.offset != offset) return false;
  return found->second.attempt.tries >= kTries - 1;
}

std::set<uint32_t> Attempts::Condemned(const storage::TopicPartition& at, int64_t offset) const {
  const auto found = claimed_.find(at);
  if (found == claimed_.end() || found->second.attempt.offset != offset) return {};
  return found->second.attempt.condemned;
}

Status Attempts::Start(const storage::TopicPartition& at, int64_t offset,
                       std::optional<uint32_t> index, Publisher& publisher) {
  Claimed& claimed = claimed_.at(at);
  Attempt next = claimed.attempt;
  if (next.offset != offset) {
    next.offset = offset;
    next.tries = 1;  // by an owner that was not careful
    next.condemned.clear();
    claimed.started = false;
  }
  if (!claimed.started) ++next.tries;
  next.index = index;
  TRAWL_TRY(publisher.Put({RecordOf(at, next)}));
  claimed.attempt = std::move(next);
  claimed.started = true;
  return OkStatus();
}

void Attempts::Survived(const storage::TopicPartition& at, int64_t offset) {
  const auto found = claimed_.find(at);
  if (found == claimed_.end() || found->second.attempt.offset != offset) return;
  Claimed& claimed = found->second;
  claimed.suspects_left = std::max(0, claimed.suspects_left - 1);
  claimed.attempt.offset = -1;
  claimed.attempt.tries = 0;
  claimed.attempt.index.reset();
  claimed.attempt.condemned.clear();
  claimed.started = false;
}

}  // namespace trawl::worker
