// Goal: when the disk fills or the file breaks while results are being written, the caller hears
// it, nothing is half written, and the same batch goes in once the trouble is over. Method: a real
// limit on the size of files, real damage to the file's pages.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <random>

#include "storage/result_store/result_store.h"
#include "tests/support/records.h"
#include "tests/support/temp_dir.h"

namespace trawl::storage {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using trawl::testing::Success;

/// While it lives, no file of this process can grow beyond `bytes`: writes fail as on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    old_handler_ = std::signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old_limit_);
    const rlimit limit{bytes, old_limit_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &old_limit_);
    std::signal(SIGXFSZ, old_handler_);
  }

 private:
  rlimit old_limit_{};
  void (*old_handler_)(int) = SIG_DFL;
};

CollectedBatch Batch(uint64_t seq) {
  CollectedBatch batch;
  for (uint32_t i = 0; i < 100; ++i)
    batch.results.push_back(
        Success("j", seq, i, std::string(500, 'k') + std::to_string(seq * 100 + i)));
  const TopicPartition partition{"trawl.results", 0};
  const auto position = static_cast<int64_t>(seq);
  batch.steps = {{partition, seq == 0 ? kBeginning : position, position + 1}};
  return batch;
}

TEST(ResultsInTrouble, AFullDiskLosesNothingAndHeals) {
  const trawl::testing::TempDir folder("full-disk");
  const std::string path = (folder / "results.db").string();
  const auto store = OpenResultStore(path).value();
  ASSERT_TRUE(store->Offsets("log"));
  uint64_t seq = 0;
  {
    const FileSizeLimit full(1 << 20);
    Result<WriteReport> report;
    while ((report = store->Write(Batch(seq))) && seq < 1'000) ++seq;
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error().code(), Code::kResourceExhausted) << report.error().message();
    EXPECT_THAT(report.error().message(), HasSubstr(path));
    EXPECT_THAT(report.error().message(), HasSubstr("the disk is full"));
    EXPECT_EQ(store->Write(Batch(seq)).error().code(), Code::kResourceExhausted);
  }
  ASSERT_GT(seq, 0u);
  const auto reader = OpenResultReader(path).value();
  EXPECT_EQ(reader->Job("j").value().done, seq * 100);
  EXPECT_EQ(store->Write(Batch(seq)).value().rows_added, 100);
  EXPECT_EQ(reader->Job("j").value().done, (seq + 1) * 100);
}

TEST(ResultsInTrouble, ADamagedFileIsReportedAndNeverCrashes) {
  const uint32_t seed = std::random_device{}();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const trawl::testing::TempDir folder("damaged");
  const std::string path = (folder / "results.db").string();
  {
    const auto store = OpenResultStore(path).value();
    ASSERT_TRUE(store->Offsets("log"));
    for (uint64_t seq = 0; seq < 10; ++seq) ASSERT_TRUE(store->Write(Batch(seq)));
  }
  const std::string intact = trawl::testing::ReadFile(path);
  int noticed = 0;
  for (int round = 0; round < 30; ++round) {
    std::string damaged = intact;
    for (int i = 0; i < 3; ++i)
      damaged.replace(random() % (damaged.size() - 600), 600, std::string(600, '\xA5'));
    folder.Write("results.db", damaged);
    fs::remove(path + "-wal");
    fs::remove(path + "-shm");
    const auto reader = OpenResultReader(path);
    const Status read = reader
                            ? (*reader)->Rows("j", false, 0, [](const ResultRow&) { return true; })
                            : reader.error();
    const auto store = OpenResultStore(path);
    const Status write = !store                        ? store.error()
                         : !(*store)->Offsets("log")   ? (*store)->Offsets("log").error()
                         : !(*store)->Write(Batch(10)) ? (*store)->Write(Batch(10)).error()
                                                       : OkStatus();
    noticed += !read.ok() || !write.ok();
  }
  EXPECT_GT(noticed, 5);
}

TEST(ResultsInTrouble, AFileThatIsRemovedUnderTheCollectorIsNoticed) {
  const trawl::testing::TempDir folder("removed");
  const std::string path = (folder / "results.db").string();
  const auto store = OpenResultStore(path).value();
  ASSERT_TRUE(store->Offsets("log"));
  ASSERT_TRUE(store->Write(Batch(0)));
  fs::remove(path);
  const auto report = store->Write(Batch(1));
  ASSERT_FALSE(report) << "rows went into a file that nobody can open";
  EXPECT_EQ(report.error().code(), Code::kFailedPrecondition);
  EXPECT_THAT(report.error().message(), HasSubstr("moved or deleted"));
}

}  // namespace
}  // namespace trawl::storage
