// Goal: a folder is listed in the byte order of relative paths, from any point, complete, with few
// names in memory. Method: trees on disk compared with the sorted list of what was written.
#include "storage/object_store/local/folder_walk.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "tests/support/temp_dir.h"

namespace trawl::storage {
namespace {

std::vector<std::string> Walk(const testing::TempDir& dir, const std::string& prefix = "",
                              const std::string& start_after = "",
                              size_t names_held = FolderWalk::kNamesHeld) {
  auto walk = FolderWalk::Open(dir.path().string(), prefix, start_after, names_held);
  std::vector<std::string> keys;
  if (!walk) return {walk.error().message()};
  while (true) {
    auto next = (*walk)->Next();
    if (!next) return {next.error().message()};
    if (!*next) return keys;
    keys.push_back((*next)->key);
  }
}

class FolderWalkTest : public ::testing::Test {
 protected:
  FolderWalkTest() {
    // `.` < `/` < `0`: "a.txt" comes before "a/b", and "a0" after it.
    files_ = {"a.txt",
              "a/b",
              "a/b.c/d",
              "a/b/c",
              "a0",
              "A",
              "\xC3\xBC",
              "b/.hidden",
              "b/\xF0\x9F\x98\x80",
              "b/new\nline",
              "deep/er/and/deeper/still"};
    std::erase(files_, "a/b");  // cannot be a file and a folder
    for (const std::string& file : files_) dir_.Write(file, file);
    std::sort(files_.begin(), files_.end());
  }

  const testing::TempDir dir_;
  std::vector<std::string> files_;
};

TEST_F(FolderWalkTest, ListsInByteOrderOfPaths) { EXPECT_EQ(Walk(dir_), files_); }

TEST_F(FolderWalkTest, GoesOnAfterAnyKeyAndAfterKeysThatNeverWere) {
  std::vector<std::string> points = files_;
  for (const std::string& file : files_) {
    points.push_back(file + "0");
    points.push_back(file.substr(0, file.size() - 1));
  }
  points.insert(points.end(), {"a/", "a", "b/", "zzz", "deep/er/z"});
  for (const std::string& point : points) {
    const std::vector<std::string> rest(std::upper_bound(files_.begin(), files_.end(), point),
                                        files_.end());
    EXPECT_EQ(Walk(dir_, "", point), rest) << point;
  }
}

TEST_F(FolderWalkTest, KeepsToAPrefix) {
  for (const char* const prefix : {"a", "a/", "a/b", "b/.", "deep/er/and", "nothing", "a.txt"}) {
    std::vector<std::string> below;
    for (const std::string& file : files_)
      if (file.starts_with(prefix)) below.push_back(file);
    EXPECT_EQ(Walk(dir_, prefix), below) << prefix;
  }
}

TEST_F(FolderWalkTest, NeedsOnlyAFewNamesInMemory) {
  for (int i = 0; i < 100; ++i) {
    const std::string name = "many/" + std::to_string(i * 7'919 % 1'000);
    dir_.Write(name, "");
    files_.push_back(name);
  }
  std::sort(files_.begin(), files_.end());
  EXPECT_EQ(Walk(dir_, "", "", 1), files_);
  EXPECT_EQ(Walk(dir_, "", "", 3), files_);
}

TEST_F(FolderWalkTest, GivesSizes) {
  auto walk = FolderWalk::Open(dir_.path().string(), "a.txt", "");
  EXPECT_EQ((**(*walk)->Next()).size_bytes, 5u);
}

TEST(FolderWalk, ListsLinksToFilesButFollowsNoLinkToAFolder) {
  const testing::TempDir dir, other;
  dir.Write("real/file", "12345");
  other.Write("outside", "1");
  std::filesystem::create_symlink("real/file", dir / "link");
  std::filesystem::create_symlink("nowhere", dir / "broken");
  std::filesystem::create_directory_symlink(other.path(), dir / "away");
  std::filesystem::create_directory_symlink(dir.path(), dir / "loop");
  ASSERT_EQ(mkfifo((dir / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(Walk(dir), (std::vector<std::string>{"broken", "link", "real/file"}));
}

TEST(FolderWalk, SaysWhatIsWrongWithTheFolder) {
  const testing::TempDir dir;
  dir.Write("file", "");
  EXPECT_EQ(FolderWalk::Open((dir / "none").string(), "", "").error().code(), Code::kNotFound);
  EXPECT_EQ(FolderWalk::Open((dir / "file").string(), "", "").error().code(), Code::kNotFound);
}

TEST(FolderWalk, AFolderThatCannotBeReadIsAnErrorAndNoGap) {
  const testing::TempDir dir;
  dir.Write("closed/file", "");
  chmod(dir.path().c_str(), 0755);
  chmod((dir / "closed").c_str(), 0);
  const uid_t self = geteuid();
  ASSERT_EQ(seteuid(self == 0 ? 65'534 : self), 0);  // root reads every folder; nobody does not
  auto walk = FolderWalk::Open(dir.path().string(), "", "");
  const auto next =
      walk ? (*walk)->Next() : Result<std::optional<ObjectRef>>(tl::unexpected(walk.error()));
  ASSERT_EQ(seteuid(self), 0);
  chmod((dir / "closed").c_str(), 0700);
  ASSERT_FALSE(next);
  EXPECT_EQ(next.error().code(), Code::kPermissionDenied);
}

}  // namespace
}  // namespace trawl::storage
