#pragma once
// A real embedded log and a real database in a folder, and a collector between them.

#include <gtest/gtest.h>

#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "config/records.h"
#include "config/settings.h"
#include "storage/collector/collector.h"
#include "storage/message_log/embedded_log.h"
#include "storage/topics.h"
#include "tests/support/records.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/storage/collector/observed_ports.h"

namespace trawl::storage {

inline std::string DatabasePath(const trawl::testing::TempDir& folder) {
  return (folder / "results.db").string();
}

class Workbench {
 public:
  Workbench(const trawl::testing::TempDir& folder, Settings options)
      : settings(std::move(options)),
        real_log_(OpenEmbeddedLog((folder / "log.db").string()).value()),
        real_store_(OpenResultStore(DatabasePath(folder)).value()),
        log(*real_log_, hooks),
        store(*real_store_, hooks) {
    EXPECT_TRUE(log.EnsureTopics(TopicSpecs(settings)).ok());
    producer_ = log.OpenProducer("test").value();
  }

  void Publish(const std::vector<ResultRecord>& results, const std::vector<JobRecord>& jobs = {}) {
    Transaction transaction;
    for (const ResultRecord& record : results)
      transaction.records.push_back({kResultsTopic, {}, ResultMessageKey(record), Encode(record)});
    for (const JobRecord& job : jobs)
      transaction.records.push_back({kJobsTopic, {}, job.job_id, Encode(job)});
    EXPECT_TRUE(producer_->Commit(transaction).ok());
  }

  void PublishRaw(const std::string& topic, int32_t partition, const std::string& value) {
    EXPECT_TRUE(
        producer_
            ->Commit(
                {{{topic, partition, fmt::format("key {}", ++raw_records_), value}}, nullptr, {}})
            .ok());
  }

  /// Runs a collector until it has caught up, or fails.
  Status CollectAll() {
    drain = {};
    return Collect([this](const CollectorStats&, bool caught_up) {
      if (caught_up) drain.request_stop();
    });
  }

  Status Collect(std::function<void(const CollectorStats&, bool)> on_progress) {
    const auto remember = [&](const CollectorStats& now, bool caught_up) {
      stats = now;
      if (on_progress) on_progress(now, caught_up);
    };
    return RunCollector({settings, log, store, remember, *clock},
                        {drain.get_token(), abort.get_token()});
  }

  Settings settings;
  Hooks hooks;
  std::stop_source drain, abort;
  CollectorStats stats;
  Clock* clock = &SystemClock();

 private:
  std::unique_ptr<MessageLog> real_log_;
  std::unique_ptr<ResultStore> real_store_;

 public:
  ObservedLog log;
  ObservedStore store;

 private:
  std::unique_ptr<TransactionalProducer> producer_;
  int raw_records_ = 0;  // each has a key of its own: the jobs topic keeps one record per key
};

/// `count` results of job "j", one in five a failure.
inline std::vector<ResultRecord> SomeResults(uint32_t count, uint64_t batch = 0) {
  std::vector<ResultRecord> results;
  for (uint32_t i = 0; i < count; ++i) {
    const std::string key = fmt::format("{}/{:04}.jpg", batch, i);
    results.push_back(i % 5 == 4 ? trawl::testing::Failure("j", batch, i, key)
                                 : trawl::testing::Success("j", batch, i, key));
  }
  return results;
}

}  // namespace trawl::storage
