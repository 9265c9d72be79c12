// Goal: whatever stands at the path, opening gives a database or one clear line with the path, and
// changes nothing that is not ours. Method: the real things in place of the file: folders, other
// programs' databases, garbage, locks, files without permissions (as a user without rights).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "storage/result_store/result_store.h"
#include "storage/sqlite/sqlite.h"
#include "tests/support/records.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/storage/result_store/as_nobody.h"

namespace trawl::storage {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using ::testing::HasSubstr;
using trawl::testing::ExpectAsNobody;
using trawl::testing::Success;

class OpeningResults : public ::testing::Test {
 protected:
  std::string Path(std::string_view name = "results.db") const { return (folder_ / name).string(); }

  /// Writer and reader must both refuse with this code and say why; the path is in the message.
  void ExpectRefused(const std::string& path, Code code, const std::string& why) {
    const Status statuses[] = {OpenResultStore(path, 10ms).error(), OpenResultReader(path).error()};
    for (const Status& status : statuses) {
      EXPECT_EQ(status.code(), code) << status.message();
      EXPECT_THAT(status.message(), HasSubstr(path));
      EXPECT_THAT(status.message(), HasSubstr(why));
      EXPECT_EQ(status.message().find('\n'), std::string::npos);
    }
  }

  void FillAndClose() {
    auto store = OpenResultStore(Path()).value();
    ASSERT_TRUE(store->Write({{Success("j", 0, 0, "a")}, {}, {}}));
  }

  std::unique_ptr<SqliteDatabase> Raw(const std::string& path) {
    return SqliteDatabase::Open(path, SqliteDatabase::Mode::kReadWrite, 10ms).value();
  }

