// Normalize: from levels to numbers.

#include "config/check.h"
#include "worker/image/image.h"

namespace trawl::worker {
namespace {

using engine::PreprocessSpec;
using engine::TensorLayout;

struct Channel {
  float mean, deviation;
};

Channel ChannelOf(const PreprocessSpec& spec, size_t index) {
  return {spec.mean.empty() ? 0.0F : spec.mean[index], spec.std.empty() ? 1.0F : spec.std[index]};
}

/// Each `step`th of `count` levels.
[[gnu::always_inline]] inline void WriteNumbers(const uint8_t* from, size_t count, size_t step,
                                                Channel channel, float* to) {
  const auto number = [channel](uint8_t level) {
    return (static_cast<float>(level) - channel.mean) / channel.deviation;
  };
  // The usual case by itself: a constant step is what vectorises.
  if (step == 1) {
    for (size_t i = 0; i < count; ++i) to[i] = number(from[i]);
  } else {
    for (size_t i = 0; i < count; i += step) to[i] = number(from[i]);
  }
}

using WriteFunction = void(const uint8_t*, size_t, size_t, Channel, float*);

void WritePortable(const uint8_t* from, size_t count, size_t step, Channel channel, float* to) {
  WriteNumbers(from, count, step, channel, to);
}

#ifdef __x86_64__
// The same source, compiled for wider registers.
[[gnu::target("avx2")]] void WriteAvx2(const uint8_t* from, size_t count, size_t step,
                                       Channel channel, float* to) {
  WriteNumbers(from, count, step, channel, to);
}

WriteFunction* ChooseWrite() { return __builtin_cpu_supports("avx2") ? WriteAvx2 : WritePortable; }
#else
WriteFunction* ChooseWrite() { return WritePortable; }
#endif

}  // namespace

void Normalize(std::span<const uint8_t> levels, const PreprocessSpec& spec,
               std::span<float> input) {
  const auto channels = static_cast<size_t>(spec.channel_count());
  CHECK(levels.size() == input.size() && levels.size() % channels == 0);
  CHECK(spec.mean.empty() || spec.mean.size() == channels);
  CHECK(spec.std.empty() || spec.std.size() == channels);
  static WriteFunction* const write = ChooseWrite();
  const bool planar = spec.layout == TensorLayout::kNchw;
  const size_t plane = levels.size() / channels;
  for (size_t c = 0; c < channels; ++c) {
    const size_t first = planar ? c * plane : c;
    write(levels.data() + first, planar ? plane : levels.size() - first, planar ? 1 : channels,
          ChannelOf(spec, c), input.data() + first);
  }
}

}  // namespace trawl::worker
