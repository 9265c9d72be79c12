#include "ops/cli/forecast.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace trawl::ops {
namespace {

constexpr double kMaxWorkers = 1e6;  // beyond it a number is no advice
constexpr double kMebibyte = 1 << 20;
constexpr double kPictureBytes = 72e6;  // 12 megapixels while they are decoded (worker/limits.h)
constexpr double kMemoryStep = 64 * kMebibyte;
constexpr double kMinMemory = 256 * kMebibyte;

/// A second of what has no cost: more than anybody asks for.
double Rate(double units, double cost) {
  return cost > 0 ? units / cost : std::numeric_limits<double>::infinity();
}

}  // namespace

SizeSummary SizeSummary::Of(std::vector<uint64_t> sizes) {
  if (sizes.empty()) return {};
  std::ranges::sort(sizes);
  // Nearest rank: the smallest size that so many percent of the sizes do not exceed.
  const auto at = [&sizes](size_t percent) {
    return sizes[(percent * sizes.size() + 99) / 100 - 1];
  };
  return {.median = at(50),
          .p95 = at(95),
          .largest = sizes.back(),
          .total = std::accumulate(sizes.begin(), sizes.end(), uint64_t{0})};
}

Forecast Predict(const ObjectCost& cost, uint64_t objects, const Fleet& fleet) {
  const double computed = Rate(fleet.cores, cost.decode_s + cost.infer_s);
  const double downloaded = Rate(fleet.downloads_in_flight, cost.download_s);
  Forecast forecast;
  if (downloaded < computed)
    forecast.limit = "download";
  else
    forecast.limit = cost.decode_s > cost.infer_s ? "decode" : "inference";
  forecast.objects_per_second = fleet.workers * std::min(computed, downloaded);
  forecast.seconds = static_cast<double>(objects) / forecast.objects_per_second;
  return forecast;
}

std::optional<int> WorkersFor(const ObjectCost& cost, uint64_t objects, const Fleet& fleet,
                              double deadline_s) {
  const Forecast one = Predict(
      cost, objects,
      {.workers = 1, .cores = fleet.cores, .downloads_in_flight = fleet.downloads_in_flight});
  const double workers = std::ceil(one.seconds / deadline_s);
  // Not a number compares false.
  if (!(workers <= kMaxWorkers)) return std::nullopt;
  return std::max(1, static_cast<int>(workers));
}

int SuggestDownloads(const ObjectCost& cost, int cores) {
  const double compute_s = cost.decode_s + cost.infer_s;
  if (compute_s <= 0) return 1024;
  const double busy = cores / compute_s * cost.download_s;
  return static_cast<int>(std::clamp(8 * std::ceil(2 * busy / 8), 8.0, 1024.0));
}

int64_t SuggestMemory(const SizeSummary& sizes, int downloads, int cores, size_t model_bytes) {
  const double on_the_wire = static_cast<double>(sizes.p95) * downloads;
  const double decoding = kPictureBytes * cores;
  // The worker gives models three quarters at most; of the rest downloads a third at most, and
  // decoding what is left.
  const double pictures = std::max({kMinMemory, 3 * on_the_wire, decoding * 3 / 2});
  const auto model = static_cast<double>(model_bytes);
  const double wanted = std::max(pictures + model, model * 4 / 3);
  return static_cast<int64_t>(std::ceil(wanted / kMemoryStep) * kMemoryStep);
}

double Cost(double seconds, int workers, double price_per_hour) {
  return seconds / 3600 * workers * price_per_hour;
}

}  // namespace trawl::ops
