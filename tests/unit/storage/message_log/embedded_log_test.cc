// Goal: the embedded log's file survives what happens to files, and says what is wrong with one
// that it cannot use. Method: real files in a temporary folder; a child process that is killed with
// SIGKILL at random moments.

#include "storage/message_log/embedded_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <random>

#include "storage/sqlite/sqlite.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace trawl::storage {
namespace {

using std::chrono::milliseconds;
using ::testing::AnyOf;
using ::testing::HasSubstr;

class EmbeddedLogFile : public ::testing::Test {
 protected:
  std::unique_ptr<MessageLog> Open(const EmbeddedLogOptions& options = {}) {
    auto log = OpenEmbeddedLog(path_, options);
    EXPECT_TRUE(log) << log.error().message();
    return log ? std::move(*log) : nullptr;
  }

  Status OpenError() {
    auto log = OpenEmbeddedLog(path_);
    EXPECT_FALSE(log) << "it opened";
    return log ? OkStatus() : log.error();
  }

  static void CreateTopic(MessageLog& log) {
    const TopicSpec spec{.name = "t", .partitions = 2};
    ASSERT_TRUE(log.EnsureTopics({&spec, 1}).ok());
  }

  static Status Put(TransactionalProducer& producer, int32_t partition, const std::string& value) {
    return producer.Commit({.records = {{"t", partition, "k", value}}});
  }

  /// The values of one partition.
  static std::vector<std::string> Read(MessageLog& log, int32_t partition) {
    auto reader = log.Assign({{{"t", partition}, kBeginning}});
    EXPECT_TRUE(reader) << reader.error().message();
    std::vector<std::string> values;
    while (reader) {
      auto polled = (*reader)->Poll(milliseconds(0));
      EXPECT_TRUE(polled) << polled.error().message();
      if (!polled || !polled->record) break;
      values.push_back(polled->record->value);
    }
    return values;
  }