  trawl::testing::TempDir folder_{"open-results"};
};

/// True when `result` failed with `code`; says what happened otherwise.
template <class T>
bool FailedWith(const Result<T>& result, Code code) {
  if (!result && result.error().code() == code) return true;
  std::fprintf(stderr, "%s\n", result ? "opened" : result.error().message().c_str());
  return false;
}

TEST_F(OpeningResults, CreatesTheDatabaseAndOpensItAgain) {
  FillAndClose();
  FillAndClose();
  EXPECT_EQ(OpenResultReader(Path()).value()->Job("j").value().done, 1u);
}

TEST_F(OpeningResults, TakesAnEmptyFile) {
  folder_.Write("results.db", "");
  EXPECT_TRUE(OpenResultStore(Path()));
}

TEST_F(OpeningResults, PathsAreNeverSpecial) {
  const fs::path before = fs::current_path();
  fs::current_path(folder_.path());
  for (const char* name : {":memory:", "file:x?mode=memory", "a b%41#c"}) {
    EXPECT_TRUE(OpenResultStore(name)) << name;
    EXPECT_TRUE(fs::exists(folder_ / name)) << name;
    EXPECT_TRUE(OpenResultReader(name)) << name;
  }
  fs::current_path(before);
  EXPECT_EQ(OpenResultStore("").error().code(), Code::kInvalidArgument);
}

TEST_F(OpeningResults, RefusesAFolder) {
  fs::create_directory(Path());
  ExpectRefused(Path(), Code::kInvalidArgument, "it is a folder");
}

TEST_F(OpeningResults, RefusesAMissingFolder) {
  const auto store = OpenResultStore(Path("no/such/results.db"));
  EXPECT_EQ(store.error().code(), Code::kNotFound);
  EXPECT_THAT(store.error().message(), HasSubstr("no such folder: " + Path("no/such")));
}

TEST_F(OpeningResults, ReadingAMissingFileIsNotFoundAndCreatesNothing) {
  const auto reader = OpenResultReader(Path());
  EXPECT_EQ(reader.error().code(), Code::kNotFound);
  EXPECT_THAT(reader.error().message(), HasSubstr(Path()));
  EXPECT_FALSE(fs::exists(Path()));
}

TEST_F(OpeningResults, ReadingAnEmptyDatabaseSaysThatNobodyWroteIt) {
  folder_.Write("results.db", "");
  EXPECT_THAT(OpenResultReader(Path()).error().message(), HasSubstr("it is empty"));
}

TEST_F(OpeningResults, RefusesWhatIsNotADatabaseAndLeavesItAlone) {
  const std::string text(5000, 'x');
  folder_.Write("results.db", text);
  ExpectRefused(Path(), Code::kDataLoss, "not a SQLite database");
  EXPECT_EQ(trawl::testing::ReadFile(Path()), text);
}

TEST_F(OpeningResults, RefusesAnotherProgramsDatabaseAndLeavesItAlone) {
  ASSERT_TRUE(Raw(Path())->Execute("CREATE TABLE jobs (job TEXT)").ok());
  const std::string before = trawl::testing::ReadFile(Path());
  ExpectRefused(Path(), Code::kFailedPrecondition, "of another program");
  EXPECT_EQ(trawl::testing::ReadFile(Path()), before);
}

TEST_F(OpeningResults, RefusesADatabaseOfANewerTrawl) {
  FillAndClose();
  ASSERT_TRUE(Raw(Path())->Execute("PRAGMA user_version = 9").ok());
  ExpectRefused(Path(), Code::kFailedPrecondition, "newer Trawl (schema 9; this one knows");
}

TEST_F(OpeningResults, ALockedDatabaseIsUnavailable) {
  FillAndClose();
  const auto other = Raw(Path());
  auto lock = SqliteTransaction::Begin(*other).value();
  auto store = OpenResultStore(Path(), 10ms).value();
  const auto report = store->Write({{Success("j", 0, 1, "b")}, {}, {}});
  EXPECT_EQ(report.error().code(), Code::kUnavailable);
  EXPECT_THAT(report.error().message(), HasSubstr("locked by another process"));
  EXPECT_THAT(report.error().message(), HasSubstr(Path()));
  EXPECT_TRUE(lock.Commit().ok());
  EXPECT_TRUE(store->Write({{Success("j", 0, 1, "b")}, {}, {}}));
}

TEST_F(OpeningResults, AnExclusiveLockWhileOpeningIsUnavailable) {
  const auto other = Raw(Path());
  ASSERT_TRUE(other->Execute("BEGIN EXCLUSIVE").ok());
  const auto store = OpenResultStore(Path(), 10ms);
  EXPECT_EQ(store.error().code(), Code::kUnavailable) << store.error().message();
}

TEST_F(OpeningResults, AReadOnlyFileIsRefusedForWritingOnly) {
  FillAndClose();
  fs::permissions(folder_.path(), fs::perms(0777));
  fs::permissions(Path(), fs::perms(0444));
  ExpectAsNobody(
      [&] { return FailedWith(OpenResultStore(Path(), 10ms), Code::kPermissionDenied); });
  ExpectAsNobody([&] { return OpenResultReader(Path()).value()->Job("j").value().done == 1; });
}

TEST_F(OpeningResults, AReadOnlyFolderIsRefusedForWritingOnly) {
  FillAndClose();
  fs::permissions(Path(), fs::perms(0666));
  fs::permissions(folder_.path(), fs::perms(0555));
  ExpectAsNobody(
      [&] { return FailedWith(OpenResultStore(Path(), 10ms), Code::kPermissionDenied); });
  ExpectAsNobody(
      [&] { return FailedWith(OpenResultStore(Path("new.db"), 10ms), Code::kPermissionDenied); });
  ExpectAsNobody([&] {
    const auto reader = OpenResultReader(Path());
    if (!reader) std::fprintf(stderr, "%s\n", reader.error().message().c_str());
    return reader && (*reader)->Job("j").value().done == 1 && (*reader)->Jobs().value().size() == 1;
  });
}

TEST_F(OpeningResults, AnUnreadableFileIsPermissionDenied) {
  FillAndClose();
  fs::permissions(folder_.path(), fs::perms(0777));
  fs::permissions(Path(), fs::perms(0000));
  ExpectAsNobody([&] {
    return FailedWith(OpenResultStore(Path(), 10ms), Code::kPermissionDenied) &&
           FailedWith(OpenResultReader(Path()), Code::kPermissionDenied);
  });
}

TEST_F(OpeningResults, RowsThatAreStillInTheWalAreNeverReadPast) {
  // A collector is at work, but this user may not take part in its locks.
  auto store = OpenResultStore(Path()).value();
  ASSERT_TRUE(store->Write({{Success("j", 0, 0, "a")}, {}, {}}));
  fs::permissions(folder_.path(), fs::perms(0555));
  fs::permissions(Path(), fs::perms(0444));
  fs::permissions(Path("results.db-wal"), fs::perms(0444));
  fs::permissions(Path("results.db-shm"), fs::perms(0000));
  ExpectAsNobody([&] { return OpenResultReader(Path()).value()->Job("j").value().done == 1; });
  fs::permissions(Path("results.db-wal"), fs::perms(0000));
  ExpectAsNobody([&] { return FailedWith(OpenResultReader(Path()), Code::kPermissionDenied); });
}

}  // namespace
}  // namespace trawl::storage
