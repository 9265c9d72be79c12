// Writes the seeds of the fuzz targets that read pictures: a small one of each kind.
//
//   write_picture_seeds FOLDER   → FOLDER/jpeg/*, FOLDER/png/*, FOLDER/webp/*, FOLDER/header/*

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/unit/worker/image/picture_files.h"

namespace trawl::worker {
namespace {

namespace fs = std::filesystem;

void Write(const fs::path& path, const void* bytes, size_t size) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary)
      .write(static_cast<const char*>(bytes), static_cast<std::streamsize>(size));
}

void WriteAll(const fs::path& folder) {
  const std::pair<const char*, std::vector<File>> formats[] = {
      {"jpeg", JpegsOfEveryKind()}, {"png", PngsOfEveryKind()}, {"webp", WebpsOfEveryKind()}};
  for (const auto& [format, files] : formats) {
    for (size_t i = 0; i < files.size(); ++i) {
      Write(folder / format / std::to_string(i), files[i].data(), files[i].size());
      Write(folder / "header" / (format + std::to_string(i)), files[i].data(), files[i].size());
    }
  }
  for (const bool big_endian : {false, true}) {
    const std::vector<uint8_t> exif = ExifBlock(6, big_endian);
    Write(folder / "header" / (big_endian ? "exif-mm" : "exif-ii"), exif.data(), exif.size());
  }
}

}  // namespace
}  // namespace trawl::worker

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: write_picture_seeds FOLDER\n");
    return 2;
  }
  trawl::worker::WriteAll(argv[1]);
  return 0;
}
