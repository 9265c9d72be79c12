#pragma once
// Records as a producer and workers would write them, for tests of what stores and collects them.

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "config/records.h"
#include "config/set_digest.h"

namespace trawl::testing {

inline ResultRecord Success(const std::string& job, uint64_t batch, uint32_t index, std::string key,
                            std::vector<Prediction> predictions) {
  ResultRecord record;
  record.job_id = job;
  record.batch_seq = batch;
  record.index = index;
  record.key = std::move(key);
  record.outcome = std::move(predictions);
  record.model_name = "resnet18";
  record.model_digest = "ab12";
  record.worker = "host-1";
  record.size_bytes = 1000;
  record.timings = {10, 2, 5};
  record.finished_at_ms = 1'769'903'999'123 + static_cast<int64_t>(batch) * 1'000;
  return record;
}

inline ResultRecord Success(const std::string& job, uint64_t batch, uint32_t index,
                            std::string key) {
  return Success(job, batch, index, std::move(key),
                 {{207, "golden retriever", 0.9312345F}, {1, "goldfish", 0.0625F}});
}

inline ResultRecord Failure(const std::string& job, uint64_t batch, uint32_t index,
                            std::string key) {
  ResultRecord record = Success(job, batch, index, std::move(key));
  record.outcome = ObjectError{ObjectErrorCode::kNotFound, "getting it: HTTP 404", 2};
  return record;
}

/// The job's record after the producer enqueued exactly `objects`.
inline JobRecord Job(const std::string& job, std::span<const ResultRecord> objects,
                     JobState state) {
  JobRecord record;
  record.job_id = job;
  record.spec = {"s3://photos/", {"file:///models/resnet18", "resnet18", "ab12", "cd34"}, 5};
  record.input = "prefix ";
  record.state = state;
  SetDigest digest;
  for (const ResultRecord& object : objects) {
    if (object.job_id != job) continue;
    digest.Add(job, object.batch_seq, object.index, object.key);
    ++record.objects;
  }
  record.digest_hex = digest.Hex();
  record.created_at_ms = 1'769'903'990'000;
  return record;
}

}  // namespace trawl::testing
