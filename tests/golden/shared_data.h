#pragma once
// Reference models and answers: real networks, pictures, and what reference runtimes say about
// them. They are not part of the project; TRAWL_SHARED names the folder that holds them (default:
// ../shared beside the sources).

#include <filesystem>
#include <string>
#include <vector>

namespace trawl::testing {

/// The folder. Empty, with a test failure that names the variable, when there is none.
std::filesystem::path SharedRoot();

/// Where the shared models and picture archives are unpacked: `models/` and `images/` below it. The
/// first caller unpacks them into the build tree, under a lock; later ones find them. Empty, with a
/// test failure, when that does not work.
std::filesystem::path UnpackedData();

/// An 8-bit RGB picture from a PNG. `pixels`: [height, width, 3]. Empty, with a test failure, when
/// it cannot be read.
struct Picture {
  int height = 0, width = 0;
  std::vector<unsigned char> pixels;
};
Picture ReadPng(const std::filesystem::path& path);

/// A two-dimensional float32 array of numpy's, row by row. Empty, with a test failure, when it is
/// anything else.
std::vector<std::vector<float>> ReadNpy(const std::filesystem::path& path);

}  // namespace trawl::testing
