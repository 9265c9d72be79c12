// Goal: the example queries that people copy out of the manual run as they stand and answer what
// they claim. Method: each file of storage/result_store/queries/ against one database with two jobs
// over the same keys.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "storage/result_store/result_store.h"
#include "storage/sqlite/sqlite.h"
#include "tests/support/records.h"
#include "tests/support/temp_dir.h"

namespace trawl::storage {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::StartsWith;
using trawl::testing::Failure;
using trawl::testing::Job;
using trawl::testing::Success;

class ExampleQueries : public ::testing::Test {
 protected:
  ExampleQueries() {
    std::vector<ResultRecord> v1 = {
        Success("photos-v1", 0, 0, "1.jpg", {{0, "cat", 0.99F}, {1, "dog", 0.01F}}),
        Success("photos-v1", 0, 1, "2.jpg", {{0, "cat", 0.41F}, {1, "dog", 0.4F}}),
        Success("photos-v1", 0, 2, "3.jpg", {{1, "dog", 0.45F}, {0, "cat", 0.3F}}),
        Failure("photos-v1", 0, 3, "4.jpg"),
        Failure("photos-v1", 0, 4, "5.jpg"),
        Failure("photos-v1", 0, 5, "6.jpg")};
    std::get<ObjectError>(v1[5].outcome) = {ObjectErrorCode::kCorruptImage, "premature end", 1};
    std::vector<ResultRecord> v2 = {Success("photos-v2", 0, 0, "1.jpg", {{0, "cat", 0.98F}}),
                                    Success("photos-v2", 0, 1, "2.jpg", {{1, "dog", 0.7F}}),
                                    Success("photos-v2", 0, 2, "3.jpg", {{0, "cat", 0.9F}})};
    const std::vector<JobRecord> jobs = {Job("photos-v1", v1, JobState::kSealed),
                                         Job("photos-v2", v1, JobState::kListing)};
    v2.insert(v2.end(), v1.begin(), v1.end());
    const auto store = OpenResultStore(Path()).value();
    EXPECT_TRUE(store->Write({v2, jobs, {}}));
  }

  std::string Path() const { return (folder_ / "results.db").string(); }

  /// The rows of the query in the file, columns joined with '|'.
  std::vector<std::string> Run(const std::string& file, int columns) {
    const auto database =
        SqliteDatabase::Open(Path(), SqliteDatabase::Mode::kReadOnly, std::chrono::seconds(1))
            .value();
    const std::string sql = trawl::testing::ReadFile(kFolder / file);
    EXPECT_THAT(sql, StartsWith("-- "));
    auto statement = database->Prepare(sql);
    EXPECT_TRUE(statement) << file;
    std::vector<std::string> rows;
    while (statement && statement->Step().value()) {
      std::string row;
      for (int i = 0; i < columns; ++i) row += (i ? "|" : "") + std::string(statement->Text(i));
      rows.push_back(row);
    }
    return rows;
  }

  const fs::path kFolder = fs::path(TRAWL_SOURCE_DIR) / "storage/result_store/queries";
  trawl::testing::TempDir folder_{"queries"};
};

TEST_F(ExampleQueries, JobProgress) {
  EXPECT_THAT(Run("1_job_progress.sql", 6),
              ElementsAre("photos-v1|complete|6|3|3|100.0", "photos-v2|listing|0|3|0|300.0"));
}

TEST_F(ExampleQueries, LowConfidence) {
  EXPECT_THAT(Run("2_low_confidence.sql", 3), ElementsAre("2.jpg|cat|0.41", "3.jpg|dog|0.45"));
}

TEST_F(ExampleQueries, ClassHistogram) {
  EXPECT_THAT(Run("3_class_histogram.sql", 2), ElementsAre("cat|2", "dog|1"));
}

TEST_F(ExampleQueries, FailuresByCode) {
  EXPECT_THAT(
      Run("4_failures_by_code.sql", 4),
      ElementsAre("not_found|2|4.jpg|getting it: HTTP 404", "corrupt_image|1|6.jpg|premature end"));
}

TEST_F(ExampleQueries, Disagreement) {
  EXPECT_THAT(Run("5_disagreement.sql", 5),
              ElementsAre("3.jpg|dog|cat|0.45|0.9", "2.jpg|cat|dog|0.41|0.7"));
}

TEST_F(ExampleQueries, NoFileIsLeftUntested) {
  const auto files = std::distance(fs::directory_iterator(kFolder), fs::directory_iterator());
  EXPECT_EQ(files, 5);
}

}  // namespace
}  // namespace trawl::storage
