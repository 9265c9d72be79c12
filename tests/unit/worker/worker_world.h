#pragma once
// The world that a worker lives in, for tests: a folder of pictures, the sample model, and a real
// embedded log with work on it. Broken pictures and what must become of them are known.

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "config/clock.h"
#include "config/records.h"
#include "config/settings.h"
#include "storage/message_log/message_log.h"
#include "storage/object_store/object_store.h"
#include "tests/support/temp_dir.h"
#include "worker/worker.h"

namespace trawl::worker {

class WorkerWorld {
 public:
  WorkerWorld();

  /// Writes `count` pictures, every tenth of them broken in one of five ways, and returns their
  /// keys.
  std::vector<std::string> WritePictures(int count);
  /// Keys of pictures that are not there: work that costs next to nothing.
  std::vector<std::string> MissingPictures(size_t count);
  /// Puts the keys on the work topic in batches of 8, round-robin over the partitions.
  void Enqueue(const std::vector<std::string>& keys);
  void EnqueueBatch(const WorkBatch& batch);
  /// Any bytes as a work message.
  void EnqueueRaw(int partition, const std::string& value);

  /// Every record on trawl.results, in no particular order.
  std::vector<ResultRecord> Results();
  /// Waits (two minutes at most) until there are at least so many.
  bool WaitForResults(size_t count);
  /// Each key has exactly one record; broken pictures failed with the right code, all others have
  /// five predictions.
  void ExpectEachOnce(const std::vector<std::string>& keys);

  /// Lets go of the log, so that a child process can open it, and the other way round.
  void CloseLog();
  void OpenLog();

  Settings settings;
  JobSpec spec;
  std::unique_ptr<storage::MessageLog> log;
  std::unique_ptr<storage::ObjectStore> objects;

 private:
  std::filesystem::path folder() const { return dir_ / "pictures"; }

  testing::TempDir dir_{"worker"};
  std::unique_ptr<storage::TransactionalProducer> producer_;
  std::map<std::string, ObjectErrorCode> broken_;
  uint64_t next_seq_ = 0;
};

/// RunWorker on a thread of its own. The destructor aborts it.
class RunningWorker {
 public:
  RunningWorker(WorkerWorld& world, const std::string& name)
      : RunningWorker(world, name, *world.log, *world.objects) {}
  /// On another log, store or clock than the world's.
  RunningWorker(WorkerWorld& world, const std::string& name, storage::MessageLog& log,
                storage::ObjectStore& objects, Clock& clock = SystemClock());
  ~RunningWorker();

  void RequestDrain() { drain_.request_stop(); }
  Status Drain();
  Status Abort();
  /// Waits until it ends by itself.
  Status Wait();

 private:
  std::stop_source drain_, abort_;
  Status ended_;
  std::jthread thread_;
};

}  // namespace trawl::worker
