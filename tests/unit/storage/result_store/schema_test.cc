// Goal: the database is what people and tools are told it is: strict tables, the documented views,
// indexes that the questions about one job can use, durable commits. Method: SQLite's own words
// about a new database (pragmas, query plans, integrity checks).
#include "storage/result_store/schema.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "storage/result_store/control_requests.h"
#include "storage/result_store/result_store.h"
#include "tests/support/records.h"
#include "tests/support/temp_dir.h"

namespace trawl::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using trawl::testing::Failure;
using trawl::testing::Success;

class ResultSchema : public ::testing::Test {
 protected:
  ResultSchema() {
    store_ = OpenResultStore(Path()).value();
    database_ =
        SqliteDatabase::Open(Path(), SqliteDatabase::Mode::kReadWrite, std::chrono::seconds(1))
            .value();
  }

  std::string Path() const { return (folder_ / "results.db").string(); }

  /// The texts in column `column` of the query's rows.
  std::vector<std::string> Column(const std::string& sql, int column = 0) {
    auto statement = database_->Prepare(sql);
    EXPECT_TRUE(statement) << sql << ": " << (statement ? "" : statement.error().message());
    std::vector<std::string> texts;
    while (statement && statement->Step().value()) texts.emplace_back(statement->Text(column));
    return texts;
  }

  trawl::testing::TempDir folder_{"schema"};
  std::unique_ptr<ResultStore> store_;
  std::unique_ptr<SqliteDatabase> database_;
};

TEST_F(ResultSchema, CarriesItsStamps) {
  EXPECT_THAT(Column("PRAGMA application_id"), ElementsAre(std::to_string(0x5452574C)));
  EXPECT_THAT(Column("PRAGMA user_version"), ElementsAre(std::to_string(Migrations().size())));
  EXPECT_THAT(Column("PRAGMA journal_mode"), ElementsAre("wal"));
}

TEST_F(ResultSchema, CountingAgainMendsCountersWhoseRowsWereChanged) {
  ResultRecord lost = Success("j", 0, 1, "b");
  ASSERT_TRUE(store_->Write({{Success("j", 0, 0, "a"), lost, Failure("j", 0, 2, "c")}, {}, {}}));
  ASSERT_TRUE(database_
                  ->Execute("DELETE FROM predictions WHERE object_id = 2;"
                            "DELETE FROM objects WHERE id = 2")
                  .ok());
  const std::string before = Column("SELECT collected_digest FROM jobs").at(0);
  ASSERT_TRUE(RecountJob(Path(), "j", 5).ok());
  EXPECT_THAT(Column("SELECT done || ' ' || failed || ' ' || requeue_ended FROM jobs"),
              ElementsAre("1 1 5"));
  EXPECT_NE(Column("SELECT collected_digest FROM jobs").at(0), before);
  ASSERT_TRUE(RecountJob(Path(), "j", std::nullopt).ok());
  lost.attempt = 2;
  ASSERT_TRUE(store_->Write({{lost}, {}, {}}));
  EXPECT_THAT(Column("SELECT done || ' ' || failed || ' ' || requeue_ended FROM jobs"),
              ElementsAre("2 1 6"));
  EXPECT_EQ(Column("SELECT collected_digest FROM jobs").at(0), before);
}

TEST_F(ResultSchema, AQuestionIsAnsweredOnceAndTakenBackWhenNobodyAnswers) {
  const auto holder = ControlRequests::Open(Path()).value();
  const auto command = ControlRequests::Open(Path()).value();
  std::jthread answering([&] {
    while (true) {
      const auto pending = holder->Pending().value();
      if (pending.empty()) continue;
      EXPECT_EQ(pending[0].job_id, "j");
      EXPECT_EQ(pending[0].wanted, JobControl::kPaused);
      EXPECT_TRUE(holder->Answer(pending[0].id, Status(Code::kNotFound, "no such job")).ok());
      return;
    }
  });
  const Status answer = command->Ask("j", JobControl::kPaused, std::chrono::seconds(60), {});
  EXPECT_EQ(answer.code(), Code::kNotFound);
  EXPECT_EQ(answer.message(), "no such job");
  EXPECT_THAT(Column("SELECT id FROM requests"), ElementsAre());
  EXPECT_EQ(command->Ask("j", JobControl::kRun, std::chrono::milliseconds(0), {}).code(),
            Code::kDeadlineExceeded);
  EXPECT_TRUE(holder->Pending()->empty());
}

TEST_F(ResultSchema, EveryTableIsStrict) {
  EXPECT_THAT(
      Column(
          "SELECT name FROM pragma_table_list"
          " WHERE schema = 'main' AND type = 'table' AND NOT strict AND name NOT LIKE 'sqlite%'"),
      ElementsAre());
}

