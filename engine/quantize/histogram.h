#pragma once
// How numbers of an activation map to u8: from a histogram of what was seen, the range whose
// rounding and clipping together cost the least squared error.

#include <cstdint>
#include <span>
#include <vector>

namespace trawl::engine {

/// x ≈ (q - zero_point) · scale, with q in 0 … 255. 0 is exact.
struct Quantization {
  float scale = 1;
  uint8_t zero_point = 0;
};

/// The mapping onto [low, high], widened to hold 0 and moved so that 0 is exact.
Quantization QuantizationOf(double low, double high);

/// The least and the greatest number seen; 0 counts as seen.
struct Extremes {
  float low = 0, high = 0;

  void Add(std::span<const float> numbers);
};

/// Counts by equal bins between two extremes, so that the order in which numbers come never
/// matters. Zeros are left out: every mapping holds them exactly, and behind a ReLU they are most.
/// Numbers that are none (NaN) are left out, too.
class Histogram {
 public:
  explicit Histogram(const Extremes& extremes);

  void Add(std::span<const float> numbers);
  /// Of all ranges within the extremes, on a grid of hundredths, that with the least squared error.
  Quantization BestQuantization() const;

 private:
  static constexpr int kBins = 4096;
  /// Of all numbers, each taken for the middle of its bin.
  double SquaredError(const Quantization& quantization) const;

  double low_, high_, bins_per_unit_;
  std::vector<uint64_t> counts_;
};

}  // namespace trawl::engine
