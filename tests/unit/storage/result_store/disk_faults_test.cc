// Goal: whichever call to the disk fails, once or from then on, and wherever the power goes, the
// database never says anything wrong: what was acknowledged is there, rows and offsets agree, and
// the collector's way of going on ends with every row once. Method: the same few batches again and
// again on a disk that fails at the first call, then the second, and so on to the last.
#include <gtest/gtest.h>

#include <filesystem>

#include "storage/result_store/result_store.h"
#include "storage/sqlite/sqlite.h"
#include "tests/support/records.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/storage/result_store/faulty_disk.h"

namespace trawl::storage {
namespace {

using trawl::testing::FaultyDisk;
using Fault = FaultyDisk::Fault;

constexpr int kBatches = 3;
constexpr int kRows = 5;
const TopicPartition kPartition{"trawl.results", 0};

CollectedBatch Batch(int64_t seq) {
  CollectedBatch batch;
  for (uint32_t i = 0; i < kRows; ++i)
    batch.results.push_back(trawl::testing::Success("j", static_cast<uint64_t>(seq), i,
                                                    std::to_string(seq * kRows + i)));
  batch.steps = {{kPartition, seq == 0 ? kBeginning : seq, seq + 1}};
  return batch;
}

/// A collector that is started again as often as it ends.
class Collector {
 public:
  Collector(FaultyDisk& disk, std::string path) : disk_(disk), path_(std::move(path)) {}

  /// One life: up to the last batch, or the first that cannot be written. True: all is written.
  bool Live() {
    const auto store = OpenResultStore(path_);
    if (!store) return false;
    const auto offsets = (*store)->Offsets("log");
    if (!offsets) return false;
    int64_t next = 0;
    for (const StoredOffset& offset : *offsets) next = std::max(next, offset.offset);
    EXPECT_GE(next, acknowledged_) << "what was acknowledged is gone";
    for (; next < kBatches; ++next) {
      Result<WriteReport> report = (*store)->Write(Batch(next));
      // As the collector does it, to a disk that is full or was in trouble for a moment.
      if (!report && disk_.works()) report = (*store)->Write(Batch(next));
      if (!report) return false;
      EXPECT_EQ(report->rows_added, kRows);
      acknowledged_ = next + 1;
    }
    return true;
  }

 private:
  FaultyDisk& disk_;
  const std::string path_;
  int64_t acknowledged_ = 0;
};

void ExpectAllOnce(const std::string& path) {
  const auto reader = OpenResultReader(path).value();
  EXPECT_EQ(reader->Job("j").value().done, static_cast<uint64_t>(kBatches * kRows));
  const auto database = SqliteDatabase::Open(path, SqliteDatabase::Mode::kReadOnly, {}).value();
  const auto read = [&](const char* sql) { return database->ReadInt(sql).value(); };
  EXPECT_EQ(read("SELECT count(*) FROM objects"), kBatches * kRows);
  EXPECT_EQ(read("SELECT count(DISTINCT key) FROM objects"), kBatches * kRows);
  EXPECT_EQ(read("SELECT sum(duplicates) FROM jobs"), 0);
  EXPECT_EQ(read("SELECT next_offset FROM offsets"), kBatches);
  EXPECT_EQ(read("SELECT integrity_check = 'ok' FROM pragma_integrity_check"), 1);
}

/// Calls that a run without a fault makes; the same every time.
int CallsOfARun(FaultyDisk& disk) {
  const trawl::testing::TempDir folder("healthy-disk");
  const std::string path = (folder / "results.db").string();
  disk.Arm(Fault::kNone, 0);
  EXPECT_TRUE(Collector(disk, path).Live());
  const int calls = disk.calls();
  ExpectAllOnce(path);
  return calls;
}

void RunWithEachCallFailing(Fault fault) {
  FaultyDisk disk;
  const int calls = CallsOfARun(disk);
  ASSERT_GT(calls, 50);
  for (int call = 1; call <= calls; ++call) {
    SCOPED_TRACE(::testing::Message() << "call " << call << " of " << calls);
    const trawl::testing::TempDir folder("faulty-disk");
    const std::string path = (folder / "results.db").string();
    Collector collector(disk, path);
    disk.Arm(fault, call);
    bool ended = collector.Live();
    EXPECT_TRUE(disk.struck());
    disk.Heal();
    if (!ended) ended = collector.Live();
    ASSERT_TRUE(ended) << "the disk works again";
    ExpectAllOnce(path);
    if (::testing::Test::HasFailure()) return;
  }
}

TEST(DiskFaults, ACallThatFailsOnceLosesNothing) { RunWithEachCallFailing(Fault::kOnce); }

TEST(DiskFaults, ADiskThatBreaksLosesNothing) { RunWithEachCallFailing(Fault::kForGood); }

TEST(DiskFaults, APowerCutLosesNothingThatWasAcknowledged) {
  RunWithEachCallFailing(Fault::kPowerCut);
}

}  // namespace
}  // namespace trawl::storage
