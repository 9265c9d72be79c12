#include "tests/unit/worker/worker_world.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "config/check.h"
#include "engine/model_package.h"
#include "storage/message_log/embedded_log.h"
#include "storage/topics.h"
#include "tests/support/process.h"

namespace trawl::worker {
namespace {

namespace fs = std::filesystem;

const fs::path kSample = fs::path(TRAWL_SOURCE_DIR) / "ops" / "sample";
constexpr uint64_t kBatchKeys = 8;
constexpr int kPartitions = 4;

/// The text of a few good pictures of the sample, one of each format at least.
std::vector<std::string> GoodPictures() {
  std::vector<std::string> pictures;
  std::set<std::string> extensions;
  for (const auto& entry : fs::recursive_directory_iterator(kSample / "bucket" / "Gemälde")) {
    if (extensions.insert(entry.path().extension().string()).second)
      pictures.push_back(testing::ReadFile(entry.path()));
  }
  CHECK(pictures.size() >= 3);
  return pictures;
}

}  // namespace

WorkerWorld::WorkerWorld() {
  settings.work_partitions = kPartitions;
  settings.results_partitions = 2;
  settings.sessions = 2;
  settings.decode_threads = 2;
  settings.batch_size = 4;
  settings.batch_delay_ms = 2;
  settings.commit_interval_ms = 10;
  settings.allow_root = {dir_.path().string(), kSample.string()};
  fs::create_directories(folder());

  const auto package = engine::OpenModelPackage((kSample / "model-onnx").string());
  CHECK(package);
  spec.source = "file://" + folder().string() + "/";
  spec.model = {"file://" + package->location, package->name, package->digest,
                package->preprocess_digest};
  OpenLog();
  objects = std::move(*storage::OpenObjectStore(settings));
}

void WorkerWorld::OpenLog() {
  log = std::move(*storage::OpenEmbeddedLog((dir_ / "log").string()));
  CHECK(log->EnsureTopics(storage::TopicSpecs(settings)).ok());
  producer_ = std::move(*log->OpenProducer("test-producer"));
}

void WorkerWorld::CloseLog() {
  producer_.reset();
  log.reset();
}

std::vector<std::string> WorkerWorld::WritePictures(int count) {
  const std::vector<std::string> good = GoodPictures();
  const std::pair<std::string, ObjectErrorCode> broken[] = {
      {"", ObjectErrorCode::kNotAnImage},
      {"<html><body>Not Found</body></html>", ObjectErrorCode::kNotAnImage},
      {"GIF89a\x01\x01\x01", ObjectErrorCode::kUnsupportedFormat},
      {"\xFF\xD8\xFF\xE0 and then the end", ObjectErrorCode::kTruncated},
  };
  std::vector<std::string> keys;
  for (int i = 0; i < count; ++i) {
    std::string key = "some folder/picture " + std::to_string(i) + " (50% größer)";
    const auto which = static_cast<size_t>(i / 10);
    if (i % 10 != 3) {
      dir_.Write("pictures/" + key, good[static_cast<size_t>(i) % good.size()]);
    } else if (which % 5 == 4) {
      broken_[key] = ObjectErrorCode::kNotFound;  // gone since it was listed
    } else {
      dir_.Write("pictures/" + key, broken[which % 5].first);
      broken_[key] = broken[which % 5].second;
    }
    keys.push_back(std::move(key));
  }
  return keys;
}

std::vector<std::string> WorkerWorld::MissingPictures(size_t count) {
  std::vector<std::string> keys;
  for (size_t i = 0; i < count; ++i) {
    keys.push_back("missing " + std::to_string(i));
    broken_[keys.back()] = ObjectErrorCode::kNotFound;
  }
  return keys;
}

void WorkerWorld::Enqueue(const std::vector<std::string>& keys) {
  for (size_t begin = 0; begin < keys.size(); begin += kBatchKeys) {
    WorkBatch batch;
    batch.job_id = "job";
    batch.seq = next_seq_++;
    batch.spec = spec;
    for (size_t i = begin; i < std::min<size_t>(begin + kBatchKeys, keys.size()); ++i)
      batch.objects.push_back({keys[i], "", std::nullopt, ""});
    EnqueueBatch(batch);
  }
}

void WorkerWorld::EnqueueBatch(const WorkBatch& batch) {
  EnqueueRaw(static_cast<int>(batch.seq % kPartitions), Encode(batch));
}

void WorkerWorld::EnqueueRaw(int partition, const std::string& value) {
  storage::Transaction transaction;
  transaction.records.push_back({storage::WorkTopic(settings.queue), partition, "job", value});
  const Status status = producer_->Commit(transaction);
  CHECK(status.ok());
}

std::vector<ResultRecord> WorkerWorld::Results() {
  std::vector<ResultRecord> results;
  const Status read =
      storage::ReadToEnd(*log, storage::kResultsTopic, [&](const storage::LogRecord& record) {
        Result<ResultRecord> result = DecodeResultRecord(record.value);
        ASSERT_TRUE(result) << result.error().message();
        EXPECT_EQ(record.key, ResultMessageKey(*result));
        results.push_back(std::move(*result));
      });
  EXPECT_TRUE(read.ok()) << read.message();
  return results;
}

bool WorkerWorld::WaitForResults(size_t count) {
  return testing::WaitUntil([&] { return Results().size() >= count; });
}

void WorkerWorld::ExpectEachOnce(const std::vector<std::string>& keys) {
  std::map<std::string, std::vector<ResultRecord>> by_key;
  for (ResultRecord& record : Results()) by_key[record.key].push_back(std::move(record));
  EXPECT_EQ(by_key.size(), keys.size());
  for (const std::string& key : keys) {
    ASSERT_EQ(by_key[key].size(), 1U) << key;
    const ResultRecord& record = by_key[key][0];
    EXPECT_EQ(record.model_digest, spec.model.digest);
    const auto* error = std::get_if<ObjectError>(&record.outcome);
    const auto broken = broken_.find(key);
    if (broken != broken_.end()) {
      ASSERT_NE(error, nullptr) << key;
      EXPECT_EQ(error->code, broken->second) << key << ": " << error->message;
    } else {
      ASSERT_EQ(error, nullptr) << key << ": " << error->message;
      EXPECT_EQ(std::get<std::vector<Prediction>>(record.outcome).size(), 5U);
      EXPECT_GT(record.size_bytes, 0U);
    }
  }
}

RunningWorker::RunningWorker(WorkerWorld& world, const std::string& name, storage::MessageLog& log,
                             storage::ObjectStore& objects, Clock& clock)
    : thread_([this, &world, name, &log, &objects, &clock] {
        ended_ = RunWorker({.settings = world.settings,
                            .log = log,
                            .objects = objects,
                            .name = name,
                            .transactional_id = "worker-" + name,
                            .on_progress = {},
                            .clock = clock},
                           {drain_.get_token(), abort_.get_token()});
      }) {}

RunningWorker::~RunningWorker() {
  drain_.request_stop();
  abort_.request_stop();
}

Status RunningWorker::Drain() {
  drain_.request_stop();
  return Wait();
}

Status RunningWorker::Abort() {
  // In this order, whoever sees the drain sees the abort, too.
  abort_.request_stop();
  drain_.request_stop();
  return Wait();
}

Status RunningWorker::Wait() {
  thread_.join();
  return ended_;
}

}  // namespace trawl::worker
