#include "engine/quantize/histogram.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace trawl::engine {

Quantization QuantizationOf(double low, double high) {
  low = std::min(low, 0.0);
  high = std::max(high, 0.0);
  // Smaller ranges than this are those of a value that is always 0.
  const double scale = std::max((high - low) / 255, 1e-12);
  return {static_cast<float>(scale),
          static_cast<uint8_t>(std::clamp(std::nearbyint(-low / scale), 0.0, 255.0))};
}

void Extremes::Add(std::span<const float> numbers) {
  for (const float x : numbers) {
    if (!std::isfinite(x)) continue;
    low = std::min(low, x);
    high = std::max(high, x);
  }
}

Histogram::Histogram(const Extremes& extremes)
    : low_(extremes.low),
      high_(extremes.high),
      bins_per_unit_(high_ > low_ ? kBins / (high_ - low_) : 0),
      counts_(kBins) {}

void Histogram::Add(std::span<const float> numbers) {
  for (const float x : numbers) {
    if (x == 0 || !std::isfinite(x)) continue;
    const double bin = std::clamp((x - low_) * bins_per_unit_, 0.0, kBins - 1.0);
    ++counts_[static_cast<size_t>(bin)];
  }
}

double Histogram::SquaredError(const Quantization& quantization) const {
  const double scale = quantization.scale, zero_point = quantization.zero_point;
  double sum = 0;
  for (size_t i = 0; i < counts_.size(); ++i) {
    if (counts_[i] == 0) continue;
    const double x = low_ + (static_cast<double>(i) + 0.5) / bins_per_unit_;
    const double q = std::clamp(std::nearbyint(x / scale) + zero_point, 0.0, 255.0);
    const double error = (q - zero_point) * scale - x;
    sum += static_cast<double>(counts_[i]) * error * error;
  }
  return sum;
}

Quantization Histogram::BestQuantization() const {
  if (bins_per_unit_ == 0) return QuantizationOf(0, 0);
  double least = std::numeric_limits<double>::infinity();
  double best_low = 1, best_high = 1;
  const auto consider = [&](double low, double high) {
    const double error = SquaredError(QuantizationOf(low_ * low, high_ * high));
    if (error >= least) return;
    least = error;
    best_low = low;
    best_high = high;
  };
  // Both ends together first, then each by itself: one valley, so no need for all pairs.
  for (int i = 100; i >= 20; --i) consider(i / 100.0, i / 100.0);
  for (int i = 100; i >= 20 && low_ < 0; --i) consider(i / 100.0, best_high);
  for (int i = 100; i >= 20 && low_ < 0; --i) consider(best_low, i / 100.0);
  return QuantizationOf(low_ * best_low, high_ * best_high);
}

}  // namespace trawl::engine
