// From a photo's bytes to the model's input: photos/s of one thread, decoding and preprocessing
// apart, and `prepare`, which is both but decodes only what the model will see. items_per_second is
// photos per second.
//
//   image_bench FOLDER [--benchmark_repetitions=5 --benchmark_enable_random_interleaving=true]

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "worker/image/image.h"

namespace {

using trawl::engine::PreprocessSpec;
using trawl::worker::Image;

using File = std::vector<std::byte>;

File ReadFile(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(stream), {}};
  const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
  return {bytes, bytes + text.size()};
}

/// The files of a folder that are pictures, in the order of their names.
std::vector<File> ReadPhotos(const char* folder) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.is_regular_file()) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::vector<File> photos;
  for (const auto& path : paths) {
    File file = ReadFile(path);
    if (trawl::worker::DecodeImage(file, {})) photos.push_back(std::move(file));
  }
  return photos;
}

/// What ImageNet's classifiers take: shorter side 256, centre 224 × 224, normalised.
PreprocessSpec ImageNetSpec() {
  PreprocessSpec spec;
  spec.mean = {123.675F, 116.28F, 103.53F};
  spec.std = {58.395F, 57.12F, 57.375F};
  return spec;
}

/// Runs `work(i)` for photo 0, 1, …, and over again.
template <class Work>
void OverPhotos(benchmark::State& state, size_t photos, const Work& work) {
  for (auto _ : state)
    for (size_t i = 0; i < photos; ++i) work(i);
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(photos));
}

void Decode(benchmark::State& state, const std::vector<File>& photos) {
  OverPhotos(state, photos.size(), [&](size_t i) {
    benchmark::DoNotOptimize(trawl::worker::DecodeImage(photos[i], {}));
  });
}

void Prepare(benchmark::State& state, const std::vector<File>& photos) {
  const PreprocessSpec spec = ImageNetSpec();
  trawl::worker::Samples levels(static_cast<size_t>(3 * spec.height * spec.width));
  std::vector<Image> images;
  for (const File& photo : photos) images.push_back(*trawl::worker::DecodeImage(photo, {}));
  OverPhotos(state, images.size(), [&](size_t i) {
    benchmark::DoNotOptimize(trawl::worker::Preprocess(images[i], spec, levels));
  });
}

void DecodeForTheModel(benchmark::State& state, const std::vector<File>& photos) {
  const PreprocessSpec spec = ImageNetSpec();
  trawl::worker::Samples levels(static_cast<size_t>(3 * spec.height * spec.width));
  OverPhotos(state, photos.size(), [&](size_t i) {
    benchmark::DoNotOptimize(trawl::worker::PrepareImage(photos[i], {}, spec, levels));
  });
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  const std::vector<File> photos = argc == 2 ? ReadPhotos(argv[1]) : std::vector<File>();
  if (photos.empty()) {
    std::fprintf(stderr, "usage: image_bench FOLDER   (of JPEG, PNG or WebP files)\n");
    return 2;
  }
  const auto add = [&photos](const char* name, auto* run) {
    benchmark::RegisterBenchmark(name, run, photos)->Unit(benchmark::kMillisecond);
  };
  add("decode", Decode);
  add("preprocess", Prepare);
  add("prepare", DecodeForTheModel);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