  testing::TempDir folder_{"log"};
  const std::string path_ = folder_ / "results.sqlite.log";
};

TEST_F(EmbeddedLogFile, IsOpenedByOneAtATimeAndTellsByWhom) {
  auto log = Open();
  const Status second = OpenError();
  EXPECT_EQ(second.code(), Code::kFailedPrecondition);
  EXPECT_THAT(second.message(), HasSubstr(fmt::format("in use by process {}", getpid())));
  EXPECT_THAT(second.message(), HasSubstr(path_));
  log.reset();
  Open().reset();
  EXPECT_FALSE(std::filesystem::exists(path_ + ".lock")) << "it cleans up";
}

TEST_F(EmbeddedLogFile, IsFreeAgainWhenItsProcessWasKilled) {
  const pid_t child = fork();
  if (child == 0) {
    auto log = OpenEmbeddedLog(path_);
    raise(SIGKILL);
  }
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_TRUE(std::filesystem::exists(path_ + ".lock")) << "the child did not get that far";
  EXPECT_NE(Open(), nullptr);
}

TEST_F(EmbeddedLogFile, RefusesTheDatabaseOfAnotherProgram) {
  {
    auto other = SqliteDatabase::Open(path_, SqliteDatabase::Mode::kReadWrite, milliseconds(0));
    ASSERT_TRUE(other);
    ASSERT_TRUE((*other)->Execute("CREATE TABLE notes (text TEXT)").ok());
  }
  const std::string before = testing::ReadFile(path_);
  const Status status = OpenError();
  EXPECT_EQ(status.code(), Code::kFailedPrecondition) << status.message();
  EXPECT_THAT(status.message(), HasSubstr("another program"));
  EXPECT_TRUE(testing::ReadFile(path_) == before) << "and leaves it as it was";
}

TEST_F(EmbeddedLogFile, RefusesANewerFormat) {
  Open().reset();
  {
    auto database = SqliteDatabase::Open(path_, SqliteDatabase::Mode::kReadWrite, milliseconds(0));
    ASSERT_TRUE(database);
    ASSERT_TRUE((*database)->Execute("PRAGMA user_version = 2").ok());
  }
  EXPECT_EQ(OpenError().code(), Code::kUnimplemented);
}

TEST_F(EmbeddedLogFile, RefusesAFileThatIsNoDatabase) {
  folder_.Write("results.sqlite.log", std::string(5'000, 'x'));
  EXPECT_EQ(OpenError().code(), Code::kDataLoss);
}

TEST_F(EmbeddedLogFile, NoticesDamage) {
  {
    auto log = Open();
    CreateTopic(*log);
    auto producer = log->OpenProducer("p");
    for (int i = 0; i < 200; ++i) {
      ASSERT_TRUE(Put(**producer, 0, std::string(1'000, 'x')).ok());
    }
  }
  std::string bytes = testing::ReadFile(path_);
  ASSERT_GT(bytes.size(), 100'000U);
  std::fill(bytes.begin() + 8'192, bytes.begin() + 65'536, '\xA5');
  folder_.Write("results.sqlite.log", bytes);
  const Status status = OpenError();
  EXPECT_EQ(status.code(), Code::kDataLoss) << status.message();
}

TEST_F(EmbeddedLogFile, NoticesRowsThatMakeNoSense) {
  for (const char* damage : {"UPDATE partitions SET next_offset = -1", "DELETE FROM log",
                             "UPDATE partitions SET number = 7 WHERE number = 1"}) {
    std::filesystem::remove(path_);
    {
      auto log = Open();
      CreateTopic(*log);
    }
    auto database = SqliteDatabase::Open(path_, SqliteDatabase::Mode::kReadWrite, milliseconds(0));
    ASSERT_TRUE(database);
    ASSERT_TRUE((*database)->Execute(damage).ok());
    database = nullptr;
    EXPECT_EQ(OpenError().code(), Code::kDataLoss) << damage;
  }
}

TEST_F(EmbeddedLogFile, NamesThePlaceThatCannotHoldIt) {
  const auto missing = OpenEmbeddedLog(folder_ / "no" / "log");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code(), Code::kNotFound) << missing.error().message();
  std::filesystem::create_directory(path_);
  const Status status = OpenError();
  EXPECT_EQ(status.code(), Code::kInvalidArgument) << status.message();
}

TEST_F(EmbeddedLogFile, WritesNothingOfATransactionThatDoesNotFitAndGoesOnWhenThereIsRoom) {
  auto log = Open({.max_bytes = 1 << 20});
  CreateTopic(*log);
  auto producer = log->OpenProducer("p");
  ASSERT_TRUE(producer);
  Transaction large{.records = {{"t", 0, "k", "small"}}};
  large.records.push_back({"t", 1, "k", std::string(2 << 20, 'x')});
  const Status full = (*producer)->Commit(large);
  EXPECT_EQ(full.code(), Code::kResourceExhausted) << full.message();
  EXPECT_TRUE(Read(*log, 0).empty());
  ASSERT_TRUE(Put(**producer, 0, "a").ok());

  Status status;
  int64_t written = 0;
  for (; status.ok() && written < 100; ++written) {
    status = Put(**producer, 1, std::string(50'000, 'x'));
  }
  EXPECT_EQ(status.code(), Code::kResourceExhausted) << status.message();
  const TopicOffset trimmed{{"t", 1}, written - 1};
  ASSERT_TRUE(log->Trim({&trimmed, 1}).ok());
  EXPECT_TRUE(Put(**producer, 1, std::string(50'000, 'y')).ok()) << "what was trimmed makes room";
  EXPECT_EQ(Read(*log, 1).size(), 1U);
}

TEST_F(EmbeddedLogFile, TrimsForGoodAndTellsAReaderThatComesTooLate) {
  const TopicOffset keep{{"t", 0}, 2};
  {
    auto log = Open();
    CreateTopic(*log);
    auto producer = log->OpenProducer("p");
    for (const char* value : {"0", "1", "2", "3"}) ASSERT_TRUE(Put(**producer, 0, value).ok());
    ASSERT_TRUE(log->Trim({&keep, 1}).ok());
    ASSERT_TRUE(log->Trim({&keep, 1}).ok());  // again: nothing to do
    const TopicOffset beyond{{"t", 1}, 100};
    ASSERT_TRUE(log->Trim({&beyond, 1}).ok());  // no further than the end
    ASSERT_TRUE(Put(**producer, 1, "first").ok());
  }
  auto log = Open();
  EXPECT_THAT(Read(*log, 0), ::testing::ElementsAre("2", "3"));
  EXPECT_THAT(Read(*log, 1), ::testing::ElementsAre("first"));
  auto late = log->Assign({{{"t", 0}, 1}});
  ASSERT_TRUE(late);
  const auto polled = (*late)->Poll(milliseconds(0));
  ASSERT_FALSE(polled);
  EXPECT_EQ(polled.error().code(), Code::kFailedPrecondition);
}

TEST_F(EmbeddedLogFile, KeepsWhatWasAcknowledgedAndWholeTransactionsWhenKilledAtAnyMoment) {
  CreateTopic(*Open());
  // Shared with the child: how many transactions were acknowledged to it.
  auto* acknowledged = static_cast<std::atomic<int>*>(
      mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(acknowledged, MAP_FAILED);
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937 random(seed);
  for (int round = 0; round < 8; ++round) {
    const int at_start = acknowledged->load();
    const pid_t child = fork();
    if (child == 0) {
      auto log = OpenEmbeddedLog(path_);
      auto producer = log ? (*log)->OpenProducer("p") : tl::unexpected(log.error());
      while (producer) {
        const std::string value = std::to_string(acknowledged->load());
        const Transaction both{.records = {{"t", 0, "k", value}, {"t", 1, "k", value}},
                               .offsets = {}};
        if (!(*producer)->Commit(both).ok()) break;
        ++*acknowledged;
      }
      _exit(1);
    }
    const int wanted = at_start + 1 + static_cast<int>(random() % 40);
    ASSERT_TRUE(testing::WaitUntil([&] { return acknowledged->load() >= wanted; }));
    kill(child, SIGKILL);
    int state = 0;
    ASSERT_EQ(waitpid(child, &state, 0), child);
    ASSERT_TRUE(WIFSIGNALED(state)) << "the child ended by itself";

    auto log = Open();
    const auto first = Read(*log, 0);
    EXPECT_EQ(first, Read(*log, 1)) << "half a transaction";
    // The last one may have been committed and not yet acknowledged.
    EXPECT_THAT(static_cast<int>(first.size()),
                AnyOf(acknowledged->load(), acknowledged->load() + 1));
    for (size_t i = 0; i < first.size(); ++i) ASSERT_EQ(first[i], std::to_string(i));
    *acknowledged = static_cast<int>(first.size());
  }
  munmap(acknowledged, 4096);
}

TEST_F(EmbeddedLogFile, RefusesTopicsThatCannotBe) {
  auto log = Open();
  for (const TopicSpec& spec :
       {TopicSpec{.name = "t", .partitions = 0}, TopicSpec{.name = "t", .partitions = 1'000'000},
        TopicSpec{.name = ""}}) {
    EXPECT_EQ(log->EnsureTopics({&spec, 1}).code(), Code::kInvalidArgument);
  }
  EXPECT_FALSE(log->PartitionCount("t"));
}

TEST_F(EmbeddedLogFile, RefusesOffsetsOfAnotherLogsConsumer) {
  auto log = Open();
  CreateTopic(*log);
  auto other = OpenEmbeddedLog(folder_ / "other");
  ASSERT_TRUE(other);
  CreateTopic(**other);
  auto stranger = (*other)->Assign({{{"t", 0}, kBeginning}});
  auto producer = log->OpenProducer("p");
  ASSERT_TRUE(stranger && producer);
  for (LogConsumer* consumer : {stranger->get(), static_cast<LogConsumer*>(nullptr)}) {
    EXPECT_EQ((*producer)->Commit({.consumer = consumer, .offsets = {{{"t", 0}, 1}}}).code(),
              Code::kInvalidArgument);
  }
}

}  // namespace
}  // namespace trawl::storage
