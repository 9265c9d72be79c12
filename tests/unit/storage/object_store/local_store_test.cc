// Goal: a message reads files below the allowed folders and nothing else, whatever its path looks
// like. Method: every way out of a folder that a path or a link offers, on a real file system.
#include "storage/object_store/local/local_store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/fetch.h"
#include "tests/support/temp_dir.h"

namespace trawl::storage {
namespace {

using testing::Fetch;
using testing::Text;

class LocalStoreTest : public ::testing::Test {
 protected:
  LocalStoreTest() {
    root_.Write("in/file", "hello");
    outside_.Write("secret", "secret");
  }

  std::string Get(const std::string& path, std::optional<uint64_t> size = {}) {
    Settings settings;
    settings.allow_root = allowed_;
    settings.max_object_bytes = 100;
    LocalStore store(settings);
    const auto result = Fetch(store, {"file://" + path, size, ""});
    if (!result) message_ = result.error().message;
    return result ? Text(result->bytes) : std::string(ToString(result.error().code));
  }

  const testing::TempDir root_{"root"}, outside_{"outside"};
  std::vector<std::string> allowed_{(root_ / "in").string()};
  std::string message_;
};

TEST_F(LocalStoreTest, ReadsBelowAnAllowedFolder) {
  EXPECT_EQ(Get((root_ / "in/file").string()), "hello");
  allowed_ = {"/"};
  EXPECT_EQ(Get((outside_ / "secret").string()), "secret");
}

TEST_F(LocalStoreTest, WithoutAnAllowedFolderNothingIsRead) {
  allowed_ = {"", "http://h/"};
  EXPECT_EQ(Get((root_ / "in/file").string()), "forbidden");
  EXPECT_NE(message_.find("--allow-root"), std::string::npos);
}

TEST_F(LocalStoreTest, NoPathLeadsOutside) {
  root_.Write("in-secret", "secret");
  for (const std::string& path :
       {(outside_ / "secret").string(), (root_ / "in-secret").string(), root_.path().string(),
        (root_ / "in/../in-secret").string(), (root_ / "in/..").string(),
        std::string("/proc/self/environ"), (root_ / "in/no/../../../x").string(),
        (outside_ / "does not exist").string()})
    EXPECT_EQ(Get(path), "forbidden") << path;
}

TEST_F(LocalStoreTest, NoLinkLeadsOutside) {
  std::filesystem::create_symlink(outside_ / "secret", root_ / "in/link");
  std::filesystem::create_directory_symlink(outside_.path(), root_ / "in/folder");
  std::filesystem::create_symlink("/proc/self/environ", root_ / "in/environ");
  EXPECT_EQ(Get((root_ / "in/link").string()), "forbidden");
  EXPECT_EQ(Get((root_ / "in/folder/secret").string()), "forbidden");
  EXPECT_EQ(Get((root_ / "in/environ").string()), "forbidden");
}

TEST_F(LocalStoreTest, LinksInsideAndALinkToTheAllowedFolderWork) {
  std::filesystem::create_symlink("file", root_ / "in/relative");
  std::filesystem::create_symlink(root_ / "in/file", root_ / "in/absolute");
  EXPECT_EQ(Get((root_ / "in/relative").string()), "hello");
  EXPECT_EQ(Get((root_ / "in/absolute").string()), "hello");
  std::filesystem::create_directory_symlink(root_ / "in", outside_ / "entry");
  allowed_ = {(outside_ / "entry").string()};
  EXPECT_EQ(Get((outside_ / "entry/file").string()), "hello");
}

TEST_F(LocalStoreTest, OtherThingsThanFilesAreNotRead) {
  ASSERT_EQ(mkfifo((root_ / "in/pipe").c_str(), 0600), 0);
  EXPECT_EQ(Get((root_ / "in/pipe").string()), "not_found");  // and does not hang
  std::filesystem::create_directory(root_ / "in/folder");
  EXPECT_EQ(Get((root_ / "in/folder/").string()), "not_found");
  EXPECT_EQ(Get((root_ / "in/none").string()), "not_found");
  EXPECT_EQ(Get((root_ / "in/file/below").string()), "not_found");
  allowed_ = {"/dev"};
  EXPECT_EQ(Get("/dev/zero"), "not_found");
}

TEST_F(LocalStoreTest, SizesAreChecked) {
  root_.Write("in/large", std::string(101, 'x'));
  EXPECT_EQ(Get((root_ / "in/large").string()), "too_large");
  EXPECT_EQ(Get((root_ / "in/file").string(), 4), "changed");
  EXPECT_EQ(Get((root_ / "in/file").string(), 5), "hello");
}

TEST_F(LocalStoreTest, MessagesAreOneLineWhateverTheKey) {
  EXPECT_EQ(Get((root_ / "in").string() + "/a\nb\x1b[2J"), "not_found");
  EXPECT_EQ(message_.find('\n'), std::string::npos);
  EXPECT_EQ(message_.find('\x1b'), std::string::npos);
}

TEST_F(LocalStoreTest, PagesOfOneListingReadTheFolderOnceAndPagesOfAnotherDoNotMixIn) {
  for (int i = 0; i < 10; ++i) root_.Write("in/k" + std::to_string(i), "");
  LocalStore store({});
  const std::string source = "file://" + (root_ / "in").string() + "/";
  const auto keys = [&](const std::string& prefix, const std::string& after, int count) {
    const auto page = store.List(source, prefix, after, count);
    std::string text;
    for (const ObjectRef& object : page->objects) text += object.key + " ";
    return text + (page->last ? "last" : "more");
  };
  EXPECT_EQ(keys("k", "", 3), "k0 k1 k2 more");
  EXPECT_EQ(keys("k", "k2", 3), "k3 k4 k5 more");
  EXPECT_EQ(keys("", "k5", 3), "k6 k7 k8 more");
  EXPECT_EQ(keys("k", "k5", 4), "k6 k7 k8 k9 last");
  EXPECT_EQ(keys("k", "k9", 3), "last");
  EXPECT_EQ(keys("k", "", 2), "k0 k1 more");
}

}  // namespace
}  // namespace trawl::storage
