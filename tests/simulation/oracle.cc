#include "tests/simulation/oracle.h"

#include <algorithm>

#include "config/records.h"
#include "storage/topics.h"

namespace trawl::simulation {
namespace {

using Counts = std::map<std::string, int>;

template <class Visit>
void ForEachRecord(const Cluster& cluster, const std::string& topic, const Visit& visit) {
  for (const Cluster::Partition& partition : cluster.topics.at(topic).partitions)
    for (const storage::LogRecord& record : partition.records) visit(record);
}

std::string Compare(const std::string& where, const Counts& counts,
                    const std::set<std::string>& wanted) {
  for (const std::string& key : wanted) {
    const auto found = counts.find(key);
    if (found == counts.end()) return fmt::format("{}: {} is missing", where, key);
    if (found->second != 1) return fmt::format("{}: {} is doubled", where, key);
  }
  for (const auto& [key, count] : counts)
    if (!wanted.contains(key)) return fmt::format("{}: nobody enqueued {}", where, key);
  return "";
}

std::string CheckOutcome(const Truth& truth, const ResultRecord& record) {
  const auto* const error = std::get_if<ObjectError>(&record.outcome);
  const bool condemned = error != nullptr && error->code == ObjectErrorCode::kInternal;
  if (truth.bucket.deadly.contains(record.key) && !condemned && !truth.refusals)
    return fmt::format("{} has killed nobody", record.key);
  if (error == nullptr && !truth.bucket.pictures.contains(record.key))
    return fmt::format("{} has predictions and is no picture", record.key);
  // A worker that dies of something else three times in a row is held against what it was at.
  if (error != nullptr && truth.bucket.pictures.contains(record.key) && !condemned &&
      !(truth.refusals && error->code == ObjectErrorCode::kThrottled))
    return fmt::format("{} is a picture and has failed: {}", record.key, error->message);
  return "";
}

std::string CheckDatabase(const Truth& truth, const std::string& job_id,
                          const std::set<std::string>& wanted, storage::ResultReader& reader,
                          storage::JobAccount& account) {
  Counts rows;
  const auto read = reader.Ledger(
      job_id, [&rows](const storage::LedgerRow& row) { ++rows[std::string(row.key)]; });
  if (!read) return "the database: " + read.error().message();
  account = *read;
  if (std::string problem = Compare("the database", rows, wanted); !problem.empty()) return problem;
  if (account.done + account.failed != wanted.size())
    return fmt::format("the database counts {} of {}", account.done + account.failed, truth.job_id);
  if (account.duplicates > 0)
    return fmt::format("the database was given {} records twice", account.duplicates);
  return "";
}

}  // namespace

std::string FindProblem(const Truth& truth, const Cluster& cluster, storage::ResultReader& reader) {
  const std::set<std::string> keys(truth.bucket.keys.begin(), truth.bucket.keys.end());
  Counts enqueued;
  ForEachRecord(cluster, truth.work_topic, [&](const storage::LogRecord& record) {
    if (const auto batch = DecodeWorkBatch(record.value))
      for (const ObjectRef& object : batch->objects) ++enqueued[object.key];
  });
  if (std::string problem = Compare("the work topic", enqueued, keys); !problem.empty())
    return problem;

  Counts published, malformed;
  std::string wrong_outcome;
  ForEachRecord(cluster, storage::kResultsTopic, [&](const storage::LogRecord& each) {
    const ResultRecord record = DecodeResultRecord(each.value).value();
    ++(record.job_id == truth.job_id ? published : malformed)[record.key];
    if (record.job_id != truth.job_id || !wrong_outcome.empty()) return;
    wrong_outcome = CheckOutcome(truth, record);
  });
  if (std::string problem = Compare("the results topic", published, keys); !problem.empty())
    return problem;
  if (std::string problem = Compare("the results topic", malformed, truth.malformed);
      !problem.empty())
    return problem;
  if (!wrong_outcome.empty()) return wrong_outcome;

  JobRecord job;
  ForEachRecord(cluster, storage::kJobsTopic,
                [&](const storage::LogRecord& each) { job = DecodeJobRecord(each.value).value(); });
  if (job.state != JobState::kSealed || job.objects != keys.size())
    return fmt::format("the producer counts {} of {}", job.objects, keys.size());
  storage::JobAccount account;
  if (std::string problem = CheckDatabase(truth, truth.job_id, keys, reader, account);
      !problem.empty())
    return problem;
  if (account.digest_hex != job.digest_hex) return "the digests of producer and database differ";
  if (truth.malformed.empty()) return "";
  return CheckDatabase(truth, "malformed/" + truth.work_topic, truth.malformed, reader, account);
}

}  // namespace trawl::simulation
