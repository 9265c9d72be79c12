#include "tests/golden/shared_data.h"

#include <gtest/gtest.h>
#include <png.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>

#include "tests/support/temp_dir.h"

namespace trawl::testing {
namespace {

namespace fs = std::filesystem;

/// Holds an exclusive lock on a file while it lives: tests run in several processes at once.
class FileLock {
 public:
  explicit FileLock(const fs::path& path) : stream_(std::fopen(path.c_str(), "w")) {
    if (stream_ != nullptr) ::flock(::fileno(stream_), LOCK_EX);
  }
  ~FileLock() {
    if (stream_ != nullptr) std::fclose(stream_);
  }
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  std::FILE* stream_;
};

}  // namespace

fs::path SharedRoot() {
  const char* configured = std::getenv("TRAWL_SHARED");
  const fs::path root =
      configured != nullptr ? fs::path(configured) : fs::path(TRAWL_SOURCE_DIR) / ".." / "shared";
  std::error_code error;
  if (fs::is_directory(root / "models", error)) return fs::canonical(root);
  ADD_FAILURE() << "no reference data in " << root
                << ": set TRAWL_SHARED to the folder that holds models/ and golden/";
  return {};
}

fs::path UnpackedData() {
  const fs::path root = SharedRoot();
  if (root.empty()) return {};
  const fs::path data = TRAWL_TEST_DATA;
  fs::create_directories(data);
  const FileLock lock(data / "lock");
  const fs::path done = data / "unpacked";
  if (fs::exists(done)) return data;
  const std::string command =
      "bash '" + (root / "tools" / "unpack.sh").string() + "' '" + data.string() + "' >/dev/null";
  if (std::system(command.c_str()) != 0) {
    ADD_FAILURE() << "unpacking the shared models: " << command;
    return {};
  }
  std::ofstream(done) << "complete\n";
  return data;
}

Picture ReadPng(const fs::path& path) {
  png_image header{};
  header.version = PNG_IMAGE_VERSION;
  if (png_image_begin_read_from_file(&header, path.c_str()) == 0) {
    ADD_FAILURE() << "reading " << path << ": " << header.message;
    return {};
  }
  header.format = PNG_FORMAT_RGB;
  Picture picture{static_cast<int>(header.height), static_cast<int>(header.width), {}};
  picture.pixels.resize(PNG_IMAGE_SIZE(header));
  if (png_image_finish_read(&header, nullptr, picture.pixels.data(), 0, nullptr) == 0) {
    ADD_FAILURE() << "reading " << path << ": " << header.message;
    return {};
  }
  return picture;
}

std::vector<std::vector<float>> ReadNpy(const fs::path& path) {
  // "\x93NUMPY", version, u16 length, then a dictionary: {'descr': '<f4', …, 'shape': (24, 1000), }
  const std::string bytes = ReadFile(path);
  const size_t at = bytes.find("'shape': (");
  size_t rows = 0, columns = 0;
  if (bytes.starts_with("\x93NUMPY\x01") && bytes.find("'<f4'") != std::string::npos &&
      at != std::string::npos &&
      std::sscanf(bytes.c_str() + at, "'shape': (%zu, %zu)", &rows, &columns) == 2) {
    const size_t begin =
        10 + static_cast<unsigned char>(bytes[8]) + 256u * static_cast<unsigned char>(bytes[9]);
    if (bytes.size() == begin + rows * columns * sizeof(float)) {
      std::vector<std::vector<float>> table(rows, std::vector<float>(columns));
      for (size_t row = 0; row < rows; ++row) {
        std::memcpy(table[row].data(), bytes.data() + begin + row * columns * sizeof(float),
                    columns * sizeof(float));
      }
      return table;
    }
  }
  ADD_FAILURE() << "reading " << path << ": not a table of float32";
  return {};
}

}  // namespace trawl::testing
