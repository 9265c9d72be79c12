// Goal: nobody gets out of the allowed folders, by dots or by symbolic links. Method: a folder with
// such ways out.

#include "worker/allowed_roots.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/temp_dir.h"

namespace trawl::worker {
namespace {

namespace fs = std::filesystem;

TEST(AllowedRoots, ContainWhatLiesBelowThemAndNothingElse) {
  const testing::TempDir dir;
  const std::string root = dir / "models";
  dir.Write("models/a/model.onnx", "x");
  dir.Write("models-secret/b.onnx", "x");
  fs::create_directory_symlink(dir / "models-secret", dir / "models/link");
  fs::create_directory_symlink(dir / "models", dir / "alias");
  const AllowedRoots roots({root});

  EXPECT_TRUE(roots.Contain(root));
  EXPECT_TRUE(roots.Contain(root + "/a/model.onnx"));
  EXPECT_TRUE(roots.Contain(root + "/a/../a/model.onnx"));
  EXPECT_TRUE(roots.Contain(dir / "alias/a/model.onnx"));
  EXPECT_TRUE(roots.Contain(root + "/not there yet"));
  EXPECT_FALSE(roots.Contain(root + "/../models-secret/b.onnx"));
  EXPECT_FALSE(roots.Contain(dir / "models-secret/b.onnx"));
  EXPECT_FALSE(roots.Contain(root + "/link/b.onnx"));
  EXPECT_FALSE(roots.Contain(dir.path().string()));
  EXPECT_FALSE(roots.Contain(""));
  EXPECT_FALSE(roots.Contain(root + std::string("/\0", 2)));
}

TEST(AllowedRoots, MayBeReachedByALinkThemselves) {
  const testing::TempDir dir;
  dir.Write("models/model.onnx", "x");
  fs::create_directory_symlink(dir / "models", dir / "alias");
  EXPECT_TRUE(AllowedRoots({(dir / "alias").string()}).Contain(dir / "models/model.onnx"));
}

TEST(AllowedRoots, ContainNothingWhenThereAreNoneAndEverythingFromTheRoot) {
  EXPECT_FALSE(AllowedRoots({}).Contain("/etc/hostname"));
  EXPECT_FALSE(AllowedRoots({""}).Contain("/etc/hostname"));
  EXPECT_TRUE(AllowedRoots({"/"}).Contain("/etc/hostname"));
}

}  // namespace
}  // namespace trawl::worker
