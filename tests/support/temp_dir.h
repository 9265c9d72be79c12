#pragma once
// A folder of a test's own, removed with everything in it when the test ends.

#include <filesystem>
#include <string>
#include <string_view>

namespace trawl::testing {

/// Creates its folder in the constructor (below $TMPDIR or /tmp) and removes it in the destructor.
class TempDir {
 public:
  explicit TempDir(std::string_view name = "test");
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  /// Absolute, symbolic links resolved.
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }

  /// Writes a file below the folder, making the folders above it; returns its path.
  std::filesystem::path Write(std::string_view name, std::string_view bytes) const;

 private:
  std::filesystem::path path_;
};

/// The whole file, or "" when it cannot be read.
std::string ReadFile(const std::filesystem::path& path);

}  // namespace trawl::testing