TEST_F(ResultSchema, TheViewsHaveTheDocumentedColumns) {
  const auto columns = [&](const std::string& view) {
    return Column("SELECT name FROM pragma_table_info('" + view + "')");
  };
  EXPECT_THAT(columns("top1"), ElementsAre("job", "key", "class", "label", "probability"));
  EXPECT_THAT(columns("top5"), ElementsAre("job", "key", "rank", "class", "label", "probability"));
  EXPECT_THAT(columns("failures"), ElementsAre("job", "key", "code", "message", "attempts"));
  EXPECT_THAT(columns("job_progress"), ElementsAre("job", "state", "enqueued", "done", "failed"));
  EXPECT_THAT(columns("class_histogram"), ElementsAre("job", "label", "count"));
}

TEST_F(ResultSchema, QuestionsAboutOneJobScanNoTable) {
  for (const char* sql : {
           "SELECT * FROM top1 WHERE job = 'j'",
           "SELECT * FROM top1 WHERE job = 'j' AND key = 'k'",
           "SELECT * FROM top1 WHERE job = 'j' AND probability < 0.5 ORDER BY probability",
           "SELECT * FROM top5 WHERE job = 'j' ORDER BY key, rank LIMIT 50",
           "SELECT * FROM failures WHERE job = 'j'",
           "SELECT code, count(*) FROM failures WHERE job = 'j' GROUP BY code",
           "SELECT * FROM job_progress WHERE job = 'j'",
           "SELECT * FROM class_histogram WHERE job = 'j' ORDER BY count DESC",
           "SELECT a.key FROM top1 a JOIN top1 b ON a.key = b.key WHERE a.job = 'j' AND b.job = "
           "'k'",
       }) {
    const auto plan = Column(std::string("EXPLAIN QUERY PLAN ") + sql, 3);
    ASSERT_FALSE(plan.empty());
    for (const std::string& step : plan)
      EXPECT_TRUE(step.find("SCAN") == std::string::npos || step == "SCAN class_histogram")
          << sql << ": " << step;
  }
}

TEST_F(ResultSchema, ProgressReadsOneRowHoweverLargeTheJob) {
  EXPECT_THAT(Column("EXPLAIN QUERY PLAN SELECT * FROM job_progress WHERE job = 'j'", 3),
              ElementsAre(HasSubstr("SEARCH jobs USING INDEX")));
}

TEST_F(ResultSchema, ProbabilitiesReadAsTheyWerePublished) {
  ASSERT_TRUE(store_->Write({{Success("j", 0, 0, "a")}, {}, {}}));
  EXPECT_THAT(Column("SELECT probability FROM top1"), ElementsAre("0.9312345"));
}

TEST_F(ResultSchema, TextColumnsHoldTextWhateverCame) {
  ResultRecord record = Success("j", 0, 0, "a\xFF", {{1, "\xFE", 0.5F}});
  record.worker = "\xFD";
  ASSERT_TRUE(store_->Write({{record}, {}, {}}));
  EXPECT_THAT(Column("SELECT typeof(key) || ' ' || worker FROM objects"),
              ElementsAre("blob base64:/Q=="));
  EXPECT_THAT(Column("SELECT label FROM top1"), ElementsAre("base64:/g=="));
}

TEST_F(ResultSchema, TheDatabaseIsSoundAfterWriting) {
  ASSERT_TRUE(store_->Offsets("log"));
  for (uint64_t batch = 0; batch < 5; ++batch) {
    ASSERT_TRUE(
        store_->Write({{Success("j", batch, 0, "a"), Failure("j", batch, 1, "b")}, {}, {}}));
  }
  EXPECT_THAT(Column("PRAGMA integrity_check"), ElementsAre("ok"));
  EXPECT_THAT(Column("PRAGMA foreign_key_check"), ElementsAre());
}

TEST(Migrations, AreAppliedAsAWholeOrNotAtAll) {
  const trawl::testing::TempDir folder("migrations");
  const auto database =
      SqliteDatabase::Open((folder / "x.db").string(), SqliteDatabase::Mode::kReadWrite,
                           std::chrono::seconds(1))
          .value();
  ASSERT_TRUE(CreateOrMigrate(*database).ok());
  // Taking the stamp back to 0 makes the first step meet its own tables: it cannot succeed, and
  // must leave no trace.
  ASSERT_TRUE(database->Execute("PRAGMA user_version = 0; DROP VIEW class_histogram").ok());
  EXPECT_FALSE(CreateOrMigrate(*database).ok());
  EXPECT_EQ(database->ReadInt("PRAGMA user_version").value(), 0);
  EXPECT_EQ(database->ReadInt("SELECT count(*) FROM sqlite_schema WHERE name = 'class_histogram'")
                .value(),
            0);
}

TEST(Migrations, AreNotEmpty) {
  ASSERT_FALSE(Migrations().empty());
  EXPECT_THAT(Migrations().front(), HasSubstr("CREATE TABLE objects"));
}

}  // namespace
}  // namespace trawl::storage
