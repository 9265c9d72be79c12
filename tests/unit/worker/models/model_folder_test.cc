// Goal: a model appears in the folder whole or not at all, the folder stays within its limit, and
// nobody's model goes while it is being read.
// Method: a real folder; other processes are played by descriptors of their own, which is all that
// flock looks at.

#include "worker/models/model_folder.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <chrono>
#include <set>

#include "tests/support/temp_dir.h"

namespace trawl::worker {
namespace {

namespace fs = std::filesystem;

class ModelFolderTest : public ::testing::Test {
 protected:
  ModelFolder Open(int64_t bytes_max = 1'000) {
    Settings settings;
    settings.model_cache = (dir_ / "models").string();
    settings.model_cache_bytes = bytes_max;
    return *ModelFolder::Open(settings);
  }
  IncomingModel Bring(const ModelFolder& folder, const std::string& bytes) {
    IncomingModel incoming = *folder.Begin();
    dir_.Write("models/" + incoming.path().filename().string() + "/package/net/a.onnx", bytes);
    return incoming;
  }
  void Keep(const ModelFolder& folder, const std::string& name, const std::string& bytes,
            const std::string& alias = "") {
    const Status kept = folder.Keep(Bring(folder, bytes), "package/net/a.onnx", name, alias);
    ASSERT_TRUE(kept.ok()) << kept.message();
  }
  bool Has(const ModelFolder& folder, const std::string& name) {
    return folder.Find(name)->has_value();
  }
  /// As if it had been used so long ago.
  void Age(const std::string& name, std::chrono::minutes age) {
    fs::last_write_time(dir_ / "models" / name, fs::file_time_type::clock::now() - age);
  }
  std::set<std::string> Entries() {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(dir_ / "models"))
      names.insert(entry.path().filename().string());
    return names;
  }

  testing::TempDir dir_{"model-folder"};
};

TEST_F(ModelFolderTest, FindsWhatWasKeptByItsNameAndItsAlias) {
  const ModelFolder folder = Open();
  EXPECT_FALSE(Has(folder, "m"));
  Keep(folder, "m", "bytes", "alias");
  for (const char* name : {"m", "alias"}) {
    const auto found = folder.Find(name);
    ASSERT_TRUE(found && *found) << name;
    EXPECT_EQ((*found)->path, dir_ / "models/m/package/net/a.onnx");
    EXPECT_EQ(testing::ReadFile((*found)->path), "bytes");
  }
}

TEST_F(ModelFolderTest, LeavesNothingOfWhatWasNotKept) {
  const ModelFolder folder = Open();
  { const IncomingModel incoming = Bring(folder, "half"); }
  EXPECT_EQ(Entries(), std::set<std::string>{"lock"});
}

TEST_F(ModelFolderTest, TheSecondOfTwoWhoBringTheSameReplacesIt) {
  const ModelFolder folder = Open();
  IncomingModel first = Bring(folder, "same");
  IncomingModel second = Bring(folder, "same");
  ASSERT_TRUE(folder.Keep(std::move(first), "package/net/a.onnx", "m", "").ok());
  ASSERT_TRUE(folder.Keep(std::move(second), "package/net/a.onnx", "m", "").ok());
  EXPECT_EQ(Entries(), (std::set<std::string>{"lock", "m"}));
  EXPECT_EQ(testing::ReadFile((*folder.Find("m"))->path), "same");
}

TEST_F(ModelFolderTest, ForgetsTheOnesUsedLongestAgoButNeverTheNewest) {
  const ModelFolder folder = Open(25);
  Keep(folder, "a", "0123456789");
  Keep(folder, "b", "0123456789", "alias-of-b");
  Age("a", std::chrono::minutes(2));
  Age("b", std::chrono::minutes(3));
  EXPECT_TRUE(Has(folder, "b"));  // which makes `a` the older one
  Keep(folder, "c", "0123456789");
  EXPECT_EQ(Entries(), (std::set<std::string>{"lock", "b", "c", "alias-of-b"}));
  Keep(folder, "large", std::string(100, 'x'));
  EXPECT_EQ(Entries(), (std::set<std::string>{"lock", "large"}));
}

TEST_F(ModelFolderTest, RemovesWhatDeadProcessesLeftAndOnlyThat) {
  const ModelFolder folder = Open();
  dir_.Write("models/fetch-dead/package/net/a.onnx", "half");
  const IncomingModel alive = Bring(folder, "half");
  Keep(folder, "m", "bytes");
  EXPECT_EQ(Entries(), (std::set<std::string>{"lock", "m", alive.path().filename().string()}));
}

TEST_F(ModelFolderTest, NothingGoesWhileSomebodyReads) {
  const ModelFolder folder = Open();
  Keep(folder, "m", "bytes");
  const int other = open((dir_ / "models/lock").c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_GE(other, 0);
  {
    const auto reading = folder.Find("m");
    EXPECT_EQ(flock(other, LOCK_SH | LOCK_NB), 0) << "readers do not wait for each other";
    EXPECT_NE(flock(other, LOCK_EX | LOCK_NB), 0) << "whoever removes has to wait";
  }
  EXPECT_EQ(flock(other, LOCK_EX | LOCK_NB), 0);
  close(other);
}

TEST_F(ModelFolderTest, RemovesADamagedModelByItsAliasToo) {
  const ModelFolder folder = Open();
  Keep(folder, "m", "bytes", "alias");
  ASSERT_TRUE(folder.Remove("alias").ok());
  EXPECT_FALSE(Has(folder, "m"));
  EXPECT_FALSE(Has(folder, "alias"));
}

TEST_F(ModelFolderTest, SaysWhereItCannotBe) {
  Settings settings;
  settings.model_cache = (dir_.Write("file", "") / "models").string();
  const auto folder = ModelFolder::Open(settings);
  ASSERT_FALSE(folder);
  EXPECT_NE(folder.error().message().find("file/models"), std::string::npos);
}

}  // namespace
}  // namespace trawl::worker
