#include "engine/quantize/means.h"

#include <algorithm>
#include <cmath>

namespace trawl::engine {

void MeansCounter::Add(const ConstTensorView& x, const Quantization& mapping) {
  const auto channels = static_cast<size_t>(x.shape[1]);
  const auto numbers = x.data<float>();
  const size_t planes = static_cast<size_t>(x.shape[0]) * channels;
  if (planes == 0) return;
  const size_t plane = numbers.size() / planes;
  const float low = -static_cast<float>(mapping.zero_point), high = low + 255;
  exact_.resize(channels);
  rounded_.resize(channels);
  for (size_t i = 0; i < planes; ++i) {
    double exact = 0, rounded = 0;
    for (const float number : numbers.subspan(i * plane, plane)) {
      if (!std::isfinite(number)) continue;
      exact += double{number};
      rounded += double{std::clamp(std::nearbyint(number / mapping.scale), low, high)};
    }
    exact_[i % channels] += exact;
    rounded_[i % channels] += rounded * double{mapping.scale};
  }
  count_ += static_cast<double>(plane) * static_cast<double>(x.shape[0]);
}

ChannelMeans MeansCounter::Means() const {
  ChannelMeans means{exact_, rounded_};
  for (double& mean : means.exact) mean /= count_;
  for (double& mean : means.rounded) mean /= count_;
  return means;
}

std::vector<double> MeanErrors(const Node& node, const Tensor& weights,
                               std::span<const double> rounded, const ChannelMeans& inputs) {
  const bool transposed = node.op == "Gemm" && node.attributes.Int("transB", 0) == int64_t{0};
  const auto outputs = static_cast<size_t>(weights.shape()[transposed ? 1 : 0]);
  const auto depth = static_cast<size_t>(weights.shape()[transposed ? 0 : 1]);
  const size_t taps = rounded.size() / (outputs * depth);
  const auto group = static_cast<size_t>(node.attributes.Int("group", 1).value_or(1));
  const auto exact = weights.data<float>();
  std::vector<double> errors(outputs);
  for (size_t o = 0; o < outputs; ++o) {
    const size_t first = o / (outputs / group) * depth;
    for (size_t i = 0; i < depth * taps; ++i) {
      const size_t at = transposed ? i * outputs + o : o * depth * taps + i;
      const size_t channel = first + i / taps;
      errors[o] +=
          rounded[at] * inputs.rounded[channel] - double{exact[at]} * inputs.exact[channel];
    }
  }
  return errors;
}

}  // namespace trawl::engine
